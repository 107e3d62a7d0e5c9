//! The two levels that a plan is run at, and what a run needs of both.

use std::{collections::BTreeMap, sync::Arc};

use clap::ValueEnum;
use earnest_protocol::{Name, TransactionId};
use earnest_store::Store;
use serde::{Deserialize, Serialize};

use crate::{
    check::Book,
    plan::Op,
    wire::WireWorld,
    world::{World, faults::Scene, subscription_name},
};

/// How much of the system is real.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Journal, driver, use cases; callers call the use cases, and services are models. Fast.
    #[default]
    Commands,
    /// The same with real gRPC on both sides and the real SDK in every service, over simulated connections.
    Wire,
}

/// What a run plays with.
pub(crate) trait Cast: Scene {
    fn store(&self) -> &dyn Store;
    fn book(&self) -> &Book;
    /// A person decides what services have forgotten, by what is known of it otherwise.
    fn decide_forgotten(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
    fn met(&self) -> BTreeMap<&'static str, u64>;
    fn subscribe_all(&self) -> impl Future<Output = ()> + Send;
    fn start(self: &Arc<Self>);
    fn act(self: Arc<Self>, operation: u32, op: Op) -> impl Future<Output = ()> + Send;
    fn retry(self: &Arc<Self>, round: u32, id: TransactionId) -> impl Future<Output = ()> + Send;
    /// A consumer that stays away while all others are well (V2), or comes back.
    fn stay_away(&self, consumer: u8, away: bool);
    /// Everybody who has put off a decision makes it.
    fn make_up_minds(&self) {}
    /// The run is over: nothing of it may hold on to the rest.
    fn let_go(&self);
    /// What only participants know is brought into the book, at the end.
    fn reckon(&self) {}

    /// The name of a consumer's subscription.
    fn subscription_of(&self, consumer: u8) -> Name {
        subscription_name(consumer)
    }
}

impl Cast for World {
    fn reckon(&self) {
        self.reckon();
    }

    fn store(&self) -> &dyn Store {
        self.store()
    }

    fn book(&self) -> &Book {
        &self.book
    }

    fn met(&self) -> BTreeMap<&'static str, u64> {
        self.met()
    }

    async fn subscribe_all(&self) {
        self.subscribe_all().await;
    }

    fn start(self: &Arc<Self>) {
        self.start_nodes();
    }

    async fn act(self: Arc<Self>, operation: u32, op: Op) {
        if op.is_transaction() {
            self.serve(operation, op).await;
        } else {
            self.operate(operation, op).await;
        }
    }

    async fn retry(self: &Arc<Self>, round: u32, id: TransactionId) {
        self.retry(round, id).await;
    }

    fn stay_away(&self, consumer: u8, away: bool) {
        self.stay_away(consumer, away);
    }

    fn make_up_minds(&self) {
        self.make_up_minds();
    }

    fn let_go(&self) {
        self.let_go();
    }
}

impl Cast for WireWorld {
    fn store(&self) -> &dyn Store {
        self.store()
    }

    fn book(&self) -> &Book {
        &self.book
    }

    fn met(&self) -> BTreeMap<&'static str, u64> {
        self.met()
    }

    async fn subscribe_all(&self) {
        self.subscribe_all().await;
    }

    fn start(self: &Arc<Self>) {
        self.start_all();
    }

    async fn act(self: Arc<Self>, operation: u32, op: Op) {
        if op.is_transaction() {
            self.serve(operation, op).await;
        } else {
            self.operate(operation, op).await;
        }
    }

    async fn decide_forgotten(&self) {
        self.decide_forgotten().await;
    }

    async fn retry(self: &Arc<Self>, round: u32, id: TransactionId) {
        // Named in full: an `Arc` finds the trait's own first.
        WireWorld::retry(self, round, id).await;
    }

    fn stay_away(&self, consumer: u8, away: bool) {
        self.stay_away(consumer, away);
    }

    fn let_go(&self) {
        self.let_go();
    }

    fn reckon(&self) {
        self.reckon();
    }
}
