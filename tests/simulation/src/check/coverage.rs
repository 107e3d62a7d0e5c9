//! Which pairs of state and event the runs met, against those that the protocol allows.
//!
//! What is legal is asked of [`transition`] itself, so that a new event or a new rule widens the table by itself. A pair counts
//! as met when the command that carries the event reaches a row in that state and is not turned away by its lease.

use std::collections::BTreeSet;

use earnest_protocol::{
    CheckBackAnswer, Decision, Event, InitiatorOutcome, Jitter, Name, Options, ParkReason, Phase,
    State, transition,
};

/// Where a transaction stands, as coarsely as the rules tell states apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateKind {
    /// Undecided, whose initiator has a fenced local transaction.
    PreparedLocal,
    /// Undecided, whose initiator can be asked.
    PreparedAsked,
    /// Undecided, about which nobody can be asked.
    PreparedAlone,
    /// Undecided, whose Trys the coordinator runs.
    PreparedExecuted,
    /// Undecided and parked.
    ParkedLocal,
    /// Undecided and parked.
    ParkedAsked,
    /// Undecided and parked.
    ParkedAlone,
    /// Undecided and parked.
    ParkedExecuted,
    /// Confirmed, effects owed and none parked.
    Confirming,
    /// Confirmed, effects parked.
    ConfirmingParked,
    /// Cancelled, branches owed and none parked.
    Cancelling,
    /// Cancelled, branches parked.
    CancellingParked,
    /// Final.
    Confirmed,
    /// Final.
    Cancelled,
}

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// The initiator confirms.
    Confirm,
    /// The initiator cancels.
    Cancel,
    /// A check-back: committed.
    Committed,
    /// A check-back: rolled back.
    RolledBack,
    /// A check-back: in progress.
    InProgress,
    /// A check-back without an answer.
    Unknown,
    /// The deadline.
    DeadlinePassed,
    /// An operator confirms.
    OperatorConfirms,
    /// An operator cancels.
    OperatorCancels,
    /// An effect is done.
    EffectDone,
    /// An effect is set aside.
    EffectParked,
    /// An effect is taken up again.
    EffectUnparked,
    /// An operator sets it aside.
    Park,
    /// An operator takes it up again.
    Unpark,
    /// Branches or messages join it.
    Registered,
    /// The coordinator's Try of a branch was answered OK.
    TriedOk,
    /// … or refused.
    TryRefused,
}

impl StateKind {
    /// All.
    pub const ALL: [Self; 14] = [
        Self::PreparedLocal,
        Self::PreparedAsked,
        Self::PreparedAlone,
        Self::PreparedExecuted,
        Self::ParkedLocal,
        Self::ParkedAsked,
        Self::ParkedAlone,
        Self::ParkedExecuted,
        Self::Confirming,
        Self::ConfirmingParked,
        Self::Cancelling,
        Self::CancellingParked,
        Self::Confirmed,
        Self::Cancelled,
    ];

    /// Of a row.
    pub(crate) fn of(state: &State) -> Self {
        match (state.phase, &state.parked, state.options.outcome) {
            (Phase::Prepared, None, InitiatorOutcome::Local) => Self::PreparedLocal,
            (Phase::Prepared, None, InitiatorOutcome::Asked) => Self::PreparedAsked,
            (Phase::Prepared, None, InitiatorOutcome::None) => Self::PreparedAlone,
            (Phase::Prepared, None, InitiatorOutcome::Executed) => Self::PreparedExecuted,
            (Phase::Prepared, Some(_), InitiatorOutcome::Executed) => Self::ParkedExecuted,
            (Phase::Prepared, Some(_), InitiatorOutcome::Local) => Self::ParkedLocal,
            (Phase::Prepared, Some(_), InitiatorOutcome::Asked) => Self::ParkedAsked,
            (Phase::Prepared, Some(_), InitiatorOutcome::None) => Self::ParkedAlone,
            (Phase::Confirming, ..) if state.parked_effects > 0 => Self::ConfirmingParked,
            (Phase::Confirming, ..) => Self::Confirming,
            (Phase::Confirmed, ..) => Self::Confirmed,
            (Phase::Cancelled, ..) => Self::Cancelled,
            (Phase::Cancelling, ..) if state.parked_effects > 0 => Self::CancellingParked,
            (Phase::Cancelling, ..) => Self::Cancelling,
        }
    }

    fn example(self) -> State {
        let outcome = match self {
            Self::PreparedAsked | Self::ParkedAsked => InitiatorOutcome::Asked,
            Self::PreparedAlone | Self::ParkedAlone => InitiatorOutcome::None,
            Self::PreparedExecuted | Self::ParkedExecuted => InitiatorOutcome::Executed,
            _ => InitiatorOutcome::Local,
        };
        let mut state = State::prepared(Options {
            outcome,
            ..Options::default()
        });
        match self {
            Self::PreparedExecuted => (state.branches, state.untried) = (1, 1),
            Self::ParkedExecuted => {
                (state.branches, state.untried) = (1, 1);
                state.parked = Some(ParkReason::new("an example"));
            }
            Self::PreparedLocal | Self::PreparedAsked | Self::PreparedAlone => {}
            Self::ParkedLocal | Self::ParkedAsked | Self::ParkedAlone => {
                state.parked = Some(ParkReason::new("an example"));
            }
            Self::Confirming => {
                state.phase = Phase::Confirming;
                state.open_effects = 1;
            }
            Self::ConfirmingParked => {
                state.phase = Phase::Confirming;
                (state.open_effects, state.parked_effects) = (1, 1);
            }
            Self::Cancelling => {
                state.phase = Phase::Cancelling;
                state.open_effects = 1;
            }
            Self::CancellingParked => {
                state.phase = Phase::Cancelling;
                (state.open_effects, state.parked_effects) = (1, 1);
            }
            Self::Confirmed => state.phase = Phase::Confirmed,
            Self::Cancelled => state.phase = Phase::Cancelled,
        }
        state
    }
}

