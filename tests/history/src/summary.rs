//! What a history holds, counted: a check that found nothing wrong says with it what it looked at.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{
    branch::{Action, BranchAnswer, BranchState},
    entry::{Act, CheckBackAnswer, Decision, DeliveryAnswer, DeliveryState, Event, Phase},
    history::{Answer, History},
};

/// Counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Lines.
    pub lines: usize,
    /// Calls, by their name: all, ok, refused, and those without an answer.
    pub calls: BTreeMap<&'static str, [usize; 4]>,
    /// Transactions that the coordinator knows at rest.
    pub transactions: usize,
    /// Of them, by phase.
    pub phases: BTreeMap<&'static str, usize>,
    /// Of them, by who decided.
    pub decided_by: BTreeMap<String, usize>,
    /// Local transactions that committed.
    pub committed: usize,
    /// Check-backs answered with *committed*, *rolled back*, *in progress*, *unknown*.
    pub check_backs: [usize; 4],
    /// Deliveries answered with *ok*, *failed*, *unknown*.
    pub deliveries: [usize; 3],
    /// Effects.
    pub effects: usize,
    /// Deliveries parked at rest.
    pub parked: usize,
    /// Of branches.
    pub branches: Branches,
    /// Faults that began, by kind.
    pub faults: BTreeMap<String, usize>,
    /// From the end of the faults until all was at rest.
    pub rest_took_ms: Option<u64>,
}

/// Counts of branches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Branches {
    /// Confirmed, cancelled and parked ones, at rest.
    pub ended: [usize; 3],
    /// Trys that were answered with *refused*.
    pub refused: usize,
    /// Cancels that were answered *ok* though no Try ever ran.
    pub empty: usize,
    /// Transactions with branches that a check-back decided.
    pub checked_back: usize,
    /// Local transactions that participants committed as initiators of their own.
    pub nested: usize,
}

impl Summary {
    /// Counts.
    pub fn of(history: &History) -> Self {
        let mut summary = Self {
            lines: history.lines.len(),
            branches: branches(history),
            ..Self::default()
        };
        for op in &history.ops {
            let counts = summary.calls.entry(op.call.name()).or_default();
            counts[0] += 1;
            match op.end.as_ref().map(|end| &end.answer) {
                Some(Answer::Ok { .. }) => counts[1] += 1,
                Some(Answer::Fail { .. }) => counts[2] += 1,
                Some(Answer::Unknown) | None => counts[3] += 1,
            }
        }
        let mut quiet_us = None;
        for line in &history.lines {
            summary.count(&line.entry.event);
            match &line.entry.event {
                Event::Quiet => quiet_us = Some(line.entry.at_us),
                Event::Rest => {
                    let since = quiet_us.map(|quiet| (line.entry.at_us - quiet) / 1_000);
                    summary.rest_took_ms = since;
                }
                _ => {}
            }
        }
        summary
    }

    fn count(&mut self, event: &Event) {
        match event {
            Event::Committed { .. } => self.committed += 1,
            Event::CheckBack { answer, .. } => {
                self.check_backs[match answer {
                    CheckBackAnswer::Committed => 0,
                    CheckBackAnswer::RolledBack => 1,
                    CheckBackAnswer::InProgress => 2,
                    CheckBackAnswer::Unknown => 3,
                }] += 1;
            }
            Event::Delivery { answer, .. } => {
                self.deliveries[match answer {
                    DeliveryAnswer::Ok => 0,
                    DeliveryAnswer::Failed => 1,
                    DeliveryAnswer::Unknown => 2,
                }] += 1;
            }
            Event::Effect { .. } => self.effects += 1,
            Event::Fault {
                fault,
                act: Act::Begin,
                ..
            } => *self.faults.entry(fault.clone()).or_default() += 1,
            Event::View {
                phase,
                decided_by,
                deliveries,
                ..
            } => {
                self.transactions += 1;
                *self.phases.entry(word(*phase)).or_default() += 1;
                *self.decided_by.entry(decided_by.clone()).or_default() += 1;
                let parked = deliveries
                    .iter()
                    .filter(|d| d.state == DeliveryState::Parked);
                self.parked += parked.count();
            }
            _ => {}
        }
    }
}

