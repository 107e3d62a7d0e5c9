//! The one thread that writes.
//!
//! Each job is one database transaction: BEGIN IMMEDIATE, the job's statements, COMMIT. Nothing is answered
//! before its COMMIT, and after any error the connection is whole again before the next job.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
    thread::JoinHandle,
};

use earnest_protocol::Timestamp;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{
    SqliteOptions,
    checkpoint::{self, Checkpoints},
    error::{Context, commit_failed, failed, unavailable},
    open,
};
use crate::{Clock, StoreError, planted::planted};

/// Jobs that wait at most; callers beyond that wait to hand theirs in.
const QUEUE: usize = 256;

type Job = Box<dyn FnOnce(&mut Desk) + Send>;

/// Hands jobs to the thread. Dropping it runs what was handed in, and then closes the database.
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// The file as it was opened.
pub(super) struct Opened {
    pub(super) path: PathBuf,
    pub(super) identity: open::Identity,
}

/// The thread's own.
struct Desk {
    db: Option<Connection>,
    file: Opened,
    options: SqliteOptions,
    clock: Arc<dyn Clock>,
    checkpoints: Checkpoints,
}

impl Writer {
    pub(super) fn start(
        db: Connection,
        file: Opened,
        options: SqliteOptions,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE);
        let checkpoints = Checkpoints::start(file.path.clone(), options.clone())?;
        let mut desk = Desk {
            db: Some(db),
            file,
            options,
            clock,
            checkpoints,
        };
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || {
                while let Some(job) = queue.blocking_recv() {
                    // A job that panics must not take the writer with it; its caller learns that no answer came.
                    if catch_unwind(AssertUnwindSafe(|| job(&mut desk))).is_err() {
                        tracing::error!("a database job panicked; its transaction is rolled back");
                        desk.tidy();
                    }
                }
                drop(desk.checkpoints);
                if let Some(db) = &desk.db {
                    checkpoint::last(db);
                }
            })?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Runs `work` as one database transaction, and answers after its COMMIT. `work` gets the store's time.
    /// Dropping the future doesn't stop it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&Connection, Timestamp) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.hand_in(name, move |desk| desk.transact(name, work))
            .await
    }

    /// Runs `look` on the connection that writes, outside of any transaction.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        name: &'static str,
        look: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.hand_in(name, move |desk| look(desk.connection(name)?))
            .await
    }

    async fn hand_in<T: Send + 'static>(
        &self,
        name: &'static str,
        job: impl FnOnce(&mut Desk) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |desk| {
            let _ = answer.send(job(desk));
        });
        let jobs = self
            .jobs
            .as_ref()
            .ok_or_else(|| unavailable(format!("{name}: the store is closed")))?;
        jobs.send(job)
            .await
            .map_err(|_| unavailable(format!("{name}: the writer has stopped")))?;
        let lost = |_| StoreError::CommitUnknown {
            context: format!("{name}: the writer gave no answer"),
            source: None,
        };
        answered.await.map_err(lost)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Desk {
    /// The connection; a new one where the last was past repair.
    ///
    /// A file that was replaced or removed is still there for whoever has it open, and what is written to it is gone with
    /// this process: so nothing is (R5).
    fn connection(&mut self, name: &str) -> Result<&Connection, StoreError> {
        let path = &self.file.path;
        if open::Identity::of(path).ok() != Some(self.file.identity) {
            return Err(unavailable(format!(
                "{name}: {} was replaced or removed while it was open: put it back, or restart this coordinator to go \
                 on with what lies there now",
                path.display()
            )));
        }
        if self.db.is_none() {
            self.db = Some(open::writer(path, &self.options).map_err(|error| failed(name, error))?);
        }
        self.db.as_ref().ok_or_else(|| unavailable(name))
    }

    fn transact<T>(
        &mut self,
        name: &str,
        work: impl FnOnce(&Connection, Timestamp) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let now = self.clock.now();
        let db = self.connection(name)?;
        if db.is_autocommit() || !planted!(AnswersBeforeCommit) {
            statement(db, "BEGIN IMMEDIATE").context(name)?;
        }
        let done = match work(db, now) {
            Ok(done) => done,
            Err(error) => {
                self.tidy();
                return Err(error);
            }
        };
        if planted!(AnswersBeforeCommit) && name != "claim" {
            return Ok(done);
        }
        if let Err(error) = statement(db, "COMMIT") {
            let rolled_back = self.tidy();
            return Err(commit_failed(name, error, rolled_back));
        }
        if let Some(db) = &self.db {
            self.checkpoints.after_commit(db);
        }
        Ok(done)
    }

    /// Ends whatever transaction is open; false: it can't be told, so the connection is given up.
    fn tidy(&mut self) -> bool {
        let Some(db) = &self.db else { return true };
        if !db.is_autocommit() {
            let _ = db.execute_batch("ROLLBACK");
        }
        let is_whole = db.is_autocommit();
        if !is_whole {
            self.db = None;
        }
        is_whole
    }
}

fn statement(db: &Connection, sql: &str) -> rusqlite::Result<()> {
    db.prepare_cached(sql)?.execute([]).map(drop)
}
