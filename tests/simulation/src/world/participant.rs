//! A TCC participant: an account, a fence row for each branch, and calls that meet inside of its local transactions.
//!
//! What a call may do is asked of the SDK's own rules. A local transaction holds its branch's row from its first statement to its
//! end, and may be lost in between with the process; whoever meets a held row learns nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use earnest::fence::{self, Call, Held, Step, Wrote};
use earnest_coordinator::service::OptionsInput;
use earnest_protocol::{
    BranchAnswer, BranchCall, CheckBackAnswer, Decision, InitiatorOutcome, Name, Phase,
    TransactionId,
};
use earnest_store::{BranchKey, BranchWork, Clock};

use super::{
    Gate, SimulatedClock, World,
    call::{How, Told, prepare_input},
    local::{Fence, LocalDatabase},
    messages,
};
use crate::{
    check::Book,
    plan::{BranchPlan, FaultKind, MessagePlan, Mood, Party},
};

/// What each has at the beginning.
const FUNDS: u64 = 100_000;
/// A Try's patience with the coordinator about the transaction that it opens itself.
const NESTED_CHECK_AFTER: Duration = Duration::from_secs(2);

/// One call of a branch, whoever makes it.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) key: BranchKey,
    pub(super) call: BranchCall,
    pub(super) cents: u64,
    /// Its Try opens a transaction of its own.
    pub(super) nested: bool,
}

impl Asked {
    /// As the payload says it.
    pub(super) fn of(key: BranchKey, call: BranchCall, payload: &[u8]) -> Self {
        let text = String::from_utf8_lossy(payload);
        let (cents, nested) = text.split_once(' ').unwrap_or((&text, ""));
        Self {
            key,
            call,
            cents: cents.parse().unwrap_or_default(),
            nested: !nested.is_empty(),
        }
    }

    fn of_work(work: &BranchWork) -> Self {
        Self::of(work.key, work.call, &work.branch.payload)
    }
}

/// What a branch says.
pub(super) fn payload(plan: &BranchPlan) -> String {
    let nested = if plan.nested { "nested" } else { "" };
    format!("{} {nested}", plan.cents)
}

/// The account: what is free, reserved and spent is always what there was.
#[derive(Debug, Clone, Copy)]
struct Account {
    free: u64,
    frozen: u64,
    spent: u64,
}

struct State {
    rows: BTreeMap<BranchKey, Held>,
    locked: BTreeSet<BranchKey>,
    account: Account,
    moods: Vec<Mood>,
    gate: Arc<Gate>,
    held_down: u32,
    run: u32,
    /// Transactions of its own, opened so far.
    opened: u32,
}

pub(super) struct Participant {
    number: u8,
    clock: Arc<SimulatedClock>,
    database: LocalDatabase,
    state: Mutex<State>,
}

