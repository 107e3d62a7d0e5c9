//! What many runs met together.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Duration,
};

use crate::{Coverage, FEWEST_KINDS, Outcome, legal};

/// The sum of many runs.
#[derive(Debug, Clone, Default)]
pub struct Sum {
    /// Runs.
    pub seeds: u64,
    /// Runs that broke a promise.
    pub bad_seeds: u64,
    /// Transactions that services began.
    pub transactions: u64,
    /// Things that happened.
    pub steps: u64,
    /// How often each kind of fault met something.
    pub faults: BTreeMap<&'static str, u64>,
    /// Runs that met fewer kinds of fault than they should.
    pub calm_seeds: u64,
    /// Pairs of state and event.
    pub coverage: Coverage,
    /// Time that passed in the simulation.
    pub simulated: Duration,
}

impl Sum {
    /// Takes a run in.
    pub fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.bad_seeds += u64::from(!outcome.is_good());
        self.transactions += outcome.transactions;
        self.steps += outcome.steps;
        for (kind, count) in &outcome.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        self.calm_seeds += u64::from(outcome.faults.len() < FEWEST_KINDS);
        self.coverage.extend(&outcome.coverage);
        self.simulated += outcome.simulated;
    }

    /// For people. `took` is the time by the clock, `busy` that of all cores together.
    pub fn print(&self, out: &mut impl Write, took: Duration, busy: Duration) -> io::Result<()> {
        let per_second = self.transactions as f64 / busy.as_secs_f64().max(0.001);
        writeln!(
            out,
            "seeds          {} ({} broke a promise)",
            self.seeds, self.bad_seeds
        )?;
        writeln!(out, "transactions   {}", self.transactions)?;
        writeln!(out, "steps          {}", self.steps)?;
        writeln!(
            out,
            "simulated      {:.1} h",
            self.simulated.as_secs_f64() / 3_600.0
        )?;
        writeln!(out, "took           {:.1} s", took.as_secs_f64())?;
        writeln!(out, "one core       {per_second:.0} transactions/s")?;
        writeln!(
            out,
            "state × event  {} of {} legal pairs, {} illegal ones refused",
            self.coverage.hit(),
            legal().len(),
            self.coverage.refused()
        )?;
        for (state, event) in self.coverage.missed() {
            writeln!(out, "  not met: {state:?} × {event:?}")?;
        }
        writeln!(
            out,
            "calm seeds     {} met fewer than {FEWEST_KINDS} kinds of fault",
            self.calm_seeds
        )?;
        writeln!(out, "faults")?;
        for (kind, count) in &self.faults {
            writeln!(out, "  {kind:<26} {count}")?;
        }
        Ok(())
    }
}