impl EventKind {
    /// All.
    pub const ALL: [Self; 17] = [
        Self::Confirm,
        Self::Cancel,
        Self::Committed,
        Self::RolledBack,
        Self::InProgress,
        Self::Unknown,
        Self::DeadlinePassed,
        Self::OperatorConfirms,
        Self::OperatorCancels,
        Self::EffectDone,
        Self::EffectParked,
        Self::EffectUnparked,
        Self::Park,
        Self::Unpark,
        Self::Registered,
        Self::TriedOk,
        Self::TryRefused,
    ];

    pub(crate) fn answered(answer: CheckBackAnswer) -> Self {
        match answer {
            CheckBackAnswer::Committed => Self::Committed,
            CheckBackAnswer::RolledBack => Self::RolledBack,
            CheckBackAnswer::InProgress => Self::InProgress,
            CheckBackAnswer::Unknown => Self::Unknown,
        }
    }

    fn example(self) -> Event {
        let answered = |answer| Event::Answered(answer, Jitter(0));
        match self {
            Self::Confirm => Event::Decide(Decision::Confirm),
            Self::Cancel => Event::Decide(Decision::Cancel),
            Self::Committed => answered(CheckBackAnswer::Committed),
            Self::RolledBack => answered(CheckBackAnswer::RolledBack),
            Self::InProgress => answered(CheckBackAnswer::InProgress),
            Self::Unknown => answered(CheckBackAnswer::Unknown),
            Self::DeadlinePassed => Event::DeadlinePassed,
            Self::OperatorConfirms => Event::OperatorDecides(Decision::Confirm, String::new()),
            Self::OperatorCancels => Event::OperatorDecides(Decision::Cancel, String::new()),
            Self::EffectDone => Event::EffectDone,
            Self::EffectParked => Event::EffectParked,
            Self::EffectUnparked => Event::EffectUnparked,
            Self::Park => Event::Park(ParkReason::new("an example")),
            Self::Unpark => Event::Unpark,
            Self::Registered => Event::BranchesRegistered(1),
            Self::TriedOk => Event::TriedOk,
            Self::TryRefused => Event::TryRefused {
                service: Name::default_namespace(),
                reason: String::new(),
            },
        }
    }

    fn is_try(self) -> bool {
        matches!(self, Self::TriedOk | Self::TryRefused)
    }

    fn is_answer(self) -> bool {
        matches!(
            self,
            Self::Committed | Self::RolledBack | Self::InProgress | Self::Unknown
        )
    }
}

/// A state and what happens to it.
pub type Pair = (StateKind, EventKind);

/// Why no run can meet a pair that the protocol alone would take.
pub fn out_of_reach((state, event): Pair) -> Option<&'static str> {
    use StateKind as S;
    let undecided = !matches!(
        state,
        S::Confirming
            | S::ConfirmingParked
            | S::Cancelling
            | S::CancellingParked
            | S::Confirmed
            | S::Cancelled
    );
    match (state, event) {
        (S::ParkedLocal | S::ParkedAsked | S::ParkedAlone | S::ParkedExecuted, e)
            if e.is_answer() || e == EventKind::DeadlinePassed || e.is_try() =>
        {
            Some("setting it aside spends the token under which it was asked")
        }
        (_, e) if e.is_try() && !undecided => Some("a decision spends the tokens of its Trys"),
        (S::PreparedAlone | S::PreparedExecuted, e) if e.is_answer() => Some("nobody can be asked"),
        (_, EventKind::DeadlinePassed) if !undecided => {
            Some("the engine turns a deadline away from what is decided")
        }
        _ => None,
    }
}

/// The pairs that runs must meet.
pub fn legal() -> BTreeSet<Pair> {
    let pairs = StateKind::ALL
        .into_iter()
        .flat_map(|state| EventKind::ALL.map(|event| (state, event)));
    pairs
        .filter(|(state, event)| {
            transition(state.example(), event.example(), |_| (1, 0)).is_ok()
                && out_of_reach((*state, *event)).is_none()
        })
        .collect()
}

/// The pairs that runs have met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage(BTreeSet<Pair>);

impl Coverage {
    pub(crate) fn met(&mut self, state: StateKind, event: EventKind) {
        self.0.insert((state, event));
    }

    /// Takes another run's in.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    /// Legal pairs that were met.
    pub fn hit(&self) -> usize {
        self.0.intersection(&legal()).count()
    }

    /// Legal pairs that no run has met.
    pub fn missed(&self) -> Vec<Pair> {
        legal().difference(&self.0).copied().collect()
    }

    /// Illegal pairs that were tried.
    pub fn refused(&self) -> usize {
        self.0.difference(&legal()).count()
    }
}
