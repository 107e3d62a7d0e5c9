//! Two nodes over one database, for each database that takes several: whatever they do at the same moment, the outcome
//! is one that they could have had one after the other.

pub(crate) mod outage;
pub(crate) mod proxy;

pub(crate) use earnest_store::conformance::nodes::{self as cases, Nodes};

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
