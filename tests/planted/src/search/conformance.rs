//! The stores' own suite, case after case: of one node, of two nodes at once, and of a wire that is cut. A case names the
//! promise that it guards, or none.

#[path = "../../../../coordinator/store/tests/nodes/outage.rs"]
mod outage;
#[path = "../../../../coordinator/store/tests/nodes/proxy.rs"]
mod proxy;

use std::{sync::Arc, thread, time::Duration};

use earnest_harness::Kind;
use earnest_store::{
    PostgresOptions, PostgresStore, SqliteOptions, SqliteStore, Store, StoreError,
    conformance::{
        CASES, Subject, TestClock,
        nodes::{self, Nodes},
    },
};
use tokio::runtime::Builder;

use super::{Found, missed};
use crate::{Caught, Entry};

/// Cases of one node that run at the same time.
const AT_ONCE: usize = 4;
/// A defect may make a case wait for what never comes.
const LONGEST: Duration = Duration::from_secs(20);

/// Whose rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// A file.
    Sqlite,
    /// A server.
    Postgres,
}

/// One case; it panics where the store behaves otherwise.
struct Run {
    name: &'static str,
    run: Box<dyn Fn() + Send + Sync>,
}

pub(crate) fn search(entry: Entry, database: Database) -> Found {
    let mut searched = 0;
    // Two nodes at once are to meet each other, and not the nodes of other cases.
    for (cases, at_once) in [(together(database), 1), (alone(database), AT_ONCE)] {
        for cases in cases.chunks(at_once) {
            searched += cases.len() as u64;
            let failed = failed(cases);
            let named = failed.into_iter().find(|case| guards(case, entry.breaks));
            if let Some(place) = named {
                let caught = Caught {
                    place: place.to_owned(),
                    searched,
                    steps: searched,
                };
                return (Some(caught), Box::new(move || passes(database, place)));
            }
        }
    }
    missed()
}

fn passes(database: Database, name: &str) -> bool {
    let all = alone(database).into_iter().chain(together(database));
    let cases: Vec<Run> = all.filter(|case| case.name == name).collect();
    !cases.is_empty() && failed(&cases).is_empty()
}

/// `p10_…` guards P10.
fn guards(case: &str, promise: &str) -> bool {
    case.split('_')
        .next()
        .is_some_and(|named| named.eq_ignore_ascii_case(promise))
}

/// Runs all at the same time, and returns those that failed.
fn failed(cases: &[Run]) -> Vec<&'static str> {
    thread::scope(|scope| {
        let running: Vec<_> = cases
            .iter()
            .map(|case| (case.name, scope.spawn(|| (case.run)())))
            .collect();
        let ended = running
            .into_iter()
            .map(|(name, running)| (name, running.join()));
        ended
            .filter(|(_, ended)| ended.is_err())
            .map(|(name, _)| name)
            .collect()
    })
}

/// What one node does.
fn alone(database: Database) -> Vec<Run> {
    let run = |case: &'static earnest_store::conformance::Case| Run {
        name: case.name,
        run: Box::new(move || {
            block_on(async {
                let subject = match database {
                    Database::Sqlite => sqlite(),
                    Database::Postgres => postgres().await,
                };
                (case.run)(subject).await;
            });
        }),
    };
    CASES.iter().map(run).collect()
}

/// What two nodes do at once, and what one sees of a wire or a server that fails.
fn together(database: Database) -> Vec<Run> {
    if database == Database::Sqlite {
        return Vec::new();
    }
    let run = |case: &'static earnest_store::conformance::Case<Nodes>| Run {
        name: case.name,
        run: Box::new(|| block_on(async { (case.run)(two().await).await })),
    };
    let mut runs: Vec<Run> = nodes::CASES.iter().map(run).collect();
    runs.push(Run {
        name: "r4_commit_without_an_answer_is_unknown",
        run: Box::new(|| {
            block_on(async {
                let database = earnest_harness::postgres().await;
                outage::r4_commit_without_an_answer_is_unknown(database.url(), open_at).await;
            });
        }),
    });
    runs.push(Run {
        name: "r4_claim_whose_commit_is_unknown_orphans_nothing",
        run: Box::new(|| {
            block_on(async {
                let database = earnest_harness::postgres().await;
                let url = database.url();
                outage::r4_claim_whose_commit_is_unknown_orphans_nothing(url, open_at).await;
            });
        }),
    });
    runs.push(Run {
        name: "p2_killed_server_loses_nothing_acknowledged",
        run: Box::new(|| {
            block_on(outage::p2_killed_server_loses_nothing_acknowledged(
                Kind::Postgres,
                open_at,
            ));
        }),
    });
    runs
}

fn block_on(case: impl Future<Output = ()>) {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let bounded = async {
        let ended = tokio::time::timeout(LONGEST, case).await;
        ended.expect("the case does not end");
    };
    runtime.expect("a runtime").block_on(bounded);
}

fn sqlite() -> Subject {
    let directory = tempfile::tempdir().expect("a directory");
    let clock = TestClock::default();
    let options = SqliteOptions::new(directory.path().join("earnest.db"));
    let store = SqliteStore::open(options, Arc::new(clock.clone())).expect("the store opens");
    Subject::new(Arc::new(store), clock, directory)
}

async fn postgres() -> Subject {
    let clock = TestClock::default();
    let database = earnest_harness::postgres().await;
    let store = open_at(database.url(), &clock)
        .await
        .expect("the store opens");
    Subject::new(store, clock, database)
}

async fn two() -> Nodes {
    let clock = TestClock::default();
    let database = earnest_harness::postgres().await;
    let (a, b) = tokio::join!(
        open_at(database.url(), &clock),
        open_at(database.url(), &clock)
    );
    let (a, b) = (a.expect("the store opens"), b.expect("the store opens"));
    Nodes::new(a, b, &clock)
}

async fn open_at(url: &str, clock: &TestClock) -> Result<Arc<dyn Store>, StoreError> {
    let clock = Arc::new(clock.clone());
    let store = PostgresStore::open_at(PostgresOptions::new(url), clock).await?;
    Ok(Arc::new(store))
}
