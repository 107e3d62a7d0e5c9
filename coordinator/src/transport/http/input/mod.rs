//! Bodies as callers write them. Unknown fields are refused by name.

mod content;
mod decide;
mod service;
mod subscription;
mod transaction;

use super::Problem;

pub(super) use decide::{DecideBody, OperatorDecideBody, ParkBody, RetryBody, wait};
pub(super) use service::ServiceBody;
pub(super) use subscription::SubscriptionBody;
pub(super) use transaction::{ExecuteBody, PrepareBody, RegisterBody, SubmitBody};

/// The namespace stands in the body or in the query; twice only when it is the same.
fn one_namespace(body: String, query: &str) -> Result<String, Problem> {
    if !body.is_empty() && !query.is_empty() && body != query {
        return Err(Problem::invalid(
            "namespace: the body and the query name different ones",
            "give it once",
        ));
    }
    Ok(or(body, query))
}

fn or(text: String, other: &str) -> String {
    if text.is_empty() {
        other.to_owned()
    } else {
        text
    }
}
