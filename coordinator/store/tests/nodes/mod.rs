//! Two nodes over one database, for each database that takes several: whatever they do at the same moment, the outcome
//! is one that they could have had one after the other.

pub(crate) mod damage;
pub(crate) mod held_row;
pub(crate) mod opening;
pub(crate) mod outage;
pub(crate) mod proxy;
pub(crate) mod purged;
pub(crate) mod versions;

pub(crate) use earnest_store::conformance::nodes::{self as cases, Nodes};

/// Makes a test of each case; `$nodes` makes two stores over a new database, `$database` is a new one, and `$open` opens a
/// store in it.
macro_rules! nodes_tests {
    ($nodes:ident, $database:path, $open:ident) => {
        nodes::nodes_tests! { $nodes:
            r1_one_id_prepared_by_two_nodes_at_once_is_recorded_once,
            p1_opposite_decisions_of_two_nodes_at_once,
            p4_subscription_deleted_while_others_decide_loses_nothing,
            p9_one_key_decided_by_two_nodes_at_once_keeps_an_order,
            p9_ends_and_decisions_at_once_leave_no_key_behind,
            t4_registration_and_decision_of_two_nodes_at_once,
            p10_try_claimed_beside_a_decision_is_barred,
            p12_two_nodes_that_claim_at_once_share_the_work,
            p10_node_that_comes_back_writes_nothing,
            services_registered_at_two_nodes_at_once_keep_all_endpoints,
            one_bad_value_is_rejected_and_nothing_is_written,
        }
        nodes::nodes_tests! { $database, $open:
            outage::r4_commit_without_an_answer_is_unknown,
            outage::r4_claim_whose_commit_is_unknown_orphans_nothing,
            opening::nodes_that_start_at_once_make_one_schema,
        }
    };
    ($nodes:ident: $($case:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                nodes::cases::$case($nodes().await).await;
            }
        )*
    };
    ($database:path, $open:ident: $($module:ident::$case:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let database = $database().await;
                nodes::$module::$case(database.url(), $open).await;
            }
        )*
    };
}
pub(crate) use nodes_tests;
