//! Subscriptions and services.

use std::time::Duration;

use earnest_protocol::{DeliveryState, Name, Phase, RetryPolicy};

use super::{
    Subject, TestClock, done, id, message, name, no_grant, submit, subscription, transaction,
};
use crate::{Destination, Endpoint, EndpointProtocol, Reply, ServiceRow, SubscriptionRow};

async fn subscriptions(s: &Subject, namespace: Option<&Name>) -> Vec<(Name, Name)> {
    let rows = s
        .store
        .subscriptions(namespace)
        .await
        .expect("the query runs");
    rows.into_iter()
        .map(|row| (row.namespace, row.name))
        .collect()
}

async fn delete(s: &Subject, called: &str) -> bool {
    s.store
        .delete_subscription(&Name::default_namespace(), &name(called))
        .await
        .expect("the store runs")
}

fn endpoint(port: usize) -> Endpoint {
    Endpoint {
        url: format!("http://127.0.0.1:{port}"),
        protocol: EndpointProtocol::Grpc,
        resource_id: String::new(),
    }
}

fn service(called: &str, endpoints: Vec<Endpoint>) -> ServiceRow {
    let namespace = Name::default_namespace();
    ServiceRow {
        namespace,
        name: name(called),
        endpoints,
        updated_at: TestClock::START,
    }
}

async fn put_service(s: &Subject, row: ServiceRow, replace: bool) -> Vec<Endpoint> {
    let kept = s
        .store
        .put_service(row.clone(), replace)
        .await
        .expect("the service is kept");
    let read = s
        .store
        .service(&row.namespace, &row.name)
        .await
        .expect("the query runs");
    assert_eq!(read.as_ref(), Some(&kept));
    assert_eq!(kept.updated_at, s.store.now().await.expect("it runs"));
    kept.endpoints
}

/// Every field comes back as it was given, but for the time, which is the store's.
pub async fn subscription_is_kept_as_given(s: Subject) {
    s.advance(Duration::from_secs(3));
    let odd = SubscriptionRow {
        namespace: name("other"),
        destination: Destination::WebhookUrl("https://example.org/hook?a=b".into()),
        ordered: true,
        paused: true,
        concurrency: 3,
        timeout: Duration::from_millis(1_234),
        retry: RetryPolicy {
            initial: Duration::from_millis(7),
            multiplier_milli: 1_500,
            cap: Duration::from_hours(2),
        },
        ..subscription("hook", "paid")
    };
    let now = TestClock::START.after(Duration::from_secs(3));
    let kept = s.put(odd.clone()).await;
    assert_eq!(
        kept,
        SubscriptionRow {
            updated_at: now,
            ..odd
        }
    );
    assert_eq!(
        s.store.subscriptions(None).await.expect("the query runs"),
        std::slice::from_ref(&kept)
    );
    s.advance(Duration::from_secs(1));
    let other = SubscriptionRow {
        namespace: name("other"),
        ..subscription("hook", "shipped")
    };
    let replaced = s.put(other).await;
    assert!(replaced.updated_at > kept.updated_at);
    assert_eq!(
        s.store.subscriptions(None).await.expect("the query runs"),
        [replaced]
    );
}

/// By namespace and name.
pub async fn subscriptions_are_listed_by_name(s: Subject) {
    for (namespace, called) in [("b", "y"), ("a", "z"), ("b", "x"), ("default", "x")] {
        s.put(SubscriptionRow {
            namespace: name(namespace),
            ..subscription(called, "paid")
        })
        .await;
    }
    let pair = |namespace: &str, called: &str| (name(namespace), name(called));
    let all = [
        pair("a", "z"),
        pair("b", "x"),
        pair("b", "y"),
        pair("default", "x"),
    ];
    assert_eq!(subscriptions(&s, None).await, all);
    assert_eq!(subscriptions(&s, Some(&name("b"))).await, all[1..3]);
    assert_eq!(subscriptions(&s, Some(&name("c"))).await, []);
}

/// Paused and resumed, and nothing else changed; one that isn't there is none.
pub async fn pause_changes_nothing_else(s: Subject) {
    let row = s.subscribe("ledger", "paid").await;
    s.advance(Duration::from_secs(1));
    let now = TestClock::START.after(Duration::from_secs(1));
    let paused = s.pause("ledger", true).await;
    assert_eq!(
        paused,
        Some(SubscriptionRow {
            paused: true,
            updated_at: now,
            ..row.clone()
        })
    );
    assert_eq!(
        s.pause("ledger", false).await,
        Some(SubscriptionRow {
            updated_at: now,
            ..row
        })
    );
    assert_eq!(s.pause("rewards", true).await, None);
    assert_eq!(subscriptions(&s, None).await.len(), 1);
}

