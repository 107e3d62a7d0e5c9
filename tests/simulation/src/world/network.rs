//! Calls between parties: late, lost on either leg, doubled, cut in one direction or both.
//!
//! A call's effect happens at its receiver whether or not its caller still waits: what a caller saw is never more than a
//! hint of what was done.

use std::{
    collections::BTreeMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

use super::chance::Chance;
use crate::plan::Party;

/// The weather, which several faults may make worse at the same time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weather {
    /// Of a thousand.
    pub(crate) requests_lost: u16,
    /// Of a thousand.
    pub(crate) responses_lost: u16,
    /// Of a thousand.
    pub(crate) doubled: u16,
    /// More under way, at most.
    pub(crate) delay_ms: u32,
}

struct State {
    chance: Chance,
    weather: Weather,
    /// Directions that are cut, and by how many faults.
    cut: BTreeMap<(Party, Party), u32>,
    met: BTreeMap<&'static str, u64>,
}

pub(crate) struct Network(Mutex<State>);

/// Why a call was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Nothing came back in time.
    Silence,
    /// Nobody listens there.
    Refused,
}

impl Network {
    pub(crate) fn new(seed: u64, start: Instant) -> Self {
        Self(Mutex::new(State {
            chance: Chance::new(seed, start),
            weather: Weather::default(),
            cut: BTreeMap::new(),
            met: BTreeMap::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no draw panics")
    }

    /// A number below `bound`, for `what`.
    pub(crate) fn draw(&self, what: impl Hash, bound: u32) -> u32 {
        self.state().chance.draw(what, bound)
    }

    pub(crate) fn weather(&self, change: impl FnOnce(&mut Weather)) {
        change(&mut self.state().weather);
    }

    pub(crate) fn cut(&self, from: Party, to: Party) {
        *self.state().cut.entry((from, to)).or_default() += 1;
    }

    pub(crate) fn mend(&self, from: Party, to: Party) {
        let mut state = self.state();
        if let Some(times) = state.cut.get_mut(&(from, to)) {
            *times -= 1;
            if *times == 0 {
                state.cut.remove(&(from, to));
            }
        }
    }

    /// How often a kind of fault met something.
    pub(crate) fn meets(&self, kind: &'static str) {
        *self.state().met.entry(kind).or_default() += 1;
    }

    pub(crate) fn met(&self) -> BTreeMap<&'static str, u64> {
        self.state().met.clone()
    }

    fn is_cut(&self, from: Party, to: Party) -> bool {
        let mut state = self.state();
        if state.cut.is_empty() || !state.cut.contains_key(&(from, to)) {
            return false;
        }
        let both = state.cut.contains_key(&(to, from));
        let kind = if both {
            "partition both ways"
        } else {
            "partition one way"
        };
        *state.met.entry(kind).or_default() += 1;
        true
    }

    /// One leg of a call; false: it never arrives.
    async fn leg(&self, from: Party, to: Party, is_request: bool) -> bool {
        if self.is_cut(from, to) {
            return false;
        }
        let (lost, wait) = {
            let mut state = self.state();
            let State {
                chance,
                weather,
                met,
                ..
            } = &mut *state;
            let (share, kind) = if is_request {
                (weather.requests_lost, "requests lost")
            } else {
                (weather.responses_lost, "responses lost")
            };
            let lost = share > 0 && chance.draw((from, to, "lost"), 1_000) < u32::from(share);
            if lost {
                *met.entry(kind).or_default() += 1;
            }
            let mut wait = chance.draw((from, to), 3);
            if weather.delay_ms > 0 {
                wait += chance.draw((from, to, "delay"), weather.delay_ms + 1);
                *met.entry("delay").or_default() += 1;
            }
            (lost, wait)
        };
        if lost {
            return false;
        }
        if wait > 0 {
            tokio::time::sleep(Duration::from_millis(wait.into())).await;
        }
        !self.is_cut(from, to)
    }

    /// The way there.
    pub(crate) async fn request(&self, from: Party, to: Party) -> bool {
        self.leg(from, to, true).await
    }

    /// The way back.
    pub(crate) async fn response(&self, from: Party, to: Party) -> bool {
        self.leg(from, to, false).await
    }

    /// Calls `to`, which does `act`, once or, when the call is doubled, twice. `None` from it: nobody listens.
    pub(crate) async fn call<T, F>(
        self: &Arc<Self>,
        from: Party,
        to: Party,
        patience: Duration,
        act: impl Fn() -> F + Send + 'static,
    ) -> Result<T, Lost>
    where
        T: Send + 'static,
        F: Future<Output = Option<T>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let network = Arc::clone(self);
        tokio::spawn(async move {
            if !network.request(from, to).await {
                return;
            }
            let doubled = {
                let mut state = network.state();
                let share = state.weather.doubled;
                share > 0 && state.chance.draw((from, to, "doubled"), 1_000) < u32::from(share)
            };
            if doubled {
                network.meets("duplicates");
                let again = act();
                let later = Duration::from_millis(network.draw((from, to, "again"), 50).into());
                tokio::spawn(async move {
                    tokio::time::sleep(later).await;
                    again.await;
                });
            }
            let result = act().await.ok_or(Lost::Refused);
            if network.response(to, from).await {
                // A caller that has gone away hears nothing.
                let _ = answer.send(result);
            }
        });
        let deadline = Instant::now() + patience;
        if let Ok(Ok(result)) = tokio::time::timeout_at(deadline, answered).await {
            return result;
        }
        // Lost, which the caller can't tell from late: it waits as long.
        tokio::time::sleep_until(deadline).await;
        Err(Lost::Silence)
    }
}
