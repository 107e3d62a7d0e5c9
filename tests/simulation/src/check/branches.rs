//! T1 to T5: what participants did to branches, against what the coordinator's database says of them.

use std::collections::BTreeMap;

use earnest_protocol::{
    BranchAnswer, BranchCall, BranchState, Decision, InitiatorOutcome, LeaseToken, Ordinal,
    Settled, TransactionId,
};
use earnest_store::{BranchKey, BranchRow, Command, Detail, TransactionRow};

use super::book::{Book, Page};

/// How often a participant's own code ran for one branch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Try.
    pub(crate) tries: u32,
    /// Confirm.
    pub(crate) confirms: u32,
    /// Cancel of what was tried.
    pub(crate) cancels: u32,
    /// A Cancel came before any Try.
    pub(crate) barred: bool,
}

/// What is known of one branch.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and any of them may hold"
)]
pub(crate) struct Reserved {
    /// The database has it.
    registered: bool,
    /// A caller was told so.
    told: bool,
    /// What its participant did.
    ran: Counts,
    /// At which participant, and how much.
    cents: (u8, u64),
    /// Its participant has said no, or never.
    refused: bool,
    failed: bool,
}

impl Book {
    fn branch<T>(
        &self,
        key: BranchKey,
        change: impl FnOnce(&mut Reserved, Option<Decision>) -> T,
    ) -> Option<T> {
        self.read(|book| {
            let page = book.by_id.get_mut(&key.transaction)?;
            let decided = page.decided;
            Some(change(
                page.branches.entry(key.ordinal).or_default(),
                decided,
            ))
        })
    }

    /// Notes what is true by now, if participants are to be asked for it.
    fn consult_branch(&self, key: BranchKey) {
        if let Some(ran) = self.oracle.get().map(|oracle| oracle.branch(&key)) {
            self.branch(key, |branch, _| branch.ran = ran);
        }
    }

    /// Takes the counts from the participants' own rows, at the end, and looks at them.
    pub(crate) fn branches_as_they_are(&self) {
        let keys: Vec<_> = self.read(|book| {
            let pages = book.by_id.iter();
            let of = |(id, page): (&TransactionId, &Page)| {
                let (id, ordinals) = (*id, page.branches.keys().copied());
                let key = move |ordinal| BranchKey {
                    transaction: id,
                    ordinal,
                };
                ordinals.map(key).collect::<Vec<_>>()
            };
            pages.flat_map(of).collect()
        });
        for key in keys {
            self.consult_branch(key);
            if let Some(ran) = self.branch(key, |branch, _| branch.ran) {
                self.once(key, ran);
                let late = ran.barred && ran.tries > 0;
                self.violations.unless(!late, "T2", || {
                    format!("{key} was tried, and a Cancel had found no Try")
                });
            }
        }
    }

    /// T1, T3.
    fn once(&self, key: BranchKey, ran: Counts) {
        let Counts {
            tries,
            confirms,
            cancels,
            ..
        } = ran;
        let once = tries < 2 && confirms + cancels < 2;
        self.violations.unless(once, "T1", || {
            format!("{key} was tried {tries}, confirmed {confirms} and cancelled {cancels} times")
        });
        self.violations
            .unless(confirms == 0 || tries > 0, "T3", || {
                format!("{key} was confirmed and never tried")
            });
    }

    /// A caller is told that a branch is registered.
    pub(crate) fn told_registered(&self, id: TransactionId, ordinal: Ordinal) {
        let key = BranchKey {
            transaction: id,
            ordinal,
        };
        let registered = self.branch(key, |branch, _| {
            branch.told = true;
            branch.registered
        });
        self.violations.unless(registered == Some(true), "M5", || {
            format!("a caller was told that {key} is registered, and the database never had it")
        });
    }

    /// A call arrives at its participant.
    pub(crate) fn branch_called(&self, key: BranchKey, call: BranchCall) {
        let seen = self.branch(key, |branch, decided| (branch.registered, decided));
        let (registered, decided) = seen.unwrap_or((false, None));
        let right = match call {
            BranchCall::Try => registered,
            BranchCall::Confirm => decided == Some(Decision::Confirm),
            BranchCall::Cancel => decided == Some(Decision::Cancel),
        };
        self.violations.unless(right, "T4", || {
            format!("{call} of {key} was called: registered {registered}, decided {decided:?}")
        });
    }

