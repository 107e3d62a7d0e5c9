//! Lets faults begin and end, whatever they happen to.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Network, SimulatedClock, Trace, World, link::StoreFaults};
use crate::{
    check::Observer,
    plan::{Fault, FaultKind, Mood},
};

/// Transactions of one step of a purge, as the reaper takes them.
const PURGE_STEP: usize = 200;

/// What happens to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    /// Killed, as by SIGKILL or loss of power.
    Kill,
    /// Stopped in order, as by SIGTERM.
    Drain,
    /// One blow fewer keeps it down.
    StartAgain,
    /// Stopped, as by SIGSTOP.
    Pause,
    /// Goes on.
    Resume,
}

/// Where faults happen.
pub(crate) trait Scene: Send + Sync + 'static {
    fn trace(&self) -> &Trace;
    fn observer(&self) -> &Observer;
    fn network(&self) -> &Network;
    fn store_clock(&self) -> &SimulatedClock;
    fn node_clock(&self, node: u8) -> &SimulatedClock;
    fn initiator_clock(&self, initiator: u8) -> &SimulatedClock;
    fn node_faults(&self, node: u8) -> &StoreFaults;
    fn node(self: &Arc<Self>, node: u8, blow: Blow);
    fn initiator(self: &Arc<Self>, initiator: u8, blow: Blow);
    fn initiator_database(&self, initiator: u8, away: bool);
    /// Another database answers in the place of its own, or no longer.
    fn foreign_database(self: &Arc<Self>, initiator: u8, foreign: bool);
    /// A fence forgets what is older; where there is no real one, nothing.
    fn forgets(&self, _initiator: u8, _older_than: Duration) -> impl Future<Output = ()> + Send {
        async {}
    }
    fn consumer(self: &Arc<Self>, consumer: u8, blow: Blow);
    /// Where services reserve.
    fn participant(self: &Arc<Self>, participant: u8, blow: Blow);
    /// A mood of one begins, or ends.
    fn participant_mood(&self, participant: u8, mood: Mood, begins: bool);
    /// A mood begins, or ends.
    fn mood(&self, consumer: u8, mood: Mood, begins: bool);
    /// What was held up by a cut may go on.
    fn mended(&self) {}
}

/// One fault, from its beginning to its end.
pub(crate) async fn suffer(scene: Arc<impl Scene>, fault: Fault, start: Instant) {
    let begin = start + Duration::from_millis(fault.at_ms.into());
    tokio::time::sleep_until(begin).await;
    scene
        .trace()
        .note(format_args!("fault begins: {:?}", fault.kind));
    begins(&scene, &fault.kind);
    match fault.kind {
        FaultKind::PurgeHistory(age) => purge(&*scene, millis(age)).await,
        FaultKind::ForgetEarly(n, age) => scene.forgets(n, millis(age)).await,
        _ => {}
    }
    if is_met_at_once(&fault.kind) {
        scene.network().meets(fault.kind.name());
    }
    tokio::time::sleep(Duration::from_millis(fault.for_ms.into())).await;
    ends(&scene, &fault.kind);
    scene
        .trace()
        .note(format_args!("fault ends: {:?}", fault.kind));
}

fn millis(count: u32) -> Duration {
    Duration::from_millis(count.into())
}

async fn purge(scene: &impl Scene, older_than: Duration) {
    loop {
        let step = scene.observer().purge(older_than, PURGE_STEP).await;
        let report = step.expect("the memory store answers");
        if report.removed > 0 {
            scene.network().meets(FaultKind::PurgeHistory(0).name());
        }
        if !report.more {
            return;
        }
    }
}

fn begins(scene: &Arc<impl Scene>, kind: &FaultKind) {
    match *kind {
        FaultKind::Crash(n) => scene.node(n, Blow::Kill),
        FaultKind::Pause(n) => scene.node(n, Blow::Pause),
        FaultKind::Drain(n) => scene.node(n, Blow::Drain),
        FaultKind::StoreClock(millis) => scene.store_clock().jump(millis),
        FaultKind::NodeClock(n, millis) => scene.node_clock(n).jump(millis),
        FaultKind::InitiatorClock(n, millis) => scene.initiator_clock(n).jump(millis),
        FaultKind::Store(n, fault) => {
            let faults = scene.node_faults(n);
            faults.lock().expect("nothing panics in here").push(fault);
        }
        FaultKind::CrashInitiator(n) => scene.initiator(n, Blow::Kill),
        FaultKind::InitiatorDatabase(n) => scene.initiator_database(n, true),
        FaultKind::ForeignDatabase(n) => scene.foreign_database(n, true),
        // Over at once.
        FaultKind::ForgetEarly(..) | FaultKind::PurgeHistory(_) => {}
        FaultKind::CrashConsumer(n) => scene.consumer(n, Blow::Kill),
        FaultKind::Consumer(n, mood) => scene.mood(n, mood, true),
        FaultKind::CrashParticipant(n) => scene.participant(n, Blow::Kill),
        FaultKind::Participant(n, mood) => scene.participant_mood(n, mood, true),
        FaultKind::Cut(..)
        | FaultKind::LoseRequests(_)
        | FaultKind::LoseResponses(_)
        | FaultKind::Delay(_)
        | FaultKind::Duplicate(_) => scene.network().turns(kind, true),
    }
}

