//! Those who call: they are many and impatient, they repeat themselves and contradict each other, and they write down what
//! they asked and what they were told.

mod coordinator;
mod orders;
mod rivals;
mod watcher;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use earnest_history::{Call, Event};
use tokio::task::JoinSet;

use crate::{record::Recorder, stage::Stage};

const ORDERERS: u32 = 6;
const RIVALS: u32 = 3;

/// What all clients share.
pub(crate) struct Clients {
    seed: u64,
    recorder: Arc<Recorder>,
    http: reqwest::Client,
    shop: String,
    coordinators: Vec<String>,
    /// Ids that somebody has heard of, for those who look.
    heard_of: Mutex<Vec<String>>,
    placed: AtomicU64,
    stopped: AtomicBool,
}

impl Clients {
    pub(crate) fn new(seed: u64, recorder: Arc<Recorder>, stage: &Stage) -> Result<Self> {
        let coordinators = stage.coordinators();
        Ok(Self {
            seed,
            recorder,
            // No connection is kept: each call meets the network as it is.
            http: reqwest::Client::builder()
                .pool_max_idle_per_host(1)
                .build()?,
            shop: stage.member("shop")?.proxy.url(),
            coordinators: coordinators.map(|member| member.proxy.url()).collect(),
            heard_of: Mutex::default(),
            placed: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        })
    }

    /// Lets them all call until they are told to stop.
    pub(crate) fn begin(self: &Arc<Self>) -> JoinSet<Result<()>> {
        let mut calling = JoinSet::new();
        for number in 0..ORDERERS {
            calling.spawn(orders::run(Arc::clone(self), number));
        }
        for number in 0..RIVALS {
            calling.spawn(rivals::run(Arc::clone(self), number));
        }
        calling.spawn(watcher::run(Arc::clone(self)));
        calling
    }

    /// No new calls; those under way are still answered.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// How many orders were placed.
    pub(crate) fn placed(&self) -> u64 {
        self.placed.load(Ordering::SeqCst)
    }

    /// Makes one call and writes it down; `read` says what the answer means.
    async fn call<T>(
        &self,
        who: &str,
        call: Call,
        patience: Duration,
        request: reqwest::RequestBuilder,
        read: impl FnOnce(u64, u16, &[u8]) -> (Event, T),
    ) -> Result<Option<T>> {
        let op = self.recorder.invoke(who, call)?;
        let answer = async {
            let answer = request.timeout(patience).send().await?;
            let status = answer.status().as_u16();
            Ok::<_, reqwest::Error>((status, answer.bytes().await?))
        };
        let (event, told) = match answer.await {
            Ok((status, body)) => {
                let (event, told) = read(op, status, &body);
                (event, Some(told))
            }
            Err(error) => {
                let why = if error.is_timeout() {
                    "timeout".to_owned()
                } else {
                    error.without_url().to_string()
                };
                (Event::Unknown { op, why }, None)
            }
        };
        self.recorder.write(who, event)?;
        Ok(told)
    }

    fn hear_of(&self, id: &str) {
        let mut ids = self.heard_of.lock().unwrap_or_else(PoisonError::into_inner);
        ids.push(id.to_owned());
    }
}