fn branches(history: &History) -> Branches {
    let mut counted = Branches::default();
    let (mut tried, mut cancelled) = (BTreeSet::new(), BTreeSet::new());
    let mut participants = BTreeSet::new();
    for line in &history.lines {
        match &line.entry.event {
            Event::Branch {
                key,
                action,
                answer,
            } => {
                participants.insert(line.entry.process.as_str());
                match (action, answer) {
                    (Action::Try, BranchAnswer::Refused) => counted.refused += 1,
                    (Action::Cancel, BranchAnswer::Ok) => drop(cancelled.insert(key)),
                    _ => {}
                }
            }
            Event::Step {
                key,
                action: Action::Try,
                ..
            } => drop(tried.insert(key)),
            Event::View {
                phase,
                decided_by,
                branches,
                ..
            } => {
                for branch in branches {
                    match (branch.state, phase.decision()) {
                        (BranchState::Parked, _) => counted.ended[2] += 1,
                        (BranchState::Done, Some(Decision::Confirm)) => counted.ended[0] += 1,
                        (BranchState::Done, Some(Decision::Cancel)) => counted.ended[1] += 1,
                        _ => {}
                    }
                }
                if !branches.is_empty() && decided_by == "check-back" {
                    counted.checked_back += 1;
                }
            }
            _ => {}
        }
    }
    counted.empty = cancelled.difference(&tried).count();
    let nested = history.lines.iter().filter(|line| {
        matches!(line.entry.event, Event::Committed { .. })
            && participants.contains(line.entry.process.as_str())
    });
    counted.nested = nested.count();
    counted
}

fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Prepared => "PREPARED",
        Phase::Confirming => "CONFIRMING",
        Phase::Confirmed => "CONFIRMED",
        Phase::Cancelling => "CANCELLING",
        Phase::Cancelled => "CANCELLED",
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} lines of history", self.lines)?;
        for (call, [all, ok, refused, unknown]) in &self.calls {
            writeln!(
                f,
                "  {call:<8} {all:>6} calls: {ok} ok, {refused} refused, {unknown} without an answer"
            )?;
        }
        let list = |counts: Vec<(&str, usize)>| {
            let words: Vec<String> = counts.iter().map(|(w, n)| format!("{n} {w}")).collect();
            words.join(", ")
        };
        let phases = self.phases.iter().map(|(word, n)| (*word, *n)).collect();
        let deciders = self.decided_by.iter().map(|(by, n)| (by.as_str(), *n));
        let deciders = deciders.map(|(by, n)| (if by.is_empty() { "nobody" } else { by }, n));
        writeln!(
            f,
            "  {} transactions ({}; decided by: {}), {} of them committed locally",
            self.transactions,
            list(phases),
            list(deciders.collect()),
            self.committed
        )?;
        let [yes, no, open, unclear] = self.check_backs;
        let [taken, failed, again] = self.deliveries;
        writeln!(
            f,
            "  check-backs answered: {yes} committed, {no} rolled back, {open} in progress, {unclear} unknown"
        )?;
        writeln!(
            f,
            "  deliveries answered: {taken} ok, {failed} failed, {again} again later; {} effects, {} parked",
            self.effects, self.parked
        )?;
        let [confirmed, cancelled, parked] = self.branches.ended;
        if confirmed + cancelled + parked > 0 {
            writeln!(
                f,
                "  branches: {confirmed} confirmed, {cancelled} cancelled, {parked} parked; {} Trys refused, {} Cancels without a Try, \
                 {} transactions decided by check-back, {} nested",
                self.branches.refused,
                self.branches.empty,
                self.branches.checked_back,
                self.branches.nested
            )?;
        }
        let faults = self.faults.iter().map(|(kind, n)| (kind.as_str(), *n));
        write!(f, "  faults: {}", list(faults.collect()))?;
        if let Some(ms) = self.rest_took_ms {
            write!(f, "; at rest {ms} ms after the last")?;
        }
        Ok(())
    }
}