fn ends(scene: &Arc<impl Scene>, kind: &FaultKind) {
    match *kind {
        FaultKind::Crash(n) | FaultKind::Drain(n) => scene.node(n, Blow::StartAgain),
        FaultKind::Pause(n) => scene.node(n, Blow::Resume),
        // A clock that was set wrong stays wrong, and what was purged stays away.
        FaultKind::StoreClock(_)
        | FaultKind::NodeClock(..)
        | FaultKind::InitiatorClock(..)
        | FaultKind::ForgetEarly(..)
        | FaultKind::PurgeHistory(_) => {}
        FaultKind::ForeignDatabase(n) => scene.foreign_database(n, false),
        FaultKind::Store(n, fault) => {
            let mut faults = scene.node_faults(n).lock().expect("nothing panics in here");
            if let Some(at) = faults.iter().position(|other| *other == fault) {
                faults.remove(at);
            }
        }
        FaultKind::CrashInitiator(n) => scene.initiator(n, Blow::StartAgain),
        FaultKind::InitiatorDatabase(n) => scene.initiator_database(n, false),
        FaultKind::CrashConsumer(n) => scene.consumer(n, Blow::StartAgain),
        FaultKind::Consumer(n, mood) => scene.mood(n, mood, false),
        FaultKind::CrashParticipant(n) => scene.participant(n, Blow::StartAgain),
        FaultKind::Participant(n, mood) => scene.participant_mood(n, mood, false),
        FaultKind::Cut(..)
        | FaultKind::LoseRequests(_)
        | FaultKind::LoseResponses(_)
        | FaultKind::Delay(_)
        | FaultKind::Duplicate(_) => {
            scene.network().turns(kind, false);
            scene.mended();
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
            | FaultKind::CrashParticipant(_)
            | FaultKind::Participant(..)
            | FaultKind::InitiatorDatabase(_)
            | FaultKind::ForeignDatabase(_)
            | FaultKind::ForgetEarly(..)
            | FaultKind::PurgeHistory(_)
    )
}

impl Scene for World {
    fn trace(&self) -> &Trace {
        &self.trace
    }

    fn observer(&self) -> &Observer {
        &self.observer
    }

    fn network(&self) -> &Network {
        &self.network
    }

    fn store_clock(&self) -> &SimulatedClock {
        &self.store_clock
    }

    fn node_clock(&self, node: u8) -> &SimulatedClock {
        &self.nodes[usize::from(node)].clock
    }

    fn initiator_clock(&self, initiator: u8) -> &SimulatedClock {
        &self.initiators[usize::from(initiator)].clock
    }

    fn node_faults(&self, node: u8) -> &StoreFaults {
        &self.nodes[usize::from(node)].faults
    }

    fn node(self: &Arc<Self>, node: u8, blow: Blow) {
        let node = &self.nodes[usize::from(node)];
        match blow {
            Blow::Kill => node.kill(),
            Blow::Drain => node.drain(),
            Blow::StartAgain => node.start_again(self),
            Blow::Pause => node.pause(),
            Blow::Resume => node.resume(),
        }
    }

    fn initiator(self: &Arc<Self>, initiator: u8, blow: Blow) {
        let initiator = &self.initiators[usize::from(initiator)];
        if blow == Blow::StartAgain {
            initiator.start_again();
        } else {
            initiator.kill();
        }
    }

    fn initiator_database(&self, initiator: u8, away: bool) {
        self.initiators[usize::from(initiator)].database.away(away);
    }

    fn foreign_database(self: &Arc<Self>, initiator: u8, foreign: bool) {
        self.initiators[usize::from(initiator)].is_foreign(foreign);
    }

    fn consumer(self: &Arc<Self>, consumer: u8, blow: Blow) {
        let consumer = &self.consumers[usize::from(consumer)];
        if blow == Blow::StartAgain {
            consumer.start_again();
        } else {
            consumer.kill();
        }
    }

    fn mood(&self, consumer: u8, mood: Mood, begins: bool) {
        let consumer = &self.consumers[usize::from(consumer)];
        if begins {
            consumer.turns(mood);
        } else {
            consumer.recovers(mood);
        }
    }

    fn participant(self: &Arc<Self>, participant: u8, blow: Blow) {
        let it = &self.participants[usize::from(participant)];
        if blow == Blow::StartAgain {
            it.start_again();
        } else {
            self.meets(FaultKind::CrashParticipant(participant).name());
            it.kill();
        }
    }

    fn participant_mood(&self, participant: u8, mood: Mood, begins: bool) {
        let it = &self.participants[usize::from(participant)];
        if begins {
            it.turns(mood);
        } else {
            it.recovers(mood);
        }
    }
}
