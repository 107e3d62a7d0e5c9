//! Where leased work waits for its turn: bounded altogether and per target, so that one dead or slow
//! destination, or one huge backlog, takes no room from the others (P12, P13).

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use earnest_protocol::NodeEpoch;
use earnest_store::{Admission, Target, Work};
use tokio::{sync::Notify, time::Instant};

use super::breaker::{Breaker, BreakerState};
use crate::{journal::Dispatcher, planted::planted};

/// Messages, or branches, of one call.
const BATCH: usize = 64;
/// Calls to one subscription at the same time; more messages ride in larger batches.
const DELIVERY_CALLS: usize = 8;
/// Calls to one participant at the same time; more branches ride in larger batches.
const BRANCH_CALLS: usize = 8;
/// Check-backs of one initiator at the same time.
const CHECK_BACK_CALLS: usize = 16;
/// A target that holds nothing and has a closed breaker is forgotten beyond this many.
const REMEMBERED: usize = 4_096;

/// Bounds of the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoardOptions {
    /// Work in memory altogether.
    pub total: usize,
    /// Work in memory of one target.
    pub per_target: usize,
}

impl Default for BoardOptions {
    fn default() -> Self {
        Self {
            total: 16_384,
            per_target: 2_048,
        }
    }
}

/// How a target does, for people.
#[derive(Debug, Clone)]
pub struct TargetStatus {
    /// Which.
    pub target: Target,
    /// Waiting for their turn.
    pub waiting: usize,
    /// In calls.
    pub under_way: usize,
    /// Its breaker.
    pub breaker: BreakerState,
}

#[derive(Default)]
struct Lane {
    waiting: VecDeque<Work>,
    /// Work in calls, and the calls.
    under_way: usize,
    calls: usize,
    /// Work whose call has ended and whose end is being written: it still takes up memory, but no place at
    /// the destination.
    settling: usize,
    breaker: Breaker,
}

#[derive(Default)]
struct Lanes {
    by_target: HashMap<Target, Lane>,
    /// Targets that may have something to run, each once, in turn.
    ready: VecDeque<Target>,
    total: usize,
    closed: bool,
}

/// The board.
pub struct Board {
    lanes: Mutex<Lanes>,
    epoch: AtomicI64,
    options: BoardOptions,
    /// Something may be ready to run.
    pub(super) ready: Notify,
    /// Something may be due for a claim.
    pub(super) due: Notify,
    /// Leases may be held that nobody here runs.
    pub(super) renewal: Notify,
}

impl Board {
    /// An empty one.
    pub fn new(options: BoardOptions) -> Self {
        Self {
            lanes: Mutex::default(),
            epoch: AtomicI64::new(0),
            options,
            ready: Notify::new(),
            due: Notify::new(),
            renewal: Notify::new(),
        }
    }

    /// The node's present epoch.
    pub fn epoch(&self) -> NodeEpoch {
        NodeEpoch(self.epoch.load(Ordering::Acquire))
    }

    pub(super) fn set_epoch(&self, epoch: NodeEpoch) {
        self.epoch.store(epoch.0, Ordering::Release);
    }

    /// Takes no more work, and lets go of what waits: its lease is given back by the drain.
    pub(super) fn close(&self) {
        let mut lanes = self.lock();
        lanes.closed = true;
        let let_go: usize = lanes
            .by_target
            .values_mut()
            .map(|lane| lane.waiting.drain(..).count())
            .sum();
        lanes.total -= let_go;
    }

    /// How each target does.
    pub fn targets(&self, now: Instant) -> Vec<TargetStatus> {
        let status = |(target, lane): (&Target, &Lane)| TargetStatus {
            target: target.clone(),
            waiting: lane.waiting.len(),
            under_way: lane.under_way,
            breaker: lane.breaker.state(now),
        };
        self.lock().by_target.iter().map(status).collect()
    }

    /// Work in memory.
    pub fn total(&self) -> usize {
        self.lock().total
    }

    /// Puts leased work on the board. It is taken even beyond the bounds: it is leased already, and claims
    /// and admissions see the bounds passed.
    pub(super) fn put(&self, work: Vec<Work>) {
        if work.is_empty() {
            return;
        }
        let mut lanes = self.lock();
        if lanes.closed {
            return;
        }
        for work in work {
            let target = work.target();
            let lanes = &mut *lanes;
            lanes.total += 1;
            let lane = lanes.by_target.entry(target.clone()).or_default();
            lane.waiting.push_back(work);
            if lane.waiting.len() == 1 {
                lanes.ready.push_back(target);
            }
        }
        drop(lanes);
        self.ready.notify_one();
    }

    /// The next batch of work to run, of one target, in turn; `None`: nothing may run now.
    pub(super) fn take(&self) -> Option<(Target, Vec<Work>)> {
        let mut lanes = self.lock();
        let lanes = &mut *lanes;
        while let Some(target) = lanes.ready.pop_front() {
            let Some(lane) = lanes.by_target.get_mut(&target) else {
                continue;
            };
            let size = lane.next_size();
            let batch: Vec<_> = lane.waiting.drain(..size).collect();
            if batch.is_empty() {
                // At its bound, or empty: a call that ends puts it back.
                continue;
            }
            lane.under_way += batch.len();
            lane.calls += 1;
            if lane.next_size() > 0 {
                lanes.ready.push_back(target.clone());
            }
            return Some((target, batch));
        }
        None
    }

