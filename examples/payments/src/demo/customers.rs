//! The customers: some at a time, each with one payment after the other, patient, impatient, or gone before the answer.
//!
//! A customer who wants to know asks again with the same payment id, however often the cashier dies meanwhile.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, bail};
use payments::Payment;
use reqwest::{Client, StatusCode};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    checker::Told,
    plan::{Errand, Kind, Manner},
};

/// How many customers are served at the same time.
const AT_ONCE: usize = 8;
/// However fast the machine is, a run stays readable.
const MOST_PAYMENTS: u32 = 20_000;
/// For one payment, all tries together; longer than any death lasts.
const PATIENCE: Duration = Duration::from_mins(1);

/// What happened so far.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    next: AtomicU32,
    stop: AtomicBool,
    pub made: AtomicU64,
    pub refused: AtomicU64,
    pub hung_up: AtomicU64,
    /// Answers that a payment had been made before.
    pub repeats: AtomicU64,
    told: Mutex<BTreeMap<String, Told>>,
}

impl Counter {
    /// No more new payments.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// How many payments came to their end, one way or another.
    pub(crate) fn answered(&self) -> u64 {
        [&self.made, &self.refused, &self.hung_up]
            .iter()
            .map(|n| n.load(Ordering::Relaxed))
            .sum()
    }

    /// What each customer was told.
    pub(crate) fn told(&self) -> BTreeMap<String, Told> {
        self.told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn tell(&self, payment: String, told: Told) {
        match told {
            Told::Made => &self.made,
            Told::Refused => &self.refused,
            Told::Nothing => &self.hung_up,
        }
        .fetch_add(1, Ordering::Relaxed);
        let mut all = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(payment, told);
    }
}

/// All customers together.
#[derive(Clone)]
pub(crate) struct Customers {
    http: Client,
    cashier: String,
    seed: u64,
    counter: Arc<Counter>,
}

impl Customers {
    pub(crate) fn new(cashier: String, seed: u64, counter: Arc<Counter>) -> anyhow::Result<Self> {
        let http = Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(1))
            .timeout(Duration::from_secs(10))
            .build()?;
        Ok(Self {
            http,
            cashier,
            seed,
            counter,
        })
    }

    /// Makes payments until the counter says stop.
    pub(crate) async fn shop(self) -> anyhow::Result<()> {
        let mut customers = JoinSet::new();
        for _ in 0..AT_ONCE {
            let customer = self.clone();
            customers.spawn(async move { customer.one_after_the_other().await });
        }
        while let Some(ended) = customers.join_next().await {
            ended??;
        }
        Ok(())
    }

    async fn one_after_the_other(&self) -> anyhow::Result<()> {
        loop {
            let number = self.counter.next.fetch_add(1, Ordering::Relaxed);
            if number >= MOST_PAYMENTS || self.counter.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let errand = Errand::of(self.seed, number);
            sleep(errand.pause).await;
            let told = self.run(&errand).await?;
            if told == Told::Made && errand.kind != Kind::Good {
                bail!(
                    "payment {} was made, though it is {:?}",
                    errand.payment.id,
                    errand.kind
                );
            }
            self.counter.tell(errand.payment.id, told);
        }
    }

    async fn run(&self, errand: &Errand) -> anyhow::Result<Told> {
        let payment = &errand.payment;
        match errand.manner {
            Manner::Patient => self.until_answered(payment).await,
            Manner::Impatient => {
                let (one, other) =
                    tokio::join!(self.until_answered(payment), self.until_answered(payment));
                let (one, other) = (one?, other?);
                if one != other {
                    bail!(
                        "P5: of payment {}, asked for twice, one customer was told {one:?} and the other {other:?}",
                        payment.id
                    );
                }
                Ok(one)
            }
            Manner::HangsUp(after) => Ok(timeout(after, self.ask(payment))
                .await
                .ok()
                .flatten()
                .unwrap_or(Told::Nothing)),
        }
    }

    async fn until_answered(&self, payment: &Payment) -> anyhow::Result<Told> {
        let asking = async {
            loop {
                if let Some(told) = self.ask(payment).await {
                    return told;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, asking).await.with_context(|| {
            format!(
                "payment {} is not answered after {PATIENCE:?} of asking",
                payment.id
            )
        })
    }

    /// Asks once. `None`: no answer, or none that says what became of the payment.
    async fn ask(&self, payment: &Payment) -> Option<Told> {
        let url = format!("{}/payments", self.cashier);
        let answer = self.http.post(url).json(payment).send().await.ok()?;
        match answer.status() {
            StatusCode::CREATED => Some(Told::Made),
            StatusCode::OK => {
                self.counter.repeats.fetch_add(1, Ordering::Relaxed);
                Some(Told::Made)
            }
            StatusCode::UNPROCESSABLE_ENTITY => Some(Told::Refused),
            _ => None,
        }
    }
}
