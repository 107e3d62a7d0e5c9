//! Runs a search, and says what it found.

use std::{collections::BTreeSet, fmt, sync::Arc};

use stateright::{Checker, HasDiscoveries, Model as _};

use crate::{progress::Aloud, scope::Scope, witness::Sight, world::Model};

/// In which order states are visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// All of them, with little memory.
    Depth,
    /// Near ones first, up to the first broken invariant: short traces.
    Breadth,
    /// Near ones first, until this invariant is broken.
    Until(&'static str),
}

/// What a search found.
#[derive(Debug)]
pub struct Report {
    /// Of which scope.
    pub scope: Scope,
    /// Different states.
    pub states: usize,
    /// Steps taken between them.
    pub steps: usize,
    /// Steps of the longest run.
    pub depth: usize,
    /// Broken invariants, each with the actions that lead there.
    pub broken: Vec<(&'static str, Vec<String>)>,
    /// How often each promised situation was met.
    pub met: Vec<(Sight, u64)>,
}

impl Report {
    /// Everything held, and nothing promised was missed.
    pub fn holds(&self) -> bool {
        self.broken.is_empty() && self.missed().next().is_none()
    }

    /// Promised and not met.
    pub fn missed(&self) -> impl Iterator<Item = Sight> {
        self.met
            .iter()
            .filter(|(_, times)| *times == 0)
            .map(|(sight, _)| *sight)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<12} {:>9} states {:>10} steps, up to {} deep",
            self.scope.name, self.states, self.steps, self.depth
        )?;
        for sight in self.missed() {
            write!(f, "\n  never met: {sight:?}")?;
        }
        for (invariant, trace) in &self.broken {
            write!(f, "\n  {invariant} is broken after {} steps:", trace.len())?;
            for (n, action) in trace.iter().enumerate() {
                write!(f, "\n    {:>2}. {action}", n + 1)?;
            }
        }
        Ok(())
    }
}

/// Searches `scope`.
pub fn explore(scope: Scope, order: Order, threads: usize) -> Report {
    search(scope, order, threads, false)
}

/// Searches `scope`, and says on the standard error how far it is.
pub fn explore_aloud(scope: Scope, order: Order, threads: usize) -> Report {
    search(scope, order, threads, true)
}

fn search(scope: Scope, order: Order, threads: usize, aloud: bool) -> Report {
    let model = Model::new(scope);
    let tally = Arc::clone(&model.tally);
    let checker = model.checker().threads(threads);
    match order {
        Order::Depth => ended(scope, &tally, checker.spawn_dfs(), aloud),
        Order::Until(invariant) => {
            let broken = HasDiscoveries::AnyOf(BTreeSet::from([invariant]));
            let checker = checker.finish_when(broken).spawn_bfs();
            ended(scope, &tally, checker, aloud)
        }
        Order::Breadth => {
            let first = checker.finish_when(HasDiscoveries::AnyFailures);
            ended(scope, &tally, first.spawn_bfs(), aloud)
        }
    }
}

fn ended(
    scope: Scope,
    tally: &crate::witness::Tally,
    checker: impl Checker<Model> + Send + Sync,
    aloud: bool,
) -> Report {
    let checker = if aloud {
        checker.join_and_report(&mut Aloud::of(scope.name))
    } else {
        checker.join()
    };
    report(scope, tally, &checker)
}

fn report(scope: Scope, tally: &crate::witness::Tally, checker: &impl Checker<Model>) -> Report {
    let mut broken: Vec<_> = checker
        .discoveries()
        .into_iter()
        .map(|(name, path)| {
            let actions = path.into_actions();
            (name, actions.iter().map(|a| format!("{a:?}")).collect())
        })
        .collect();
    broken.sort_by_key(|(name, trace): &(_, Vec<_>)| (trace.len(), *name));
    Report {
        scope,
        states: checker.unique_state_count(),
        steps: checker.state_count(),
        depth: checker.max_depth(),
        broken,
        met: scope
            .reaches
            .iter()
            .map(|sight| (*sight, tally.count(*sight)))
            .collect(),
    }
}
