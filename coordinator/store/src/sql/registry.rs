//! Services and subscriptions, as they are kept.

use earnest_protocol::RetryPolicy;
use serde::Serialize;

use super::column::{Cells, Columns, Read};
use crate::{ServiceRow, StoreError, SubscriptionRow};

/// The columns that [`subscription`] expects, in order.
macro_rules! subscription_columns {
    () => {
        "name, namespace, topic, destination, ordered, paused, concurrency, timeout, retry_initial, \
         retry_multiplier, retry_cap, updated_at"
    };
}
/// The columns that [`service`] expects, in order.
macro_rules! service_columns {
    () => {
        "name, namespace, endpoints, updated_at"
    };
}
pub(crate) use {service_columns, subscription_columns};

/// The endpoints that are kept of one service, at most.
const ENDPOINTS: usize = 64;

pub(crate) fn subscription<C: Cells>(mut c: Columns<'_, C>) -> Read<SubscriptionRow> {
    Ok(SubscriptionRow {
        name: c.parse()?,
        namespace: c.parse()?,
        topic: c.parse()?,
        destination: c.json()?,
        ordered: c.truth()?,
        paused: c.truth()?,
        concurrency: c.int()?,
        timeout: c.duration()?,
        retry: RetryPolicy {
            initial: c.duration()?,
            multiplier_milli: c.int()?,
            cap: c.duration()?,
        },
        updated_at: c.time()?,
    })
}

pub(crate) fn service<C: Cells>(mut c: Columns<'_, C>) -> Read<ServiceRow> {
    Ok(ServiceRow {
        name: c.parse()?,
        namespace: c.parse()?,
        endpoints: c.json()?,
        updated_at: c.time()?,
    })
}

/// Puts the endpoints of `row` in front of those that are known.
pub(crate) fn gather(row: &mut ServiceRow, known: Option<ServiceRow>) {
    for endpoint in known.into_iter().flat_map(|known| known.endpoints) {
        if !row.endpoints.contains(&endpoint) {
            row.endpoints.push(endpoint);
        }
    }
    row.endpoints.truncate(ENDPOINTS);
}

pub(crate) fn json(context: &str, value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Rejected {
        context: context.into(),
        source: Some(Box::new(error)),
    })
}
