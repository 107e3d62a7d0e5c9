//! Each gRPC call that succeeds, and reflection and health.

use earnest_proto::v1;
use earnest_protocol::CheckBackAnswer;
use tokio_stream::StreamExt;
use tonic::Request;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::support::Node;

fn prepare(id: &str) -> v1::PrepareRequest {
    v1::PrepareRequest {
        id: id.into(),
        initiator: "cashier".into(),
        resource_id: "db-1".into(),
        business_key: "order-7".into(),
        messages: vec![v1::Message {
            topic: "order.placed".into(),
            key: "7".into(),
            headers: [("kind".into(), "test".into())].into(),
            payload: vec![0, 1, 255].into(),
            ..v1::Message::default()
        }],
        ..v1::PrepareRequest::default()
    }
}

#[tokio::test]
async fn prepare_confirm_get_and_list() {
    let node = Node::start().await;
    node.subscribe().await;
    let mut client = node.coordinator();
    let id = node.id().to_string();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut request = Request::new(prepare(&id));
    request
        .metadata_mut()
        .insert("traceparent", trace.parse().unwrap());
    let reply = client.prepare(request).await.unwrap().into_inner();
    let transaction = reply.transaction.unwrap();
    assert!(reply.created);
    assert_eq!(transaction.phase(), v1::Phase::Prepared);
    assert_eq!(transaction.created_at_us, 1_800_000_000_000_000);
    assert_eq!(transaction.traceparent, trace);
    let options = transaction.options.unwrap();
    assert_eq!(options.outcome(), v1::Outcome::Local);
    assert_eq!(
        (options.check_after_ms, options.check_back_budget),
        (10_000, 15)
    );
    assert!(
        !client
            .prepare(prepare(&id))
            .await
            .unwrap()
            .into_inner()
            .created
    );

    let confirm = v1::ConfirmRequest {
        id: id.clone(),
        initiator: "cashier".into(),
        ..v1::ConfirmRequest::default()
    };
    let confirmed = client.confirm(confirm).await.unwrap().into_inner();
    let transaction = confirmed.transaction.unwrap();
    assert_eq!(transaction.phase(), v1::Phase::Confirming);
    assert_eq!(transaction.decided_by, "initiator");

    let get = v1::GetTransactionRequest { id: id.clone() };
    let reply = client.get_transaction(get).await.unwrap().into_inner();
    let detail = reply.detail.unwrap();
    assert_eq!(detail.messages[0].payload_bytes, 3);
    assert_eq!(detail.messages[0].headers["kind"], "test");
    assert_eq!(detail.deliveries[0].subscription, "ledger");
    assert_eq!(detail.deliveries[0].state(), v1::EffectState::Pending);
    assert!(!detail.summary.is_empty());

    let list = v1::ListTransactionsRequest {
        phases: vec![v1::Phase::Confirming.into()],
        topic: "order.placed".into(),
        ..v1::ListTransactionsRequest::default()
    };
    let page = client.list_transactions(list).await.unwrap().into_inner();
    assert_eq!(page.transactions.len(), 1);
    assert_eq!(page.next_page_token, "");
}

#[tokio::test]
async fn submit_and_cancel() {
    let node = Node::start().await;
    let mut client = node.coordinator();
    let submit = v1::SubmitRequest {
        initiator: "relay".into(),
        messages: vec![v1::Message {
            topic: "t".into(),
            ..v1::Message::default()
        }],
        allow_no_subscription: true,
        ..v1::SubmitRequest::default()
    };
    let reply = client.submit(submit).await.unwrap().into_inner();
    assert!(reply.created);
    assert_eq!(reply.transaction.unwrap().phase(), v1::Phase::Confirmed);
    let cancel = v1::CancelRequest {
        id: node.id().to_string(),
        namespace: "shop".into(),
        ..v1::CancelRequest::default()
    };
    let reply = client.cancel(cancel).await.unwrap().into_inner();
    let transaction = reply.transaction.unwrap();
    assert!(transaction.tombstone);
    assert_eq!(transaction.namespace, "shop");
}

