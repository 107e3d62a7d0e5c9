//! The stores' own suite, case after case: of one node, of two nodes at once, and of a wire that is cut. A case names the
//! promise that it guards, or none.

#[path = "../../../../coordinator/store/tests/nodes/outage.rs"]
mod outage;
#[path = "../../../../coordinator/store/tests/nodes/proxy.rs"]
mod proxy;

use std::{sync::Arc, thread, time::Duration};

use earnest_harness::Kind;
use earnest_store::{
    MySqlOptions, MySqlStore, PostgresOptions, PostgresStore, SqliteOptions, SqliteStore, Store,
    StoreError,
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
    /// A server; MariaDB, as the tests have it.
    Mysql,
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
                (case.run)(one(database).await).await;
            });
        }),
    };
    CASES.iter().map(run).collect()
}

/// What two nodes do at once, and what one sees of a wire or a server that fails.
fn together(database: Database) -> Vec<Run> {
    match database {
        Database::Sqlite => Vec::new(),
        Database::Postgres => on_server(database, Kind::Postgres, open_postgres),
        Database::Mysql => on_server(database, Kind::Mariadb, open_mysql),
    }
}

fn on_server<Open>(database: Database, kind: Kind, open: Open) -> Vec<Run>
where
    Open: AsyncFn(&str, &TestClock) -> Result<Arc<dyn Store>, StoreError>
        + Copy
        + Send
        + Sync
        + 'static,
{
    let run = |case: &'static earnest_store::conformance::Case<Nodes>| Run {
        name: case.name,
        run: Box::new(move || block_on(async { (case.run)(two(database).await).await })),
    };
    let mut runs: Vec<Run> = nodes::CASES.iter().map(run).collect();
    runs.push(Run {
        name: "r4_commit_without_an_answer_is_unknown",
        run: Box::new(move || {
            block_on(async {
                let made = made(database).await;
                outage::r4_commit_without_an_answer_is_unknown(made.url(), open).await;
            });
        }),
    });
    runs.push(Run {
        name: "r4_claim_whose_commit_is_unknown_orphans_nothing",
        run: Box::new(move || {
            block_on(async {
                let made = made(database).await;
                outage::r4_claim_whose_commit_is_unknown_orphans_nothing(made.url(), open).await;
            });
        }),
    });
    runs.push(Run {
        name: "p2_killed_server_loses_nothing_acknowledged",
        run: Box::new(move || {
            block_on(outage::p2_killed_server_loses_nothing_acknowledged(
                kind, open,
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

/// A database of its own on the server.
async fn made(database: Database) -> earnest_harness::Database {
    match database {
        Database::Mysql => earnest_harness::mariadb().await,
        Database::Sqlite | Database::Postgres => earnest_harness::postgres().await,
    }
}

async fn open(database: Database, url: &str, clock: &TestClock) -> Arc<dyn Store> {
    let opened = match database {
        Database::Mysql => open_mysql(url, clock).await,
        Database::Sqlite | Database::Postgres => open_postgres(url, clock).await,
    };
    opened.expect("the store opens")
}

async fn one(database: Database) -> Subject {
    if database == Database::Sqlite {
        return sqlite();
    }
    let clock = TestClock::default();
    let made = made(database).await;
    let store = open(database, made.url(), &clock).await;
    Subject::new(store, clock, made)
}

async fn two(database: Database) -> Nodes {
    let clock = TestClock::default();
    let made = made(database).await;
    let (a, b) = tokio::join!(
        open(database, made.url(), &clock),
        open(database, made.url(), &clock)
    );
    Nodes::new(a, b, &clock)
}

async fn open_postgres(url: &str, clock: &TestClock) -> Result<Arc<dyn Store>, StoreError> {
    let clock = Arc::new(clock.clone());
    let store = PostgresStore::open_at(PostgresOptions::new(url), clock).await?;
    Ok(Arc::new(store))
}

async fn open_mysql(url: &str, clock: &TestClock) -> Result<Arc<dyn Store>, StoreError> {
    let clock = Arc::new(clock.clone());
    let store = MySqlStore::open_at(MySqlOptions::new(url), clock).await?;
    Ok(Arc::new(store))
}
