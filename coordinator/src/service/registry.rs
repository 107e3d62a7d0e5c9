//! Services and subscriptions.

use std::{sync::Arc, time::Duration};

use earnest_protocol::{Name, RetryPolicy};
use earnest_store::{Backlog, Destination, Endpoint, ServiceRow, SubscriptionRow, Target};
use futures_util::future::join_all;
use tokio::time::Instant;

use super::{
    Code, Coordinator, ServiceError, ServiceInput, SubscriptionInput, transactions::namespace,
};

/// Endpoints of one service.
pub(crate) const MAX_ENDPOINTS: usize = 64;
/// Bytes of one URL.
const MAX_URL: usize = 2_048;
/// Deliveries of one subscription under way at once.
pub(crate) const MAX_CONCURRENCY: u32 = 4_096;

impl Coordinator {
    /// Creates or replaces a subscription.
    pub async fn put_subscription(
        &self,
        input: SubscriptionInput,
    ) -> Result<SubscriptionRow, ServiceError> {
        let row = self.check_subscription(input)?;
        Ok(self.store.put_subscription(row).await?)
    }

    /// Checks a subscription without keeping it.
    pub fn check_subscription(
        &self,
        input: SubscriptionInput,
    ) -> Result<SubscriptionRow, ServiceError> {
        if let Destination::WebhookUrl(url) = &input.destination {
            check_url("destination.webhook_url", url)?;
        }
        let retry = input.retry.unwrap_or(self.options.retry);
        check_retry(&retry)?;
        let timeout = if input.timeout.is_zero() {
            self.options.timeout
        } else {
            input.timeout
        };
        if timeout > Duration::from_mins(10) {
            return Err(ServiceError::invalid(
                "timeout_ms",
                "give at most 600000 (ten minutes)",
            ));
        }
        if input.concurrency > MAX_CONCURRENCY {
            return Err(ServiceError::invalid(
                "concurrency",
                format!("give at most {MAX_CONCURRENCY}"),
            ));
        }
        let concurrency = if input.concurrency == 0 {
            self.options.concurrency
        } else {
            input.concurrency
        };
        Ok(SubscriptionRow {
            namespace: namespace(&input.namespace)?,
            name: name("name", &input.name)?,
            topic: input
                .topic
                .parse()
                .map_err(|e| ServiceError::bad_name("topic", &e))?,
            destination: input.destination,
            ordered: input.ordered,
            paused: input.paused,
            concurrency,
            timeout,
            retry,
            updated_at: self.environment.now(),
        })
    }

    /// By name, with what each still owes.
    pub async fn subscriptions(
        &self,
        of: &str,
    ) -> Result<Vec<(SubscriptionRow, Option<Backlog>)>, ServiceError> {
        let rows = self.store.subscriptions(Some(&namespace(of)?)).await?;
        let mut backlog = self.store.backlog().await?;
        let mut take = |row: &SubscriptionRow| {
            let of_row = |b: &Backlog| {
                b.namespace == row.namespace && b.subscription.as_ref() == Some(&row.name)
            };
            backlog
                .iter()
                .position(of_row)
                .map(|n| backlog.swap_remove(n))
        };
        Ok(rows
            .into_iter()
            .map(|row| (row.clone(), take(&row)))
            .collect())
    }

    /// Removes a subscription; what it owes is parked. False: there was none.
    pub async fn delete_subscription(&self, of: &str, called: &str) -> Result<bool, ServiceError> {
        Ok(self
            .store
            .delete_subscription(&namespace(of)?, &name("name", called)?)
            .await?)
    }

    /// Stops or restarts attempts.
    pub async fn pause_subscription(
        &self,
        of: &str,
        called: &str,
        paused: bool,
    ) -> Result<SubscriptionRow, ServiceError> {
        let (namespace, name) = (namespace(of)?, name("name", called)?);
        let row = self
            .store
            .pause_subscription(&namespace, &name, paused)
            .await?;
        let row = row.ok_or_else(|| ServiceError::not_found("subscription", called))?;
        if paused {
            self.give_back(Target::Subscription(namespace, name)).await;
        }
        Ok(row)
    }

