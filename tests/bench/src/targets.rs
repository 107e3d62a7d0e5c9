//! What is to be reached, and whether it was.

use std::time::Duration;

use crate::{database::Kind, plan::Tcc, report::Record, tcc::Until};

/// Rates and delays that the targets are about; `None`: not measured in this run.
#[derive(Debug, Default)]
pub struct Findings {
    /// How many times as fast batches must be as batches of one.
    factor: f64,
    /// Transactions per second of 64 callers.
    pub batched: Option<f64>,
    /// The same with each command committed by itself.
    pub unbatched: Option<f64>,
    /// Of the sustained runs.
    pub sustained: Vec<Sustained>,
    /// The median of one call of a lone caller, in milliseconds.
    pub lone_call_ms: Option<f64>,
    /// Transactions of two branches per second, of 64 callers until the final phase.
    tcc: Option<f64>,
    /// The same with each command committed by itself.
    tcc_unbatched: Option<f64>,
    /// The median until the decision of a lone caller's, in milliseconds.
    tcc_decision_ms: Option<f64>,
    /// How many of them there are to be; only a server has a target.
    tcc_per_second: Option<f64>,
}

/// A run with deliveries that went on for a while.
#[derive(Clone, Copy, Debug)]
pub struct Sustained {
    pub callers: usize,
    pub seconds: f64,
    pub acknowledged: f64,
    pub delivered: f64,
    /// The age of the oldest message that had not arrived when the window ended.
    pub backlog: Duration,
}

impl Findings {
    /// Nothing yet.
    pub fn over(store: Kind) -> Self {
        let factor = match store {
            Kind::Sqlite => 5.0,
            // A server takes many commits at once, so that batches of one are not as slow.
            Kind::Postgres | Kind::Mysql => 4.0,
        };
        Self {
            factor,
            tcc_per_second: (store == Kind::Postgres).then_some(2_000.0),
            ..Self::default()
        }
    }

    /// Notes a run with branches.
    pub fn tcc(&mut self, run: Tcc, record: &Record) {
        match (run.until, run.callers, run.batched) {
            (Until::Decided, 1, true) => self.tcc_decision_ms = Some(record.p50_ms),
            (Until::Final, 64, true) => self.tcc = Some(record.per_second),
            (Until::Final, 64, false) => self.tcc_unbatched = Some(record.per_second),
            _ => {}
        }
    }

    /// One line per target.
    pub fn verdicts(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let (Some(batched), Some(unbatched)) = (self.batched, self.unbatched) {
            let ratio = batched / unbatched;
            lines.push(verdict(
                ratio >= self.factor,
                &format!(
                    "64 callers: {ratio:.1} x the run with batches of one (at least {} x)",
                    self.factor
                ),
            ));
        }
        for run in &self.sustained {
            let Sustained {
                callers, seconds, ..
            } = run;
            let ratio = run.delivered / run.acknowledged;
            lines.push(verdict(
                ratio >= 0.9,
                &format!("{callers} callers, {seconds:.0} s: delivered {ratio:.3} x acknowledged (at least 0.9 x)"),
            ));
            let backlog = run.backlog.as_secs_f64();
            lines.push(verdict(
                backlog < 1.0,
                &format!("{callers} callers, {seconds:.0} s: {backlog:.3} s of backlog at the end (under 1 s)"),
            ));
        }
        if let Some(p50) = self.lone_call_ms {
            lines.push(verdict(
                p50 < 2.0,
                &format!("1 caller: median of one call {p50:.2} ms (under 2 ms)"),
            ));
        }
        if let (Some(batched), Some(unbatched)) = (self.tcc, self.tcc_unbatched) {
            let ratio = batched / unbatched;
            lines.push(format!(
                "{:<8} 64 callers, two branches: {ratio:.1} x the run with batches of one",
                "RATIO"
            ));
        }
        if let (Some(rate), Some(target)) = (self.tcc, self.tcc_per_second) {
            lines.push(verdict(
                rate >= target,
                &format!("64 callers, two branches, until the final phase: {rate:.0}/s (at least {target:.0}/s)"),
            ));
        }
        if let Some(p50) = self.tcc_decision_ms {
            lines.push(verdict(
                p50 < 5.0,
                &format!(
                    "1 caller, two branches: median until the decision {p50:.2} ms (under 5 ms)"
                ),
            ));
        }
        lines
    }
}

fn verdict(met: bool, target: &str) -> String {
    format!("{:<8} {target}", if met { "MET" } else { "NOT MET" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_missed_and_nothing_of_what_was_not_measured() {
        let slow = Sustained {
            callers: 64,
            seconds: 60.0,
            acknowledged: 1_000.0,
            delivered: 800.0,
            backlog: Duration::from_millis(300),
        };
        let findings = Findings {
            sustained: vec![slow],
            lone_call_ms: Some(2.5),
            ..Findings::default()
        };
        let met: Vec<_> = findings
            .verdicts()
            .iter()
            .map(|line| line.starts_with("MET"))
            .collect();
        assert_eq!(met, [false, true, false]);
    }
}
