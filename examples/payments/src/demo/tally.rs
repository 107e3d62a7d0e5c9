//! The numbers of a run, counted from the databases, and whether they prove anything.

use std::collections::BTreeMap;

use crate::{
    books::{Books, Decision, DeliveryState, Phase},
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
    /// Deaths of each member of the run.
    pub deaths: BTreeMap<Member, u64>,
    /// Work that a dead node had leased and that another one finished meanwhile; none: there is only one node.
    pub taken_over: Option<u64>,
}

impl Tally {
    pub(crate) fn of(books: &Books, nodes: u8, record: &Record) -> Self {
        let mut tally = Self {
            committed: books.cashier.payments.len() as u64,
            in_progress_answers: books.coordinator.in_progress_answers,
            lines: books.ledger.lines.len() as u64,
            lines_sum: books.ledger.lines.iter().map(|l| l.cents).sum(),
            cashbacks: books.rewards.cashbacks.len() as u64,
            spent: books.rewards.cashbacks.iter().map(|c| c.cents).sum(),
            budget: books.rewards.budget,
            windows: Window::ALL.map(|w| (w, Hits::default())).into(),
            deaths: Member::all(nodes).map(|member| (member, 0)).collect(),
            taken_over: (nodes > 1).then_some(record.taken_over),
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
        let deaths = self.deaths.iter().map(|(member, deaths)| {
            let what = format!("the {member} was not killed several times");
            (what, u64::from(*deaths > 1))
        });
        let taken_over = self.taken_over.map(|count| {
            let what = "no work of a dead coordinator was taken over by another".to_owned();
            (what, count)
        });
        windows
            .chain(counts)
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
            committed: 1,
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
        let zeroed: [fn(&mut Tally); 6] = [
            |t| t.committed = 0,
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