#[tokio::test]
async fn services_and_subscriptions() {
    let node = Node::start().await;
    let (mut client, mut admin) = (node.coordinator(), node.admin());
    let register = v1::RegisterServiceRequest {
        name: "ledger".into(),
        endpoints: vec![v1::Endpoint {
            url: "http://127.0.0.1:1".into(),
            protocol: 0,
            resource_id: "db-1".into(),
        }],
        ..v1::RegisterServiceRequest::default()
    };
    client.register_service(register).await.unwrap();
    let (namespace, name) = (String::new(), "ledger".to_owned());
    let resolve = v1::ResolveServiceRequest {
        namespace: namespace.clone(),
        name: name.clone(),
    };
    let service = client.resolve_service(resolve).await.unwrap().into_inner();
    let service = service.service.unwrap();
    assert_eq!(service.endpoints[0].protocol(), v1::EndpointProtocol::Grpc);
    let list = v1::ListServicesRequest::default();
    let listed = admin.list_services(list).await.unwrap().into_inner();
    assert_eq!(listed.services, [service]);
    let delete = v1::DeleteServiceRequest {
        namespace: namespace.clone(),
        name: name.clone(),
    };
    let deleted = admin.delete_service(delete).await.unwrap().into_inner();
    assert!(deleted.deleted);

    let subscription = v1::Subscription {
        name: name.clone(),
        topic: "order.placed".into(),
        destination: Some(v1::Destination {
            to: Some(v1::destination::To::Service("ledger".into())),
        }),
        ..v1::Subscription::default()
    };
    let put = v1::PutSubscriptionRequest {
        subscription: Some(subscription),
    };
    let kept = admin.put_subscription(put).await.unwrap().into_inner();
    let kept = kept.subscription.unwrap();
    assert_eq!((kept.concurrency, kept.timeout_ms), (64, 10_000));
    let pause = v1::PauseSubscriptionRequest {
        namespace: namespace.clone(),
        name: name.clone(),
        paused: true,
    };
    admin.pause_subscription(pause).await.unwrap();
    let list = v1::ListSubscriptionsRequest::default();
    let listed = admin.list_subscriptions(list).await.unwrap().into_inner();
    assert!(
        listed.subscriptions[0]
            .subscription
            .as_ref()
            .unwrap()
            .paused
    );
    let delete = v1::DeleteSubscriptionRequest { namespace, name };
    let deleted = admin
        .delete_subscription(delete)
        .await
        .unwrap()
        .into_inner();
    assert!(deleted.deleted);
}

#[tokio::test]
async fn operators_park_retry_and_decide() {
    let node = Node::start().await;
    let id = node.prepared().await;
    let mut admin = node.admin();
    let park = v1::ParkTransactionRequest {
        id: id.clone(),
        reason: "the bank".into(),
        actor: "ann".into(),
    };
    let parked = admin.park_transaction(park.clone()).await.unwrap();
    let parked = parked.into_inner().transaction.unwrap();
    assert_eq!(parked.parked_reason, "the bank");
    let retry = v1::RetryTransactionRequest {
        id: id.clone(),
        actor: "ann".into(),
    };
    let retried = admin.retry_transaction(retry).await.unwrap().into_inner();
    assert_eq!(retried.made_due, 1);
    admin.park_transaction(park).await.unwrap();
    node.initiator.says(CheckBackAnswer::RolledBack);
    let decide = v1::DecideTransactionRequest {
        id,
        decision: v1::Decision::Cancel.into(),
        actor: "ann".into(),
        ..v1::DecideTransactionRequest::default()
    };
    let decided = admin.decide_transaction(decide).await.unwrap().into_inner();
    assert_eq!(decided.transaction.unwrap().phase(), v1::Phase::Cancelled);
}

#[tokio::test]
async fn health_says_what_readiness_says() {
    let node = Node::start().await;
    let mut health = HealthClient::new(node.channel());
    let mut check = async |service: &str| {
        let service = service.into();
        health.check(HealthCheckRequest { service }).await
    };
    for service in ["", "earnest.v1.Coordinator", "earnest.v1.Admin"] {
        let reply = check(service).await.unwrap().into_inner();
        assert_eq!(reply.status(), ServingStatus::Serving);
    }
    let unknown = check("earnest.v1.Nothing").await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);
    node.draining.cancel();
    let reply = check("").await.unwrap().into_inner();
    assert_eq!(reply.status(), ServingStatus::NotServing);
}

#[tokio::test]
async fn reflection_lists_all_services() {
    let node = Node::start().await;
    let mut reflection = ServerReflectionClient::new(node.channel());
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let stream = reflection
        .server_reflection_info(tokio_stream::once(request))
        .await;
    let reply = stream.unwrap().into_inner().next().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = reply.message_response else {
        panic!("{reply:?}");
    };
    let names: Vec<_> = list.service.iter().map(|s| s.name.as_str()).collect();
    for name in [
        "earnest.v1.Coordinator",
        "earnest.v1.Admin",
        "grpc.health.v1.Health",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
}
