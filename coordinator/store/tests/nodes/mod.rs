//! Two nodes over one database, for each database that takes several: whatever they do at the same moment, the outcome
//! is one that they could have had one after the other.

pub(crate) mod cases;
pub(crate) mod outage;
pub(crate) mod proxy;

use std::sync::Arc;

use earnest_store::{
    Store,
    conformance::{Subject, TestClock},
};

/// Two stores over one database, with one clock.
pub(crate) struct Nodes {
    pub(crate) a: Subject,
    pub(crate) b: Subject,
}

impl Nodes {
    pub(crate) fn new(a: Arc<dyn Store>, b: Arc<dyn Store>, clock: &TestClock) -> Self {
        Self {
            a: Subject::new(a, clock.clone(), ()),
            b: Subject::new(b, clock.clone(), ()),
        }
    }
}

/// Makes a test of each case; `$nodes` makes two stores over a new database.
macro_rules! nodes_tests {
    ($nodes:ident: $($case:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                nodes::cases::$case($nodes().await).await;
            }
        )*
    };
}
pub(crate) use nodes_tests;
