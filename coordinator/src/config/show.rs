//! The configuration as a TOML file: what holds now, and the sample.

use std::fmt::Write;

use earnest_store::{Destination, EndpointProtocol};

use super::{Config, KEYS, Key, Loaded, key::quoted};
use crate::service::{ServiceInput, SubscriptionInput};

/// Where a doc comment is broken.
const WIDTH: usize = 100;

/// The sample file: every key, documented, at its default.
pub fn example() -> String {
    let config = Config::default();
    let mut text = String::from(
        "# The coordinator's configuration: every key there is, at its default. `earnest config` shows what holds.\n\
         # Stronger than this file are environment variables (log.level is EARNEST_LOG_LEVEL), and flags\n\
         # (--set log.level=debug). All mistakes are reported at once; an unknown key is one.\n",
    );
    tables(&mut text, |text, key| {
        text.push('\n');
        for line in wrapped(key.doc) {
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(text, "{} = {}", last(key), key.show(&config));
    });
    text.push_str(SAMPLE_ENTRIES);
    text
}

/// What the sample says about lists; behind `# ` it is TOML.
const SAMPLE_ENTRIES: &str = r#"
# Subscriptions: messages of a topic go to a destination. Those given here are put at every start and replace
# what is known under their name; others (earnest subscription add) are left alone.
#
# [[subscription]]
# name = "ledger"
# namespace = "default"
# topic = "payments"
# service = "ledger"               # either a registered service …
# # webhook_url = "http://127.0.0.1:9000/hook"   # … or one URL
# ordered = false                  # messages of one key: one at a time, in the order of their decisions
# paused = false
# concurrency = 64
# timeout_ms = 10000
# retry = { initial_ms = 200, multiplier_milli = 2000, cap_ms = 60000 }
#
# Services: where they are called. Services with the SDK register themselves; this is for the others.
#
# [[service]]
# name = "ledger"
# namespace = "default"
# endpoints = [{ url = "http://127.0.0.1:8080", protocol = "grpc" }]   # or "http"
"#;

/// What holds, with where it came from; reads back as the same configuration.
pub fn effective(loaded: &Loaded) -> String {
    let mut text = String::new();
    let file = loaded
        .file
        .as_ref()
        .map_or_else(|| "none".into(), |file| file.display().to_string());
    let _ = writeln!(text, "# Configuration file: {file}");
    tables(&mut text, |text, key| {
        let origin = loaded
            .origins
            .get(key.name)
            .map_or("default", String::as_str);
        let line = format!("{} = {}", last(key), key.show(&loaded.config));
        let _ = writeln!(text, "{line:<44} # {origin}");
    });
    for subscription in &loaded.config.node.subscriptions {
        show_subscription(&mut text, subscription);
    }
    for service in &loaded.config.node.services {
        show_service(&mut text, service);
    }
    text
}

/// Writes every key with `each`, under the header of its table.
fn tables(text: &mut String, mut each: impl FnMut(&mut String, &Key)) {
    let mut current = "";
    for key in KEYS {
        let table = key.name.rsplit_once('.').map_or("", |(table, _)| table);
        if table != current {
            let _ = writeln!(text, "\n[{table}]");
            current = table;
        }
        each(text, key);
    }
}

fn last(key: &Key) -> &'static str {
    key.name.rsplit_once('.').map_or(key.name, |(_, last)| last)
}

fn wrapped(doc: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in doc.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && line.len() + 1 + word.len() > WIDTH {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

fn show_subscription(text: &mut String, of: &SubscriptionInput) {
    let (key, to) = match &of.destination {
        Destination::Service(name) => ("service", name.as_str()),
        Destination::WebhookUrl(url) => ("webhook_url", url.as_str()),
    };
    text.push_str("\n[[subscription]]\n");
    let _ = writeln!(text, "name = {}", quoted(&of.name));
    show_namespace(text, &of.namespace);
    let _ = writeln!(
        text,
        "topic = {}\n{key} = {}",
        quoted(&of.topic),
        quoted(to)
    );
    let _ = writeln!(text, "ordered = {}\npaused = {}", of.ordered, of.paused);
    if of.concurrency > 0 {
        let _ = writeln!(text, "concurrency = {}", of.concurrency);
    }
    if !of.timeout.is_zero() {
        let _ = writeln!(text, "timeout_ms = {}", of.timeout.as_millis());
    }
    if let Some(retry) = &of.retry {
        let _ = writeln!(
            text,
            "retry = {{ initial_ms = {}, multiplier_milli = {}, cap_ms = {} }}",
            retry.initial.as_millis(),
            retry.multiplier_milli,
            retry.cap.as_millis()
        );
    }
}

fn show_service(text: &mut String, of: &ServiceInput) {
    text.push_str("\n[[service]]\n");
    let _ = writeln!(text, "name = {}", quoted(&of.name));
    show_namespace(text, &of.namespace);
    text.push_str("endpoints = [\n");
    for endpoint in &of.endpoints {
        let protocol = match endpoint.protocol {
            EndpointProtocol::Grpc => "grpc",
            EndpointProtocol::Http => "http",
        };
        let _ = writeln!(
            text,
            "    {{ url = {}, protocol = \"{protocol}\" }},",
            quoted(&endpoint.url)
        );
    }
    text.push_str("]\n");
}

fn show_namespace(text: &mut String, namespace: &str) {
    if !namespace.is_empty() {
        let _ = writeln!(text, "namespace = {}", quoted(namespace));
    }
}
