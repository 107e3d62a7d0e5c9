//! What each command means, written once for every store.
//!
//! Runs inside the store's database transaction, over rows it has exclusive use of. It reads rows, asks
//! the protocol what may happen, and writes rows; it never touches SQL, a clock or a socket.

mod branch;
mod decide;
mod deliver;
mod operator;
mod prepare;
mod rows;
mod service;
mod subscription;

use earnest_protocol::{
    CheckBackAnswer, Effect, Event, Illegal, Jitter, LeaseToken, Timestamp, TransactionId,
    transition,
};

pub(crate) use branch::branch_work;
pub(crate) use decide::delivery_work;
pub(crate) use rows::Rows;
pub(crate) use service::{LOOKED_AT, ask_again, call_again};
pub(crate) use subscription::park_owed;

use crate::{
    Applied, AttemptKind, AttemptNote, AttemptRow, Command, LeaseGrant, Rejection, Reply,
    StoreError, TransactionRow, Work, planted::planted,
};

/// Attempts that are kept of one call that fails again and again: the first ones …
pub(crate) const FIRST_ATTEMPTS: u32 = 5;
/// … and the newest ones.
pub(crate) const NEWEST_ATTEMPTS: u32 = 20;

/// The outcome of one command: the store failed, or the command was answered.
type Outcome = Result<Result<Reply, Rejection>, StoreError>;

/// Runs a batch over `rows`, in order.
pub(crate) fn apply<R: Rows>(
    rows: &mut R,
    commands: &[Command],
    grant: &LeaseGrant,
    now: Timestamp,
) -> Result<Applied, StoreError> {
    let mut engine = Engine {
        rows,
        grant,
        now,
        leased: Vec::new(),
    };
    let results = commands
        .iter()
        .map(|command| engine.run(command))
        .collect::<Result<_, _>>()?;
    Ok(Applied {
        results,
        leased: engine.leased,
        mark: None,
    })
}

struct Engine<'a, R> {
    rows: &'a mut R,
    grant: &'a LeaseGrant,
    now: Timestamp,
    leased: Vec<Work>,
}

