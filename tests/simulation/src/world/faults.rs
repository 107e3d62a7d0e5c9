//! Lets faults begin and end.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::World;
use crate::plan::{Fault, FaultKind, Mood};

impl World {
    pub(crate) fn start_nodes(self: &Arc<Self>) {
        for node in &self.nodes {
            node.start(self);
        }
    }

    /// One fault, from its beginning to its end.
    pub(crate) async fn suffer(self: Arc<Self>, fault: Fault, start: Instant) {
        let begin = start + Duration::from_millis(fault.at_ms.into());
        tokio::time::sleep_until(begin).await;
        self.trace
            .note(format_args!("fault begins: {:?}", fault.kind));
        self.begins(&fault.kind);
        tokio::time::sleep(Duration::from_millis(fault.for_ms.into())).await;
        self.ends(&fault.kind);
        self.trace
            .note(format_args!("fault ends: {:?}", fault.kind));
    }

    fn begins(&self, kind: &FaultKind) {
        match *kind {
            FaultKind::Crash(n) => self.nodes[usize::from(n)].kill(),
            FaultKind::Pause(n) => self.nodes[usize::from(n)].pause(),
            FaultKind::Drain(n) => self.nodes[usize::from(n)].drain(),
            FaultKind::Cut(from, to, both) => {
                self.network.cut(from, to);
                if both {
                    self.network.cut(to, from);
                }
            }
            FaultKind::LoseRequests(share) => {
                self.network
                    .weather(|weather| weather.requests_lost += share);
            }
            FaultKind::LoseResponses(share) => {
                self.network
                    .weather(|weather| weather.responses_lost += share);
            }
            FaultKind::Delay(millis) => self.network.weather(|weather| weather.delay_ms += millis),
            FaultKind::Duplicate(share) => self.network.weather(|weather| weather.doubled += share),
            FaultKind::StoreClock(millis) => self.store_clock.jump(millis),
            FaultKind::NodeClock(n, millis) => self.nodes[usize::from(n)].clock.jump(millis),
            FaultKind::InitiatorClock(n, millis) => {
                self.initiators[usize::from(n)].clock.jump(millis);
            }
            FaultKind::Store(n, fault) => {
                let faults = &self.nodes[usize::from(n)].faults;
                faults.lock().expect("nothing panics in here").push(fault);
            }
            FaultKind::CrashInitiator(n) => self.initiators[usize::from(n)].kill(),
            FaultKind::InitiatorDatabase(n) => self.initiators[usize::from(n)].database.away(true),
            FaultKind::CrashConsumer(n) => self.consumers[usize::from(n)].kill(),
            FaultKind::Consumer(n, mood) => self.consumers[usize::from(n)].turns(mood),
        }
        if is_met_at_once(kind) {
            self.meets(kind.name());
        }
    }

    fn ends(self: &Arc<Self>, kind: &FaultKind) {
        match *kind {
            FaultKind::Crash(n) | FaultKind::Drain(n) => {
                self.nodes[usize::from(n)].start_again(self);
            }
            FaultKind::Pause(n) => self.nodes[usize::from(n)].resume(),
            FaultKind::Cut(from, to, both) => {
                self.network.mend(from, to);
                if both {
                    self.network.mend(to, from);
                }
            }
            FaultKind::LoseRequests(share) => {
                self.network
                    .weather(|weather| weather.requests_lost -= share);
            }
            FaultKind::LoseResponses(share) => {
                self.network
                    .weather(|weather| weather.responses_lost -= share);
            }
            FaultKind::Delay(millis) => self.network.weather(|weather| weather.delay_ms -= millis),
            FaultKind::Duplicate(share) => self.network.weather(|weather| weather.doubled -= share),
            // A clock that was set wrong stays wrong.
            FaultKind::StoreClock(_) | FaultKind::NodeClock(..) | FaultKind::InitiatorClock(..) => {
            }
            FaultKind::Store(n, fault) => {
                let mut faults = self.nodes[usize::from(n)]
                    .faults
                    .lock()
                    .expect("nothing panics in here");
                if let Some(at) = faults.iter().position(|other| *other == fault) {
                    faults.remove(at);
                }
            }
            FaultKind::CrashInitiator(n) => self.initiators[usize::from(n)].start_again(),
            FaultKind::InitiatorDatabase(n) => self.initiators[usize::from(n)].database.away(false),
            FaultKind::CrashConsumer(n) => self.consumers[usize::from(n)].start_again(),
            FaultKind::Consumer(n, mood) => self.consumers[usize::from(n)].recovers(mood),
        }
    }

    /// A consumer that stays away while all others are well (V2), or comes back.
    pub(crate) fn stay_away(&self, consumer: u8, away: bool) {
        let consumer = &self.consumers[usize::from(consumer)];
        if away {
            consumer.turns(Mood::Down);
        } else {
            consumer.recovers(Mood::Down);
        }
    }
}

/// The others count when something meets them.
fn is_met_at_once(kind: &FaultKind) -> bool {
    !matches!(
        kind,
        FaultKind::Cut(..)
            | FaultKind::LoseRequests(_)
            | FaultKind::LoseResponses(_)
            | FaultKind::Delay(_)
            | FaultKind::Duplicate(_)
            | FaultKind::Store(..)
            | FaultKind::Consumer(..)
            | FaultKind::InitiatorDatabase(_)
    )
}