    /// A call with `count` pieces of work ended: `down` says that the target did not answer. Returns work to
    /// give back because the target's breaker is open.
    pub(super) fn call_ended(
        &self,
        target: &Target,
        count: usize,
        down: bool,
        now: Instant,
    ) -> Vec<Work> {
        let mut lanes = self.lock();
        let lanes = &mut *lanes;
        let Some(lane) = lanes.by_target.get_mut(target) else {
            return vec![];
        };
        lane.calls -= 1;
        lane.under_way -= count;
        lane.settling += count;
        let mut give_back = Vec::new();
        if !down {
            lane.breaker.succeeded();
        } else if lane.breaker.failed(now) {
            give_back = lane.withdraw();
        }
        if lane.next_size() > 0 {
            lanes.ready.push_back(target.clone());
        }
        self.ready.notify_one();
        give_back
    }

    /// Takes what waits for a target off the board, to be given back: it was paused.
    pub(crate) fn withdraw(&self, target: &Target) -> Vec<Work> {
        let mut lanes = self.lock();
        lanes
            .by_target
            .get_mut(target)
            .map_or_else(Vec::new, Lane::withdraw)
    }

    /// A target says that it is back: what waits for it is looked for at once, whatever its breaker says.
    pub(crate) fn is_back(&self, target: &Target, now: Instant) {
        if let Some(lane) = self.lock().by_target.get_mut(target) {
            lane.breaker.probe(now);
        }
        self.due.notify_one();
    }

    /// Says that leases may be held under this epoch that nobody runs: the node enrols anew, and whatever the
    /// old epoch held is free again.
    pub(crate) fn renew_epoch(&self) {
        self.renewal.notify_one();
    }

    /// Work of a target is over, written and done with.
    pub(crate) fn finished(&self, target: &Target, count: usize) {
        let mut lanes = self.lock();
        let lanes = &mut *lanes;
        lanes.total -= count;
        let remembered = lanes.by_target.len();
        if let Some(lane) = lanes.by_target.get_mut(target) {
            lane.settling -= count;
            if lane.is_idle() && remembered > REMEMBERED {
                lanes.by_target.remove(target);
            }
        }
    }

    /// What a claim may bring: altogether, per unnamed target, and for those on the board.
    pub(super) fn room(&self, now: Instant) -> (usize, usize, HashMap<Target, usize>) {
        let lanes = self.lock();
        if lanes.closed {
            return (0, 0, HashMap::new());
        }
        let room = lanes
            .by_target
            .iter()
            .map(|(target, lane)| (target.clone(), self.room_of(lane, now)));
        (
            self.options.total.saturating_sub(lanes.total),
            self.options.per_target,
            room.collect(),
        )
    }

    /// When the first breaker that is open lets a probe through.
    pub(super) fn next_probe(&self, now: Instant) -> Option<Instant> {
        let lanes = self.lock();
        let open = lanes
            .by_target
            .values()
            .filter(|lane| lane.breaker.state(now) == BreakerState::Open);
        open.filter_map(|lane| lane.breaker.retry_at()).min()
    }

    fn room_of(&self, lane: &Lane, now: Instant) -> usize {
        let held = lane.held();
        match lane.breaker.state(now) {
            BreakerState::Closed => self.options.per_target.saturating_sub(held),
            // Ends that are still being written say nothing about the destination.
            BreakerState::HalfOpen if planted!(BreakerStaysOpen) => 0,
            BreakerState::HalfOpen => usize::from(held == lane.settling),
            BreakerState::Open => 0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// How much of what waits may be run in one call now.
    fn next_size(&self) -> usize {
        let size = match self.waiting.front() {
            None => 0,
            Some(Work::CheckBack(_)) => usize::from(self.calls < CHECK_BACK_CALLS),
            Some(Work::Branch(_)) if self.calls >= BRANCH_CALLS => 0,
            Some(Work::Branch(_)) => BATCH,
            Some(Work::Delivery(_)) if self.calls >= DELIVERY_CALLS => 0,
            Some(Work::Delivery(work)) => {
                let concurrency = (work.subscription.concurrency as usize).max(1);
                BATCH.min(concurrency.saturating_sub(self.under_way))
            }
        };
        size.min(self.waiting.len())
    }

    /// Takes off what waits; it stays counted until it is given back.
    fn withdraw(&mut self) -> Vec<Work> {
        self.settling += self.waiting.len();
        self.waiting.drain(..).collect()
    }

    fn held(&self) -> usize {
        self.waiting.len() + self.under_way + self.settling
    }

    fn is_idle(&self) -> bool {
        self.held() == 0 && self.breaker.retry_at().is_none()
    }
}

impl Admission for Board {
    fn admits(&self, target: &Target) -> bool {
        let lanes = self.lock();
        if lanes.closed || lanes.total >= self.options.total {
            return false;
        }
        lanes.by_target.get(target).is_none_or(|lane| {
            // A probe comes from a claim, so that a batch doesn't send many of them.
            lane.breaker.retry_at().is_none() && lane.held() < self.options.per_target
        })
    }
}

/// The board as the journal sees it.
pub struct BoardDispatcher(pub Arc<Board>);

impl Dispatcher for BoardDispatcher {
    fn epoch(&self) -> NodeEpoch {
        self.0.epoch()
    }

    fn admission(&self) -> Arc<dyn Admission> {
        Arc::clone(&self.0) as Arc<dyn Admission>
    }

    fn dispatch(&self, work: Vec<Work>) {
        self.0.put(work);
    }

    fn orphaned(&self) {
        self.0.renew_epoch();
    }
}