impl<R: Rows> Engine<'_, R> {
    fn run(&mut self, command: &Command) -> Outcome {
        match command {
            Command::Prepare(new) => self.prepare(new),
            Command::Submit(new) => self.submit(new),
            Command::Decide(decide) => self.initiator_decides(decide),
            Command::CheckedBack {
                id,
                token,
                answer,
                jitter,
                note,
            } => self.checked_back(*id, *token, *answer, *jitter, note),
            Command::DeadlinePassed { id, token } => self.deadline_passed(*id, *token),
            Command::RegisterBranches(register) => self.register_branches(register),
            Command::BranchTried(tried) => self.branch_tried(tried),
            Command::BranchSettled(settled) => self.branch_settled(settled),
            Command::ReleaseBranch { key, token } => self.release_branch(key, *token),
            Command::DeliverySettled(settled) => self.delivery_settled(settled),
            Command::ReleaseDelivery { key, token } => self.release_delivery(key, *token),
            Command::ReleaseCheckBack { id, token } => self.release_check_back(*id, *token),
            Command::Operator {
                id,
                action,
                actor,
                detail,
            } => self.operator(*id, action, actor, detail),
        }
    }

    /// Applies an event to a row that is stored already; `Err(Illegal)` changed nothing.
    fn step(
        &mut self,
        row: &mut TransactionRow,
        event: Event,
    ) -> Result<Result<Vec<Effect>, Illegal>, StoreError> {
        let plan = self.plan(row)?;
        let (state, effects) =
            match transition(row.state.clone(), event, |decision| plan.owed(decision)) {
                Ok(next) => next,
                Err(illegal) => return Ok(Err(illegal)),
            };
        let decided = row.state.phase.decision().is_none() && state.phase.decision().is_some();
        row.state = state;
        self.note_effects(row, &effects);
        if decided {
            self.owe(row, plan)?;
        }
        Ok(Ok(effects))
    }

    /// Brings the row's columns into line with what the transition said.
    fn note_effects(&self, row: &mut TransactionRow, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Decided(_, by) => row.decided = Some((self.now, by.clone())),
                Effect::ArmCheckBack(delay) => row.check_due = Some(self.now.after(*delay)),
                Effect::DisarmCheckBack => {
                    row.check_due = None;
                    row.holder = None;
                    row.token = row.token.next();
                }
                Effect::Finished => row.finished_at = Some(self.now),
                Effect::Contradiction { .. } => {}
            }
        }
    }

    /// Records an attempt that failed. Of many the first few and the newest few are kept: how the trouble began, and how
    /// it is now. A call that fails for days must not fill the database.
    fn attempt(
        &mut self,
        id: TransactionId,
        kind: AttemptKind,
        number: u32,
        note: &AttemptNote,
    ) -> Result<(), StoreError> {
        if let Some(old) = number.checked_sub(NEWEST_ATTEMPTS)
            && old > FIRST_ATTEMPTS
        {
            self.rows.delete_attempt(id, &kind, old)?;
        }
        self.rows.insert_attempt(&AttemptRow {
            transaction: id,
            kind,
            number,
            at: self.now,
            node: note.node.clone(),
            target: note.target.clone(),
            code: note.code.clone(),
            error: note.error.clone(),
            duration: note.duration,
        })
    }

    fn checked_back(
        &mut self,
        id: TransactionId,
        token: LeaseToken,
        answer: CheckBackAnswer,
        jitter: Jitter,
        note: &AttemptNote,
    ) -> Outcome {
        let Some(mut row) = self.rows.transaction(id)? else {
            return Ok(Ok(Reply::LostLease));
        };
        let undecided = row.state.phase.decision().is_none();
        if undecided && row.token != token && !planted!(StaleCheckBackCounts) {
            return Ok(Ok(Reply::LostLease));
        }
        let Ok(effects) = self.step(&mut row, Event::Answered(answer, jitter))? else {
            return Ok(Ok(Reply::LostLease));
        };
        let contradicted = effects
            .iter()
            .any(|e| matches!(e, Effect::Contradiction { .. }));
        if !undecided && !contradicted {
            return Ok(Ok(Reply::LostLease));
        }
        let number = row.check_attempts + 1;
        let decides = matches!(
            answer,
            CheckBackAnswer::Committed | CheckBackAnswer::RolledBack
        );
        if contradicted {
            let code = "contradiction".to_owned();
            self.attempt(
                id,
                AttemptKind::CheckBack,
                number,
                &AttemptNote {
                    code,
                    ..note.clone()
                },
            )?;
        } else if !decides {
            self.attempt(id, AttemptKind::CheckBack, number, note)?;
        }
        if undecided {
            row.check_attempts = number;
            row.holder = None;
            row.token = token.next();
            self.rows.update_transaction(&mut row)?;
        }
        let row = Box::new(row);
        Ok(Ok(if contradicted {
            Reply::Contradicted(row)
        } else {
            Reply::Settled(row)
        }))
    }

    fn deadline_passed(&mut self, id: TransactionId, token: LeaseToken) -> Outcome {
        let Some(mut row) = self.rows.transaction(id)? else {
            return Ok(Ok(Reply::LostLease));
        };
        let stale = row.token != token && !planted!(StaleDeadlineCounts);
        if stale || row.state.phase.decision().is_some() {
            return Ok(Ok(Reply::LostLease));
        }
        if self.step(&mut row, Event::DeadlinePassed)?.is_err() {
            return Ok(Ok(Reply::LostLease));
        }
        self.rows.update_transaction(&mut row)?;
        Ok(Ok(Reply::Settled(Box::new(row))))
    }

    fn release_check_back(&mut self, id: TransactionId, token: LeaseToken) -> Outcome {
        let Some(mut row) = self.rows.transaction(id)? else {
            return Ok(Ok(Reply::LostLease));
        };
        if row.token != token || row.check_due.is_none() {
            return Ok(Ok(Reply::LostLease));
        }
        row.holder = None;
        row.token = token.next();
        self.rows.update_transaction(&mut row)?;
        Ok(Ok(Reply::Settled(Box::new(row))))
    }
}