impl Participant {
    pub(super) fn new(number: u8, clock: Arc<SimulatedClock>, book: Arc<Book>) -> Self {
        Self {
            number,
            clock,
            database: LocalDatabase::new(book),
            state: Mutex::new(State {
                rows: BTreeMap::new(),
                locked: BTreeSet::new(),
                account: Account {
                    free: FUNDS,
                    frozen: 0,
                    spent: 0,
                },
                moods: vec![],
                gate: Arc::new(Gate::new()),
                held_down: 0,
                run: 0,
                opened: 0,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics in here")
    }

    pub(super) fn turns(&self, mood: Mood) {
        self.state().moods.push(mood);
    }

    pub(super) fn recovers(&self, mood: Mood) {
        let mut state = self.state();
        if let Some(at) = state.moods.iter().position(|other| *other == mood) {
            state.moods.remove(at);
        }
    }

    /// What is open is rolled back, and nobody listens until [`Participant::start_again`].
    pub(super) fn kill(&self) {
        let mut state = self.state();
        state.held_down += 1;
        state.gate.kill();
        state.gate = Arc::new(Gate::new());
        self.database.roll_back_run(state.run);
        state.run += 1;
    }

    pub(super) fn start_again(&self) {
        self.state().held_down -= 1;
    }

    fn gate(&self) -> Option<Arc<Gate>> {
        let state = self.state();
        (state.held_down == 0).then(|| Arc::clone(&state.gate))
    }

    fn mood(&self, world: &World) -> Option<Mood> {
        let mood = self.state().moods.first().copied();
        if let Some(mood) = mood {
            world.meets(FaultKind::Participant(self.number, mood).name());
        }
        mood
    }

    /// Answers for the transactions that its Trys have opened; `None`: nobody listens.
    pub(super) fn answers(&self, id: TransactionId) -> Option<CheckBackAnswer> {
        self.gate()?;
        Some(match self.database.fencing_read(id) {
            Fence::Committed => CheckBackAnswer::Committed,
            Fence::RolledBack => CheckBackAnswer::RolledBack,
            Fence::Held => CheckBackAnswer::InProgress,
            Fence::Away => CheckBackAnswer::Unknown,
        })
    }

    /// Takes the calls of a node; `None`: nobody listens.
    pub(super) async fn takes_batch(
        &self,
        world: &Arc<World>,
        batch: &[BranchWork],
    ) -> Option<Vec<BranchAnswer>> {
        let calls: Vec<_> = batch.iter().map(Asked::of_work).collect();
        self.takes(world, &calls).await
    }

    /// Takes calls; `None`: nobody listens.
    pub(super) async fn takes(
        &self,
        world: &Arc<World>,
        calls: &[Asked],
    ) -> Option<Vec<BranchAnswer>> {
        let gate = self.gate()?;
        tokio::select! {
            answers = self.takes_all(world, calls, &gate) => answers,
            () = gate.died() => None,
        }
    }

    async fn takes_all(
        &self,
        world: &Arc<World>,
        calls: &[Asked],
        gate: &Gate,
    ) -> Option<Vec<BranchAnswer>> {
        let mut answers = Vec::with_capacity(calls.len());
        for asked in calls {
            gate.pass().await;
            let mood = self.mood(world);
            let some = world
                .network
                .draw((self.number, "mood of a participant"), 2)
                == 0;
            match mood {
                Some(Mood::Down) => return None,
                Some(Mood::Hangs) => {
                    tokio::time::sleep(Duration::from_mins(2)).await;
                    return None;
                }
                Some(Mood::Omits) if some => break,
                // Longer than a call may take.
                Some(Mood::Slow) if answers.is_empty() => {
                    tokio::time::sleep(Duration::from_secs(4)).await;
                }
                _ => {}
            }
            world.book.branch_called(asked.key, asked.call);
            let answer = match mood {
                Some(Mood::Busy) => BranchAnswer::InProgress,
                Some(Mood::Fails) if some => self.says_no(world, asked),
                Some(Mood::Unsure) => {
                    if some {
                        self.carries_out(world, asked, gate).await;
                    }
                    BranchAnswer::Unknown
                }
                _ => self.carries_out(world, asked, gate).await,
            };
            world.book.branch_answered(asked.key, asked.call, &answer);
            world.trace.note(format_args!(
                "{} of {} at participant {}: {answer:?}",
                asked.call, asked.key, self.number
            ));
            answers.push(answer);
        }
        Some(answers)
    }

    /// It runs nothing, and says so: for good, or in a word that means something to a Try only.
    fn says_no(&self, world: &World, asked: &Asked) -> BranchAnswer {
        let refuses = world.network.draw((self.number, "how it says no"), 2) == 0;
        if refuses {
            BranchAnswer::Refused("not today".to_owned())
        } else {
            BranchAnswer::Failed(format!("{} never will", asked.key))
        }
    }

    /// One local transaction: fence row and business together, or neither.
    async fn carries_out(&self, world: &Arc<World>, asked: &Asked, gate: &Gate) -> BranchAnswer {
        let call = match asked.call {
            BranchCall::Try => Call::Try,
            BranchCall::Confirm => Call::Confirm,
            BranchCall::Cancel => Call::Cancel,
        };
        let (wrote, step) = {
            let mut state = self.state();
            if state.locked.contains(&asked.key) {
                return BranchAnswer::Unknown;
            }
            let row = state.rows.get(&asked.key).copied();
            let wrote = match (call, row) {
                (Call::Try | Call::Cancel, None) => Wrote::Inserted,
                (Call::Confirm | Call::Cancel, Some(Held::Tried)) => Wrote::Moved,
                (_, row) => Wrote::Nothing(row),
            };
            state.locked.insert(asked.key);
            (wrote, fence::branch(call, wrote, 0, 0))
        };
        let mut open = Open {
            participant: self,
            key: asked.key,
            nested: None,
        };
        if world.network.draw((self.number, "statement is slow"), 4) == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        gate.pass().await;
        let runs = step == Step::Run;
        if runs && call == Call::Try && asked.cents > self.state().account.free {
            return BranchAnswer::Refused("insufficient balance".to_owned());
        }
        if runs && call == Call::Try && asked.nested && !self.opens(world, &mut open).await {
            return BranchAnswer::Unknown;
        }
        match step {
            Step::Run | Step::Empty => {
                let stands = wrote.stands(call);
                if !fence::may_end(wrote, stands, call, 0, 0) {
                    return BranchAnswer::Unknown;
                }
                self.commits(world, asked, stands, runs);
                open.committed(world);
                BranchAnswer::Ok
            }
            Step::Done => BranchAnswer::Ok,
            Step::Barred => BranchAnswer::Refused("it was cancelled before".to_owned()),
            Step::Failed(reason) => BranchAnswer::Failed(reason.to_owned()),
            Step::Unclear => BranchAnswer::Unknown,
        }
    }

    fn commits(&self, world: &World, asked: &Asked, stands: Option<Held>, runs: bool) {
        let mut state = self.state();
        if let Some(held) = stands {
            state.rows.insert(asked.key, held);
        }
        let account = &mut state.account;
        let cents = asked.cents;
        match asked.call {
            _ if !runs => {}
            BranchCall::Try => {
                account.free -= cents;
                account.frozen += cents;
            }
            // A defect may use or give back what is not reserved.
            BranchCall::Confirm => {
                account.frozen = account.frozen.saturating_sub(cents);
                account.spent += cents;
            }
            BranchCall::Cancel => {
                account.frozen = account.frozen.saturating_sub(cents);
                account.free += cents;
            }
        }
        drop(state);
        let cents = (self.number, cents);
        world.book.branch_ran(asked.key, asked.call, runs, cents);
    }

    /// A Try that opens a transaction of its own, in its local transaction; false: it is not recorded, and all is rolled back.
    async fn opens(&self, world: &Arc<World>, open: &mut Open<'_>) -> bool {
        let (run, opened) = {
            let mut state = self.state();
            state.opened += 1;
            (state.run, state.opened)
        };
        let mut chance = [0; 10];
        chance[..4].copy_from_slice(&opened.to_le_bytes());
        chance[5] = self.number + 1;
        let id = TransactionId::from_parts(self.clock.now(), chance);
        world.book.begins(id, InitiatorOutcome::Local);
        if !self.database.begin(id, run) {
            return false;
        }
        open.nested = Some(id);
        let options = OptionsInput {
            check_after: Some(NESTED_CHECK_AFTER),
            ..OptionsInput::default()
        };
        let message = MessagePlan { topic: 0, key: 0 };
        let input = prepare_input(
            id,
            name(self.number),
            messages(&[message], "nested"),
            options,
        );
        let party = Party::Participant(self.number);
        let told = world.record(party, opened, id, input, How::Prepare).await;
        matches!(told, Told::Answer(Ok(recorded)) if recorded.row.state.phase == Phase::Prepared)
    }

    /// What is reserved at the end, and what is spent.
    pub(super) fn reckon(&self) -> (u64, u64, bool) {
        let Account {
            free,
            frozen,
            spent,
        } = self.state().account;
        (frozen, spent, free + frozen + spent == FUNDS)
    }
}

/// A local transaction that is open: whatever ends it without a COMMIT rolls it back.
struct Open<'p> {
    participant: &'p Participant,
    key: BranchKey,
    nested: Option<TransactionId>,
}

impl Open<'_> {
    /// With it the transaction that it has opened; its decision is told afterwards.
    fn committed(&mut self, world: &Arc<World>) {
        let Some(id) = self.nested.take() else { return };
        if self.participant.database.commit(id) {
            let (world, number) = (Arc::clone(world), self.participant.number);
            tokio::spawn(async move {
                let party = Party::Participant(number);
                let decision = Decision::Confirm;
                world.decide(party, 0, id, name(number), decision).await;
            });
        }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.participant.state().locked.remove(&self.key);
        if let Some(id) = self.nested {
            self.participant.database.roll_back(id);
        }
    }
}

/// Whose name this is; `None`: no participant's.
pub(super) fn number(name: &Name) -> Option<u8> {
    name.as_str().strip_prefix("participant-")?.parse().ok()
}

pub(super) fn name(participant: u8) -> String {
    format!("participant-{participant}")
}
