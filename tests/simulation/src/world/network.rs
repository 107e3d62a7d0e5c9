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
use crate::plan::{FaultKind, Party};

/// The weather, which several faults may make worse at the same time.
#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    /// Of a thousand.
    requests_lost: u16,
    /// Of a thousand.
    responses_lost: u16,
    /// Of a thousand.
    doubled: u16,
    /// More under way, at most.
    delay_ms: u32,
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

    /// A seed for something that draws its own chance.
    pub(crate) fn draw_seed(&self, what: impl Hash) -> u64 {
        u64::from(self.state().chance.draw((what, "seed"), u32::MAX))
    }

    /// A fault of the network begins, or ends.
    pub(crate) fn turns(&self, kind: &FaultKind, begins: bool) {
        let mut state = self.state();
        let State { weather, cut, .. } = &mut *state;
        let change =
            |share: &mut u16, by: u16| *share = if begins { *share + by } else { *share - by };
        match *kind {
            FaultKind::LoseRequests(share) => change(&mut weather.requests_lost, share),
            FaultKind::LoseResponses(share) => change(&mut weather.responses_lost, share),
            FaultKind::Duplicate(share) => change(&mut weather.doubled, share),
            FaultKind::Delay(millis) if begins => weather.delay_ms += millis,
            FaultKind::Delay(millis) => weather.delay_ms -= millis,
            FaultKind::Cut(from, to, both) => {
                let directions = [Some((from, to)), both.then_some((to, from))];
                for direction in directions.into_iter().flatten() {
                    let times = cut.entry(direction).or_default();
                    *times = if begins { *times + 1 } else { *times - 1 };
                }
                cut.retain(|_, times| *times > 0);
            }
            _ => {}
        }
    }

    /// How often a kind of fault met something.
    pub(crate) fn meets(&self, kind: &'static str) {
        *self.state().met.entry(kind).or_default() += 1;
    }

    pub(crate) fn met(&self) -> BTreeMap<&'static str, u64> {
        self.state().met.clone()
    }

    /// Whether nothing gets from one to the other.
    pub(crate) fn is_cut(&self, from: Party, to: Party) -> bool {
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

    /// How long a segment of a stream is under way: what is lost is sent again, and comes later.
    pub(crate) fn segment(&self, from: Party, to: Party, is_request: bool) -> Duration {
        const AGAIN: u32 = 200;
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
        let mut wait = chance.draw((from, to), 3);
        if weather.delay_ms > 0 {
            wait += chance.draw((from, to, "delay"), weather.delay_ms + 1);
            *met.entry("delay").or_default() += 1;
        }
        while share > 0
            && wait < 20 * AGAIN
            && chance.draw((from, to, "lost"), 1_000) < u32::from(share)
        {
            wait += AGAIN;
            *met.entry(kind).or_default() += 1;
        }
        Duration::from_millis(wait.into())
    }

    /// Whether a stream breaks behind this segment: what it asked for is done, and whoever waits asks again.
    pub(crate) fn breaks(&self, from: Party, to: Party) -> bool {
        let mut state = self.state();
        let share = u32::from(state.weather.doubled);
        let breaks = share > 0 && state.chance.draw((from, to, "breaks"), 8_000) < share;
        if breaks {
            *state.met.entry("connection reset").or_default() += 1;
        }
        breaks
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
