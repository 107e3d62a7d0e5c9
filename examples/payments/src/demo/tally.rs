//! The numbers of a run, counted from the databases, and whether they prove anything.

use std::collections::BTreeMap;

use payments::load::{Counts, Kind, REFUNDED_BEFORE};

use crate::{
    books::{Books, Decision, DeliveryState, Phase, Reserved},
    lives::{Evidence, Record},
    member::Member,
    promise::{Finding, Promise},
    window::Window,
};

/// How many deaths hit a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hits {
    pub by_member: BTreeMap<Member, u64>,
    /// Of them, deaths at a step of the window.
    pub at_crash_points: u64,
}

impl Hits {
    pub(crate) fn all(&self) -> u64 {
        self.by_member.values().sum()
    }
}

/// All that the table shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// What became of the customers' requests.
    pub counts: Counts,
    pub payments: u64,
    pub refunds: u64,
    pub confirmed: u64,
    pub cancelled: u64,
    pub confirmed_by_check_back: u64,
    pub cancelled_by_check_back: u64,
    pub in_progress_answers: u64,
    pub delivered: u64,
    pub owed: u64,
    /// By the ledger and by the rewards.
    pub duplicates: [u64; 2],
    pub branches_confirmed: u64,
    pub branches_cancelled: u64,
    /// Cancels of branches at `account` that were never tried.
    pub empty_cancels: u64,
    /// Money in payments, by where it came from: balances, coupons and credit.
    pub cents: [i64; 3],
    pub lines: u64,
    pub lines_sum: i64,
    pub sums: u64,
    pub rewards: u64,
    pub taken_back: u64,
    pub spent: i64,
    pub budget: i64,
    pub windows: BTreeMap<Window, Hits>,
    /// Deaths of each member of the run.
    pub deaths: BTreeMap<Member, u64>,
    /// Work that a dead node had leased and that another one finished meanwhile; none: there is only one node.
    pub taken_over: Option<u64>,
}

impl Tally {
    pub(crate) fn of(books: &Books, nodes: u8, record: &Record) -> Self {
        let mut tally = Self {
            in_progress_answers: books.coordinator.in_progress_answers,
            lines: books.ledger.lines.len() as u64,
            lines_sum: books.ledger.lines.iter().map(|l| l.cents).sum(),
            sums: books.ledger.roll_up.len() as u64,
            spent: books.rewards.journal.iter().map(|e| e.cents).sum(),
            budget: books.rewards.budget,
            windows: Window::ALL.map(|w| (w, Hits::default())).into(),
            deaths: Member::all(nodes).map(|member| (member, 0)).collect(),
            taken_over: (nodes > 1).then_some(record.taken_over),
            ..Self::default()
        };
        for done in books.cashier.done.values() {
            if done.refunds.is_some() {
                tally.refunds += 1;
                continue;
            }
            tally.payments += 1;
            let payment = &done.payment;
            let cents = [
                payment.balance_cents(),
                payment.coupon_cents(),
                payment.credit_cents,
            ];
            for (all, cents) in tally.cents.iter_mut().zip(cents) {
                *all += cents;
            }
        }
        for (_, reserved) in books.reserved() {
            match reserved {
                Reserved::Tried => {}
                Reserved::Confirmed => tally.branches_confirmed += 1,
                Reserved::Cancelled => tally.branches_cancelled += 1,
            }
        }
        for entry in &books.rewards.journal {
            tally.rewards += u64::from(entry.cents > 0);
            tally.taken_back += u64::from(entry.cents < 0);
        }
        for transaction in books.coordinator.transactions.values() {
            let by_check_back = transaction.decided_by.as_deref() == Some("check-back");
            let Some(decision) = transaction.phase.decision() else {
                continue;
            };
            let (all, asked) = match decision {
                Decision::Confirm => (&mut tally.confirmed, &mut tally.confirmed_by_check_back),
                Decision::Cancel => (&mut tally.cancelled, &mut tally.cancelled_by_check_back),
            };
            *all += u64::from(matches!(
                transaction.phase,
                Phase::Confirmed | Phase::Cancelled
            ));
            *asked += u64::from(by_check_back);
        }
        for delivery in &books.coordinator.deliveries {
            tally.owed += 1;
            tally.delivered += u64::from(delivery.state == DeliveryState::Done);
        }
        for death in &record.deaths {
            *tally.deaths.entry(death.member).or_default() += 1;
            for (window, evidence) in &death.windows {
                let hits = tally.windows.entry(*window).or_default();
                *hits.by_member.entry(death.member).or_default() += 1;
                hits.at_crash_points += u64::from(*evidence == Evidence::CrashPoint);
            }
        }
        tally
    }