    /// Its participant answers.
    pub(crate) fn branch_answered(&self, key: BranchKey, call: BranchCall, answer: &BranchAnswer) {
        self.branch(key, |branch, _| {
            branch.refused |= call == BranchCall::Try
                && matches!(answer, BranchAnswer::Refused(_) | BranchAnswer::Failed(_));
            branch.failed |= call != BranchCall::Try && matches!(answer, BranchAnswer::Failed(_));
        });
    }

    /// A local transaction of its participant commits; `runs`: with business in it.
    pub(crate) fn branch_ran(
        &self,
        key: BranchKey,
        call: BranchCall,
        runs: bool,
        cents: (u8, u64),
    ) {
        let seen = self.branch(key, |branch, _| {
            branch.cents = cents;
            let was_over = branch.ran.barred || branch.ran.cancels > 0;
            match call {
                _ if !runs => branch.ran.barred |= branch.ran.tries == 0,
                BranchCall::Try => branch.ran.tries += 1,
                BranchCall::Confirm => branch.ran.confirms += 1,
                BranchCall::Cancel => branch.ran.cancels += 1,
            }
            (was_over, branch.ran)
        });
        let Some((was_over, ran)) = seen else {
            return;
        };
        self.once(key, ran);
        let late = call == BranchCall::Try && was_over;
        self.violations
            .unless(!late, "T2", || format!("{key} was tried after its Cancel"));
    }

    /// Looks at the branches of one step.
    pub(super) fn branches(
        &self,
        command: &Command,
        before: Option<&Detail>,
        after: &Detail,
        by_force: bool,
    ) {
        let id = after.transaction.id;
        let was_decided = before.is_some_and(|before| decision(before).is_some());
        for (row, _) in &after.branches {
            let was = before.and_then(|before| find(before, &row.key));
            self.violations
                .unless(was.is_some() || !was_decided, "T4", || {
                    format!("{} was registered after the decision", row.key)
                });
            self.consult_branch(row.key);
            let known = self.branch(row.key, |branch, _| {
                branch.registered = true;
                (
                    branch.ran.tries,
                    branch.ran.confirms,
                    branch.ran.cancels,
                    branch.ran.barred,
                )
            });
            let Some((tries, confirms, cancels, barred)) = known else {
                continue;
            };
            let is_new = |state| row.state == state && was.is_none_or(|was| was.state != state);
            let done = match decision(after) {
                Some(Decision::Confirm) => confirms > 0,
                Some(Decision::Cancel) => cancels > 0 || barred,
                None => false,
            };
            self.violations
                .unless(done || !is_new(BranchState::Done), "K1", || {
                    format!("{} is done, and its participant has not done it", row.key)
                });
            self.violations
                .unless(tries > 0 || !is_new(BranchState::Tried), "T3", || {
                    format!("{} counts as tried, and is not", row.key)
                });
        }
        for (was, _) in before.iter().flat_map(|before| &before.branches) {
            let is = find(after, &was.key);
            let done = was.state != BranchState::Done
                || is.is_some_and(|is| is.state == BranchState::Done);
            self.violations.unless(is.is_some() && done, "K3", || {
                format!(
                    "{} was {:?} and is {:?}",
                    was.key,
                    was.state,
                    is.map(|is| is.state)
                )
            });
        }
        if !was_decided && let Some(decided) = decision(after) {
            self.owes_all(after, decided);
            if decided == Decision::Confirm && !by_force {
                self.all_tried(id, &after.transaction, after);
            }
        }
        self.parks_only_what_failed(command, after);
    }

    /// P4: a decision owes every branch its call.
    fn owes_all(&self, after: &Detail, decided: Decision) {
        let all = after
            .branches
            .iter()
            .all(|(row, _)| row.state == BranchState::Pending);
        self.violations.unless(all, "P4", || {
            format!(
                "{} decided {decided} does not owe all branches",
                after.transaction.id
            )
        });
    }

