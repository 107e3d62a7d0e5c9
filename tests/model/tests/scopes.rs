//! The small scopes hold: every state within their bounds, and every situation that they promise.

use earnest_model::{Order, Report, explore, small};

#[test]
fn p1_p3_p6_p7_p9_p10_p11_every_state_of_the_small_scopes_holds() {
    let search = |scope| explore(scope, Order::Depth, 2);
    let reports: Vec<_> = small().into_iter().map(search).collect();
    for report in &reports {
        eprintln!("{report}");
    }
    assert!(reports.iter().all(Report::holds));
}
