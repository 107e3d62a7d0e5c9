//! The numbers of a run, counted from the databases, and whether they prove anything.

use std::collections::BTreeMap;

use crate::{
    books::{Books, Decision, DeliveryState, Phase},
    lives::{Death, Evidence},
    member::Member,
    promise::{Finding, Promise},
    window::Window,
};

/// How many deaths hit a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hits {
    /// By member, as in [`Member::ALL`].
    pub by_member: [u64; 4],
    /// Of them, deaths at a step of the window.
    pub at_crash_points: u64,
}

impl Hits {
    pub(crate) fn all(&self) -> u64 {
        self.by_member.iter().sum()
    }
}

/// All that the table shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Payments that somebody asked for.
    pub asked: u64,
    pub committed: u64,
    pub confirmed: u64,
    pub cancelled: u64,
    pub confirmed_by_check_back: u64,
    pub cancelled_by_check_back: u64,
    pub in_progress_answers: u64,
    pub delivered: u64,
    pub owed: u64,
    /// By the ledger and by the rewards.
    pub duplicates: [u64; 2],
    pub repeated_requests: u64,
    pub lines: u64,
    pub lines_sum: i64,
    pub pairs: u64,
    pub cashbacks: u64,
    pub spent: i64,
    pub budget: i64,
    pub windows: BTreeMap<Window, Hits>,
    /// Deaths of each, as in [`Member::ALL`].
    pub deaths: [u64; 4],
}

impl Tally {
    pub(crate) fn of(books: &Books, deaths: &[Death]) -> Self {
        let mut tally = Self {
            committed: books.cashier.payments.len() as u64,
            in_progress_answers: books.coordinator.in_progress_answers,
            lines: books.ledger.lines.len() as u64,
            lines_sum: books.ledger.lines.iter().map(|l| l.cents).sum(),
            cashbacks: books.rewards.cashbacks.len() as u64,
            spent: books.rewards.cashbacks.iter().map(|c| c.cents).sum(),
            budget: books.rewards.budget,
            windows: Window::ALL.map(|w| (w, Hits::default())).into(),
            ..Self::default()
        };
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
        let mut pairs: BTreeMap<&str, i64> = BTreeMap::new();
        for line in &books.ledger.lines {
            *pairs.entry(&line.payment).or_default() += 1;
        }
        tally.pairs = pairs.values().filter(|lines| **lines == 2).count() as u64;
        for death in deaths {
            tally.deaths[death.member as usize] += 1;
            for (window, evidence) in &death.windows {
                let hits = tally.windows.entry(*window).or_default();
                hits.by_member[death.member as usize] += 1;
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
            ("no payment was committed", self.committed),
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
        let deaths = Member::ALL.map(|member| {
            let what = format!("the {member} was not killed several times");
            (what, u64::from(self.deaths[member as usize] > 1))
        });
        windows
            .chain(counts)
            .chain(deaths)
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
            by_member: [1, 0, 0, 0],
            at_crash_points: 0,
        };
        Tally {
            committed: 1,
            cancelled: 1,
            cancelled_by_check_back: 1,
            duplicates: [0, 1],
            windows: Window::ALL.map(|w| (w, hit)).into(),
            deaths: [2; 4],
            ..Tally::default()
        }
    }

    #[test]
    fn what_stayed_at_zero_fails_the_run() {
        assert_eq!(proven().unproven(), []);
        let zeroed: [fn(&mut Tally); 5] = [
            |t| t.committed = 0,
            |t| t.cancelled = 0,
            |t| t.cancelled_by_check_back = 0,
            |t| t.duplicates = [0, 0],
            |t| t.deaths[2] = 1,
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
