//! How a Try finds its way: past lost answers and instances that are gone, and never to another database.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use earnest::{Context, Earnest};
use earnest_proto::v1::{
    CallBranchesRequest, CallBranchesResponse, CheckBackRequest, CheckBackResponse, DeliverRequest,
    DeliverResponse,
    participant_client::ParticipantClient,
    participant_server::{Participant, ParticipantServer},
};
use tokio::{net::TcpListener, sync::Notify};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::{
    branch::reserving,
    common::coordinator::Call,
    home::{Home, World},
    tcc::serve,
};

/// What is wrong with the answers.
#[derive(Clone, Copy)]
enum Wrong {
    /// The first is lost.
    FirstLost,
    /// The first Try is still under way when the next comes, and only the first is ever answered.
    FirstLate,
}

/// A participant that is hard to understand.
struct Mumbling<D: Home> {
    participant: Earnest<D>,
    wrong: Wrong,
    called_before: AtomicBool,
    called_again: Notify,
    contexts: Arc<Mutex<Vec<Option<Context>>>>,
}

impl<D: Home> Mumbling<D> {
    /// Serves it as `stock`, and says what contexts its calls come with.
    async fn serve(
        world: &World<D>,
        stock: &Earnest<D>,
        wrong: Wrong,
    ) -> Arc<Mutex<Vec<Option<Context>>>> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let contexts = Arc::default();
        let mumbling = Self {
            participant: stock.clone(),
            wrong,
            called_before: AtomicBool::new(false),
            called_again: Notify::new(),
            contexts: Arc::clone(&contexts),
        };
        let server = tonic::transport::Server::builder()
            .add_service(ParticipantServer::new(mumbling))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(server);
        world.coordinator.knows("stock", &url, stock.resource_id());
        contexts
    }
}

#[tonic::async_trait]
impl<D: Home> Participant for Mumbling<D> {
    async fn call_branches(
        &self,
        request: Request<CallBranchesRequest>,
    ) -> Result<Response<CallBranchesResponse>, Status> {
        let metadata = request.metadata();
        let context = Context::from_headers(|name| metadata.get(name)?.to_str().ok());
        self.contexts.lock().unwrap().push(context);
        let is_first = !self.called_before.swap(true, Ordering::SeqCst);
        match (self.wrong, is_first) {
            (Wrong::FirstLate, true) => self.called_again.notified().await,
            (Wrong::FirstLate, false) => {
                self.called_again.notify_one();
                std::future::pending::<()>().await;
            }
            (Wrong::FirstLost, _) => {}
        }
        let mut participant = ParticipantClient::new(self.participant.participant_service());
        let answer = participant.call_branches(request.into_inner()).await;
        match (self.wrong, is_first) {
            (Wrong::FirstLost, true) => Err(Status::unavailable("the connection broke")),
            _ => answer,
        }
    }

    async fn check_back(
        &self,
        _: Request<CheckBackRequest>,
    ) -> Result<Response<CheckBackResponse>, Status> {
        Err(Status::unimplemented("nothing was prepared here"))
    }

    async fn deliver(
        &self,
        _: Request<DeliverRequest>,
    ) -> Result<Response<DeliverResponse>, Status> {
        Err(Status::unimplemented("nothing is delivered here"))
    }
}

pub(crate) async fn p7_a_try_whose_answer_is_lost_is_called_again_and_runs_once<D: Home>() {
    let world = World::<D>::create().await;
    let (theirs, stock, runs) = reserving::<D>().await;
    let contexts = Mumbling::serve(&world, &stock, Wrong::FirstLost).await;
    let shop = world.sender().await;
    let mut tx = shop.begin().await.unwrap();
    let context = tx.context();
    assert_eq!((context.transaction, context.branch), (tx.id(), None));
    tx.try_("stock", "reserve", &1).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((runs.counts(), theirs.orders().await), ([1, 0, 0, 0], 1));

    // Both calls were told apart from others by the same context.
    let contexts = contexts.lock().unwrap().clone();
    assert_eq!(contexts.len(), 2);
    let trace = |context: &Context| context.traceparent.as_ref().unwrap()[..36].to_owned();
    for came in contexts {
        let came = came.unwrap();
        assert_eq!(
            (came.transaction, came.branch),
            (context.transaction, Some(0))
        );
        assert_eq!(trace(&came), trace(&context));
    }
}

pub(crate) async fn p6_a_slow_try_is_not_given_up_for_the_next_call<D: Home>() {
    let world = World::<D>::create().await;
    let (theirs, stock, runs) = reserving::<D>().await;
    let contexts = Mumbling::serve(&world, &stock, Wrong::FirstLate).await;
    let shop = world.sender().await;
    let mut tx = shop.begin().await.unwrap();
    tx.try_("stock", "reserve", &1).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((runs.counts(), theirs.orders().await), ([1, 0, 0, 0], 1));
    assert!(contexts.lock().unwrap().len() > 1);
}

pub(crate) async fn p6_an_instance_that_is_gone_is_passed_over<D: Home>() {
    let world = World::<D>::create().await;
    let (theirs, stock, runs) = reserving::<D>().await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    world.coordinator.knows("stock", &url, stock.resource_id());
    drop(nobody);
    serve(&world, &stock).await;
    let shop = world.sender().await;
    // Whichever of the two an id leads to first.
    for number in 1..=6 {
        let mut tx = shop.begin().await.unwrap();
        tx.try_("stock", "reserve", &number).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!((runs.counts(), theirs.orders().await), ([6, 0, 0, 0], 6));
}

pub(crate) async fn p7_a_branch_is_tried_at_its_own_database_only<D: Home>() {
    let world = World::<D>::create().await;
    let shards = [reserving::<D>().await, reserving::<D>().await];
    for (_, stock, _) in &shards {
        serve(&world, stock).await;
    }
    let shop = world.sender().await;
    let mut expected = [0, 0];
    for number in 1..=6 {
        let mut tx = shop.begin().await.unwrap();
        tx.try_("stock", "reserve", &number).await.unwrap();
        tx.rollback().await.unwrap();
        let calls = world.coordinator.calls();
        let registered = calls.iter().rev().find_map(|call| match call {
            Call::Prepare(prepare) => Some(prepare.branches[0].resource_id.clone()),
            _ => None,
        });
        let registered = registered.expect("prepared");
        let shard = shards
            .iter()
            .position(|(_, stock, _)| stock.resource_id() == registered);
        expected[shard.expect("one of them")] += 1;
        let [first, second] = &shards;
        assert_eq!(
            [first.0.orders().await, second.0.orders().await],
            expected,
            "tried at the database that the branch was registered for"
        );
    }
}
