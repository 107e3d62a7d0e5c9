//! `[[subscription]]` and `[[service]]`: put at every start.

use std::{collections::HashSet, time::Duration};

use earnest_protocol::{Name, NameError, RetryPolicy, Topic};
use earnest_store::{Destination, Endpoint, EndpointProtocol};
use toml::de::{DeTable, DeValue};

use super::{
    Reading,
    entry::Entry,
    value::{Source, kind},
};
use crate::service::{
    MAX_CONCURRENCY, MAX_ENDPOINTS, ServiceError, ServiceInput, SubscriptionInput, check_retry,
    check_url,
};

/// What they are called in the file.
pub(super) const NAMES: [&str; 2] = ["subscription", "service"];

const SUBSCRIPTION: &str =
    "[[subscription]] with name = \"ledger\", topic = \"payments\", service = \"ledger\"";
const SERVICE: &str = "[[service]] with name = \"ledger\", \
                       endpoints = [{ url = \"http://127.0.0.1:8080\", protocol = \"grpc\" }]";

/// Reads both lists out of the file.
pub(super) fn read(table: &DeTable<'_>, source: &Source<'_>, reading: &mut Reading) {
    for (key, value) in table {
        let list = key.get_ref().as_ref();
        let example = match list {
            "subscription" => SUBSCRIPTION,
            "service" => SERVICE,
            _ => continue,
        };
        let DeValue::Array(items) = value.get_ref() else {
            let problem = format!(
                "is {}, but must be a list: write [[{list}]]",
                kind(value.get_ref())
            );
            reading.mistake(list, source.place(key.span()), problem, example);
            continue;
        };
        let mut seen = HashSet::new();
        for (n, item) in items.iter().enumerate() {
            let path = format!("{list}[{n}]");
            let Some(entry) = Entry::of(path, item, source, example, reading) else {
                continue;
            };
            let name = if list == "subscription" {
                subscription(entry, reading)
            } else {
                service(entry, reading)
            };
            if let Some((scoped, place)) = name
                && !seen.insert(scoped.clone())
            {
                let problem = format!(
                    "there is another {list} `{}` in namespace `{}`",
                    scoped.1, scoped.0
                );
                reading.mistake(&format!("{list}[{n}].name"), place, problem, example);
            }
        }
    }
}

/// A namespace and a name in it, and where they stand.
type Named = ((String, String), String);

fn subscription(mut entry: Entry<'_, '_>, reading: &mut Reading) -> Option<Named> {
    let name = entry.required("name", reading, checked::<Name>)?;
    let namespace = entry.optional("namespace", reading, checked::<Name>);
    let topic = entry
        .required("topic", reading, checked::<Topic>)
        .unwrap_or_default();
    let service = entry.optional("service", reading, checked::<Name>);
    let webhook = entry.optional("webhook_url", reading, |url| {
        check_url("url", url)
            .map_err(|e| without_field(&e))
            .map(|()| url.to_owned())
    });
    let destination = match (service, webhook) {
        (Some(service), None) => service.parse().ok().map(Destination::Service),
        (None, Some(url)) => Some(Destination::WebhookUrl(url)),
        (None, None) if entry.has("service") || entry.has("webhook_url") => None,
        (None, None) => {
            entry.mistake(
                "",
                "names no destination: give service or webhook_url",
                reading,
            );
            None
        }
        (Some(_), Some(_)) => {
            entry.mistake(
                "",
                "names two destinations: give either service or webhook_url",
                reading,
            );
            None
        }
    };
    let input = SubscriptionInput {
        namespace: namespace.clone().unwrap_or_default(),
        name: name.clone(),
        topic,
        // Without one there is a mistake, and nothing is started.
        destination: destination.unwrap_or(Destination::WebhookUrl(String::new())),
        ordered: entry.flag("ordered", reading),
        paused: entry.flag("paused", reading),
        concurrency: entry
            .number("concurrency", 1, u64::from(MAX_CONCURRENCY), reading)
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(0),
        timeout: Duration::from_millis(
            entry.number("timeout_ms", 1, 600_000, reading).unwrap_or(0),
        ),
        retry: retry(&mut entry, reading),
    };
    let place = entry.place_of("name");
    entry.finish(reading);
    reading.config.node.subscriptions.push(input);
    Some(((namespace.unwrap_or_else(|| "default".into()), name), place))
}

fn retry(entry: &mut Entry<'_, '_>, reading: &mut Reading) -> Option<RetryPolicy> {
    let mut inner = entry.table(
        "retry",
        "retry = { initial_ms = 200, multiplier_milli = 2000, cap_ms = 60000 }",
        reading,
    )?;
    let defaults = RetryPolicy::default();
    let day = 86_400_000;
    let policy = RetryPolicy {
        initial: inner
            .number("initial_ms", 1, day, reading)
            .map_or(defaults.initial, Duration::from_millis),
        multiplier_milli: inner
            .number("multiplier_milli", 1_000, 100_000, reading)
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(defaults.multiplier_milli),
        cap: inner
            .number("cap_ms", 1, day, reading)
            .map_or(defaults.cap, Duration::from_millis),
    };
    if let Err(error) = check_retry(&policy) {
        inner.mistake("", &without_field(&error), reading);
    }
    inner.finish(reading);
    Some(policy)
}

fn service(mut entry: Entry<'_, '_>, reading: &mut Reading) -> Option<Named> {
    let name = entry.required("name", reading, checked::<Name>)?;
    let namespace = entry.optional("namespace", reading, checked::<Name>);
    let mut endpoints = Vec::new();
    for mut endpoint in entry.tables("endpoints", reading) {
        let url = endpoint.required("url", reading, |url| {
            check_url("url", url)
                .map_err(|e| without_field(&e))
                .map(|()| url.to_owned())
        });
        let protocol = endpoint.required("protocol", reading, |text| match text {
            "grpc" => Ok(EndpointProtocol::Grpc),
            "http" => Ok(EndpointProtocol::Http),
            other => Err(format!("`{other}` is not a protocol: give grpc or http")),
        });
        endpoint.finish(reading);
        if let (Some(url), Some(protocol)) = (url, protocol) {
            endpoints.push(Endpoint {
                url,
                protocol,
                resource_id: String::new(),
            });
        }
    }
    if endpoints.len() > MAX_ENDPOINTS {
        let problem = format!(
            "has {} endpoints; at most {MAX_ENDPOINTS} are kept",
            endpoints.len()
        );
        entry.mistake("endpoints", &problem, reading);
    }
    let place = entry.place_of("name");
    entry.finish(reading);
    reading.config.node.services.push(ServiceInput {
        namespace: namespace.clone().unwrap_or_default(),
        name: name.clone(),
        endpoints,
        replace: true,
    });
    Some(((namespace.unwrap_or_else(|| "default".into()), name), place))
}

fn checked<T: std::str::FromStr<Err = NameError>>(text: &str) -> Result<String, String> {
    text.parse::<T>()
        .map(|_| text.to_owned())
        .map_err(|e| e.to_string())
}

/// What an error of the use cases says, without the field that it begins with.
fn without_field(error: &ServiceError) -> String {
    error
        .message
        .split_once(": ")
        .map_or(error.message.as_str(), |(_, problem)| problem)
        .to_owned()
}