    /// What stayed at zero although the run is there to try it.
    pub(crate) fn unproven(&self) -> Vec<Finding> {
        let windows = self.windows.iter().map(|(window, hits)| {
            (
                format!("no kill hit the window {window:?} ({window})"),
                hits.all(),
            )
        });
        let counts = [
            ("no payment was made", self.payments),
            ("no payment was refunded", self.refunds),
            (
                "no branch was cancelled that was never tried",
                self.empty_cancels,
            ),
            ("no rewards were taken back", self.taken_back),
            ("no transaction was cancelled", self.cancelled),
            (
                "nothing was decided by check-back",
                self.confirmed_by_check_back + self.cancelled_by_check_back,
            ),
            (
                "no duplicate delivery was absorbed",
                self.duplicates.iter().sum(),
            ),
        ];
        let counts = counts.map(|(what, count)| (what.to_owned(), count));
        let deaths = self.deaths.iter().map(|(member, deaths)| {
            let what = format!("the {member} was not killed several times");
            (what, u64::from(*deaths > 1))
        });
        let taken_over = self.taken_over.map(|count| {
            let what = "no work of a dead coordinator was taken over by another".to_owned();
            (what, count)
        });
        let reasons = Kind::ALL.into_iter().filter_map(Kind::refusal);
        let refusals = reasons.chain([REFUNDED_BEFORE]).map(|reason| {
            let count = self.counts.refused.get(reason).copied().unwrap_or(0);
            (format!("nobody was refused because {reason}"), count)
        });
        windows
            .chain(counts)
            .chain(refusals)
            .chain(deaths)
            .chain(taken_over)
            .filter(|(_, count)| *count == 0)
            .map(|(what, _)| Finding {
                promise: Promise::Proof,
                what,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proven() -> Tally {
        let hit = Hits {
            by_member: [(Member::FIRST, 1)].into(),
            at_crash_points: 0,
        };
        Tally {
            payments: 1,
            refunds: 1,
            empty_cancels: 1,
            taken_back: 1,
            counts: Counts {
                refused: Kind::ALL
                    .into_iter()
                    .filter_map(Kind::refusal)
                    .chain([REFUNDED_BEFORE])
                    .map(|reason| (reason.to_owned(), 1))
                    .collect(),
                ..Counts::default()
            },
            cancelled: 1,
            cancelled_by_check_back: 1,
            duplicates: [0, 1],
            windows: Window::ALL.map(|w| (w, hit.clone())).into(),
            deaths: Member::all(2).map(|member| (member, 2)).collect(),
            taken_over: Some(1),
            ..Tally::default()
        }
    }

    #[test]
    fn what_stayed_at_zero_fails_the_run() {
        assert_eq!(proven().unproven(), []);
        let zeroed: [fn(&mut Tally); 10] = [
            |t| t.payments = 0,
            |t| t.refunds = 0,
            |t| t.empty_cancels = 0,
            |t| t.taken_back = 0,
            |t| t.counts.refused.remove(REFUNDED_BEFORE).map_or((), drop),
            |t| t.cancelled = 0,
            |t| t.cancelled_by_check_back = 0,
            |t| t.duplicates = [0, 0],
            |t| t.deaths.insert(Member::Ledger, 1).map_or((), drop),
            |t| t.taken_over = Some(0),
        ];
        for zero in zeroed {
            let mut tally = proven();
            zero(&mut tally);
            assert_eq!(tally.unproven().len(), 1);
        }
        for window in Window::ALL {
            let mut tally = proven();
            tally.windows.insert(window, Hits::default());
            assert_eq!(tally.unproven().len(), 1, "{window}");
        }
    }
}