    /// Gives back what this node holds of a target and has not begun. In a task of its own: a caller that goes away takes its
    /// call with it, and would leave leases behind that nobody runs and this node holds for as long as it lives.
    async fn give_back(&self, target: Target) {
        let (board, journal) = (Arc::clone(&self.board), self.journal.clone());
        let given_back = tokio::spawn(async move {
            let withdrawn = board.withdraw(&target);
            let count = withdrawn.len();
            let releases = withdrawn
                .into_iter()
                .map(|work| journal.write_own(work.release()));
            let written = join_all(releases).await;
            board.finished(&target, count);
            // What could not be written is freed with all that this epoch holds.
            if !written.iter().all(|write| matches!(write, Ok(Ok(_)))) {
                board.renew_epoch();
            }
        });
        // It fails only when the process ends, and its leases with it.
        let _ = given_back.await;
    }

    /// Says where a service is called.
    pub async fn register_service(&self, input: ServiceInput) -> Result<ServiceRow, ServiceError> {
        if input.endpoints.is_empty() && !input.replace {
            return Err(ServiceError::invalid(
                "endpoints",
                "give at least one, such as http://127.0.0.1:8080",
            ));
        }
        if input.endpoints.len() > MAX_ENDPOINTS {
            let found = format!(
                "{} endpoints; at most {MAX_ENDPOINTS} are allowed",
                input.endpoints.len()
            );
            return Err(ServiceError::new(
                Code::TooLarge,
                found,
                "put a load balancer or DNS name in front",
            ));
        }
        for Endpoint { url, .. } in &input.endpoints {
            check_url("endpoints.url", url)?;
        }
        let row = ServiceRow {
            namespace: namespace(&input.namespace)?,
            name: name("name", &input.name)?,
            endpoints: input.endpoints,
            updated_at: self.environment.now(),
        };
        let kept = self.store.put_service(row, input.replace).await?;
        if !kept.endpoints.is_empty() {
            // Its check-backs that nobody answered are due by now, and its branches.
            let (namespace, name) = (kept.namespace.clone(), kept.name.clone());
            for target in [
                Target::Initiator(namespace.clone(), name.clone()),
                Target::Participant(namespace, name),
            ] {
                self.board.is_back(&target, Instant::now());
            }
        }
        Ok(kept)
    }

    /// Where a service is called.
    pub async fn resolve_service(
        &self,
        of: &str,
        called: &str,
    ) -> Result<ServiceRow, ServiceError> {
        let row = self
            .store
            .service(&namespace(of)?, &name("name", called)?)
            .await?;
        row.ok_or_else(|| ServiceError::not_found("service", called))
    }

    /// By name.
    pub async fn services(&self, of: &str) -> Result<Vec<ServiceRow>, ServiceError> {
        Ok(self.store.services(Some(&namespace(of)?)).await?)
    }

    /// Forgets a service. False: there was none.
    pub async fn delete_service(&self, of: &str, called: &str) -> Result<bool, ServiceError> {
        Ok(self
            .store
            .delete_service(&namespace(of)?, &name("name", called)?)
            .await?)
    }
}

fn name(field: &str, text: &str) -> Result<Name, ServiceError> {
    text.parse().map_err(|e| ServiceError::bad_name(field, &e))
}

pub(crate) fn check_url(field: &str, url: &str) -> Result<(), ServiceError> {
    let shown: String = url.chars().take(80).collect();
    if url.len() > MAX_URL {
        return Err(ServiceError::invalid(
            field,
            format!("{} bytes; at most {MAX_URL}", url.len()),
        ));
    }
    if url.starts_with("https://") {
        let problem =
            format!("`{shown}`: TLS to destinations is not there yet; give an http:// URL");
        return Err(ServiceError::invalid(field, problem));
    }
    let parsed = url.parse::<http::Uri>().ok();
    let usable = parsed.is_some_and(|u| {
        u.scheme_str() == Some("http") && u.authority().is_some_and(|a| !a.as_str().contains('@'))
    });
    if usable {
        return Ok(());
    }
    let problem =
        format!("`{shown}` is not a URL like http://host:8080/path (without user and password)");
    Err(ServiceError::invalid(field, problem))
}

pub(crate) fn check_retry(retry: &RetryPolicy) -> Result<(), ServiceError> {
    if retry.initial.is_zero() || retry.cap < retry.initial || retry.cap > Duration::from_hours(24)
    {
        return Err(ServiceError::invalid(
            "retry",
            "give initial_ms of at least 1 and cap_ms between initial_ms and 86400000 (a day)",
        ));
    }
    if !(1_000..=100_000).contains(&retry.multiplier_milli) {
        return Err(ServiceError::invalid(
            "retry.multiplier_milli",
            "give 1000 to 100000 (1 × to 100 ×)",
        ));
    }
    Ok(())
}