/// P4: what a deleted subscription owes is set aside and not lost; attempts under way find their leases gone.
pub async fn p4_deleted_subscription_parks_what_it_owes(s: Subject) {
    s.subscribe("ledger", "paid").await;
    s.subscribe("rewards", "paid").await;
    let node = s.node().await;
    s.ok(submit(transaction(1, vec![message("paid"); 2]))).await;
    let mut work = s.deliveries(node).await;
    work.retain(|work| work.subscription.name == name("ledger"));
    s.ok(done(&work[0])).await;
    assert!(delete(&s, "ledger").await);
    assert!(!delete(&s, "ledger").await, "there is none any more");
    assert_eq!(s.ok(done(&work[1])).await, Reply::LostLease);
    let detail = s.detail(1).await;
    let state = &detail.transaction.state;
    assert_eq!(
        (state.phase, state.open_effects, state.parked_effects),
        (Phase::Confirming, 2, 1)
    );
    let parked: Vec<_> = detail
        .deliveries
        .iter()
        .filter(|row| row.state == DeliveryState::Parked)
        .collect();
    assert_eq!(parked.len(), 1);
    assert!(
        parked[0]
            .parked
            .as_ref()
            .is_some_and(|why| why.as_str().contains("ledger"))
    );
    s.dump().await.check();
}

/// However much it owes.
pub async fn p4_deleted_subscription_parks_a_long_backlog(s: Subject) {
    s.subscribe("ledger", "paid").await;
    let commands = (0..60)
        .map(|n| submit(transaction(n, vec![message("paid"); 10])))
        .collect();
    s.batch(commands, no_grant()).await;
    assert!(delete(&s, "ledger").await);
    let dump = s.dump().await;
    dump.check();
    assert_eq!((dump.backlog[0].pending, dump.backlog[0].parked), (0, 600));
    assert_eq!(dump.subscriptions, []);
}

/// The same name elsewhere is somebody else.
pub async fn deleted_subscription_of_another_namespace_parks_nothing(s: Subject) {
    s.subscribe("ledger", "paid").await;
    s.put(SubscriptionRow {
        namespace: name("other"),
        ..subscription("ledger", "paid")
    })
    .await;
    s.ok(submit(transaction(1, vec![message("paid")]))).await;
    assert!(
        s.store
            .delete_subscription(&name("other"), &name("ledger"))
            .await
            .expect("the store runs")
    );
    let node = s.node().await;
    assert_eq!(s.one_delivery(node).await.key.transaction, id(1));
}

/// The newest endpoints first; one that is known moves to the front and isn't kept twice.
pub async fn service_gathers_endpoints(s: Subject) {
    let namespace = Name::default_namespace();
    assert_eq!(
        s.store
            .service(&namespace, &name("ledger"))
            .await
            .expect("the query runs"),
        None
    );
    let put = async |ports: &[usize]| {
        let row = service("ledger", ports.iter().map(|port| endpoint(*port)).collect());
        put_service(&s, row, false).await
    };
    assert_eq!(put(&[1, 2]).await, [1, 2].map(endpoint));
    s.advance(Duration::from_secs(1));
    assert_eq!(put(&[3]).await, [3, 1, 2].map(endpoint));
    assert_eq!(put(&[2]).await, [2, 3, 1].map(endpoint));
    assert_eq!(put(&[]).await, [2, 3, 1].map(endpoint));
    let http = Endpoint {
        protocol: EndpointProtocol::Http,
        resource_id: String::new(),
        ..endpoint(3)
    };
    let kept = put_service(&s, service("ledger", vec![http.clone()]), false).await;
    assert_eq!(kept, [http, endpoint(2), endpoint(3), endpoint(1)]);
}

/// 64 at most: the oldest go.
pub async fn service_keeps_a_bounded_number_of_endpoints(s: Subject) {
    put_service(
        &s,
        service("ledger", (0..60).map(endpoint).collect()),
        false,
    )
    .await;
    let kept = put_service(
        &s,
        service("ledger", (100..110).map(endpoint).collect()),
        false,
    )
    .await;
    let expected: Vec<_> = (100..110).chain(0..54).map(endpoint).collect();
    assert_eq!(kept, expected);
}

/// Replaced: only the given ones are left.
pub async fn service_is_replaced_when_asked(s: Subject) {
    put_service(&s, service("ledger", [1, 2].map(endpoint).into()), false).await;
    assert_eq!(
        put_service(&s, service("ledger", vec![endpoint(3)]), true).await,
        [endpoint(3)]
    );
    assert_eq!(
        put_service(&s, service("rewards", vec![endpoint(4)]), true).await,
        [endpoint(4)]
    );
}

/// By namespace and name; deleted once.
pub async fn services_are_listed_and_deleted(s: Subject) {
    let other = ServiceRow {
        namespace: name("other"),
        ..service("ledger", vec![endpoint(9)])
    };
    for row in [
        service("rewards", vec![]),
        other,
        service("ledger", vec![endpoint(1)]),
    ] {
        put_service(&s, row, false).await;
    }
    let list = async |namespace: Option<Name>| -> Vec<(Name, Name)> {
        let rows = s
            .store
            .services(namespace.as_ref())
            .await
            .expect("the query runs");
        rows.into_iter()
            .map(|row| (row.namespace, row.name))
            .collect()
    };
    let default = Name::default_namespace();
    let all = [
        (default.clone(), name("ledger")),
        (default.clone(), name("rewards")),
        (name("other"), name("ledger")),
    ];
    assert_eq!(list(None).await, all);
    assert_eq!(list(Some(default.clone())).await, all[..2]);
    assert!(
        s.store
            .delete_service(&default, &name("ledger"))
            .await
            .expect("the store runs")
    );
    assert!(
        !s.store
            .delete_service(&default, &name("ledger"))
            .await
            .expect("the store runs")
    );
    assert_eq!(list(None).await, all[1..]);
}