    /// T3: whoever keeps the rules confirms only what is reserved.
    fn all_tried(&self, id: TransactionId, row: &TransactionRow, after: &Detail) {
        let outcome = row.state.options.outcome;
        if !matches!(
            outcome,
            InitiatorOutcome::Local | InitiatorOutcome::Executed
        ) {
            return;
        }
        for (row, _) in &after.branches {
            self.consult_branch(row.key);
            let tried = self.branch(row.key, |branch, _| branch.ran.tries > 0);
            self.violations.unless(tried != Some(false), "T3", || {
                format!("{id} is confirmed, and {} was never tried", row.key)
            });
        }
    }

    /// T5: only a participant's *never*, and a person, set a branch aside; only its no cancels.
    fn parks_only_what_failed(&self, command: &Command, after: &Detail) {
        match command {
            Command::BranchSettled(settled) if matches!(settled.settled, Settled::Park(_)) => {
                let failed = self.branch(settled.key, |branch, _| branch.failed);
                self.violations.unless(failed != Some(false), "T5", || {
                    format!("{} was set aside, and nobody had said never", settled.key)
                });
            }
            Command::BranchTried(tried)
                if matches!(
                    after.transaction.decided.as_ref().map(|(_, by)| by),
                    Some(earnest_protocol::Decider::Refusal { .. })
                ) =>
            {
                let any = self.read(|book| {
                    let page = book.by_id.get(&tried.key.transaction);
                    page.is_none_or(|page| page.branches.values().any(|branch| branch.refused))
                });
                self.violations.unless(any, "T5", || {
                    format!("{} is cancelled by a refusal that nobody said", tried.key)
                });
            }
            _ => {}
        }
    }

    /// What the branches of confirmed transactions should have cost each participant.
    pub(crate) fn confirmed_cents(&self) -> BTreeMap<u8, u64> {
        self.read(|book| {
            let mut cents = BTreeMap::new();
            for page in book.by_id.values() {
                if page.decided != Some(Decision::Confirm) {
                    continue;
                }
                for branch in page.branches.values().filter(|branch| branch.registered) {
                    *cents.entry(branch.cents.0).or_default() += branch.cents.1;
                }
            }
            cents
        })
    }
}

/// T5: every branch took the decision, and nothing stays reserved.
pub(super) fn converged(book: &Book, id: TransactionId, page: &Page) {
    for (ordinal, branch) in &page.branches {
        let Reserved {
            registered, ran, ..
        } = *branch;
        let Counts {
            tries,
            confirms,
            cancels,
            ..
        } = ran;
        book.violations.unless(registered || tries == 0, "T4", || {
            format!("{id}/{ordinal} was tried and never registered")
        });
        let right = match page.decided {
            Some(Decision::Confirm) if registered => confirms == 1 && cancels == 0,
            Some(Decision::Cancel) => confirms == 0 && cancels == tries,
            _ => true,
        };
        book.violations.unless(right, "T5", || {
            format!(
                "{id}/{ordinal}, decided {:?}, was tried {tries}, confirmed {confirms} and cancelled {cancels} times",
                page.decided
            )
        });
    }
}

/// Branches of the page, as they are counted.
pub(crate) type Branches = BTreeMap<Ordinal, Reserved>;

fn decision(detail: &Detail) -> Option<Decision> {
    detail.transaction.state.phase.decision()
}

pub(super) fn find<'a>(detail: &'a Detail, key: &BranchKey) -> Option<&'a BranchRow> {
    let mut rows = detail.branches.iter().map(|(row, _)| row);
    rows.find(|row| row.key == *key)
}

/// Whether the lease of a branch's call was spent, and whether all is as it was.
pub(super) fn lease(
    before: &Detail,
    after: &Detail,
    key: &BranchKey,
    token: LeaseToken,
    waits_for: &[BranchState],
) -> (bool, bool) {
    let (was, is) = (find(before, key), find(after, key));
    let spent = was.is_none_or(|was| was.token != token || !waits_for.contains(&was.state));
    (spent, was == is && before.transaction == after.transaction)
}
