//! Group commit: many callers' commands, one database transaction (DESIGN §5).
//!
//! Callers put commands on a bounded queue; a writer (one per lane) takes all that waits, up to a count and a size, writes it
//! as one batch, and answers each. There is no timer: batches grow with load, and a lone caller waits for
//! nobody. The journal must never answer before the commit, nor from memory.

mod batch;
mod waiters;
mod writer;

use std::sync::Arc;

use earnest_protocol::TransactionId;
use earnest_store::{Admission, Command, Rejection, Reply, Store, StoreError, Work};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::task::TaskTracker;

pub use waiters::{Waiter, Waiters};

use crate::{telemetry::Metrics, vigil::Vigil};

/// Bounds of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalOptions {
    /// Commands of one batch; 1 turns group commit off (for comparison only).
    pub batch_commands: usize,
    /// Bytes of one batch, about.
    pub batch_bytes: usize,
    /// Batches written at the same time. One is the default for every database: over PostgreSQL on the same two cores 1, 2
    /// and 4 lanes wrote 5.2, 4.7 and 3.9 k transactions/s of 64 callers, 9.7, 9.1 and 8.5 k of 512.
    pub lanes: usize,
    /// Commands that may wait; one more is refused.
    pub queue_commands: usize,
    /// Bytes that may wait, about; more is refused.
    pub queue_bytes: usize,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            batch_commands: 512,
            batch_bytes: 8 << 20,
            lanes: 1,
            queue_commands: 8_192,
            queue_bytes: 128 << 20,
        }
    }
}

/// Why a command was not answered. It may be repeated: every command is idempotent.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Too much waits already.
    #[error("the coordinator is overloaded: its journal queue is full")]
    Full,
    /// The node is stopping.
    #[error("this coordinator node is stopping")]
    Closed,
    /// The database failed.
    #[error(transparent)]
    Store(Arc<StoreError>),
}

/// Takes over the work that a batch has leased to this node.
pub trait Dispatcher: Send + Sync {
    /// The node's present epoch.
    fn epoch(&self) -> earnest_protocol::NodeEpoch;
    /// Which work it takes at once.
    fn admission(&self) -> Arc<dyn Admission>;
    /// Takes it.
    fn dispatch(&self, work: Vec<Work>);
    /// A batch may have leased work that was never handed over, because its COMMIT went unknown.
    fn orphaned(&self);
}

/// The lane of a transaction: by the chance in its id, since the time in it is about the same for all that come together.
fn lane_of(id: TransactionId, lanes: usize) -> usize {
    let chance = id.as_bytes()[8..].iter();
    chance.fold(0, |sum: usize, byte| {
        (sum * 31 + usize::from(*byte)) % lanes
    })
}

type Answer = Result<Result<Reply, Rejection>, JournalError>;

/// A command on its way, with the room that it takes up.
struct Entry {
    command: Command,
    answer: oneshot::Sender<Answer>,
    room: Room,
}

/// Given back when the entry is answered.
struct Room {
    _commands: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

/// Writes commands. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    /// One per lane; all commands of a transaction go the same way.
    lanes: Arc<[mpsc::UnboundedSender<Entry>]>,
    commands: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    options: JournalOptions,
    vigil: Arc<Vigil>,
    waiters: Waiters,
}

impl Journal {
    /// Starts a writer per lane on `tasks`. They end, after writing all that waits, when the last `Journal` is dropped.
    pub fn start(
        store: Arc<dyn Store>,
        dispatcher: Arc<dyn Dispatcher>,
        options: JournalOptions,
        metrics: Arc<Metrics>,
        vigil: Arc<Vigil>,
        tasks: &TaskTracker,
    ) -> Self {
        // The queue is bounded by the two semaphores, in commands and in bytes.
        let waiters = Waiters::default();
        let writer = writer::Writer::new(
            store,
            dispatcher,
            options,
            metrics,
            Arc::clone(&vigil),
            waiters.clone(),
        );
        let lane = |lane| {
            let (sender, receiver) = mpsc::unbounded_channel();
            tasks.spawn(writer.of_lane(lane).run(receiver));
            sender
        };
        let lanes = (0..options.lanes.max(1)).map(lane).collect();
        let commands = Arc::new(Semaphore::new(options.queue_commands));
        let bytes = Arc::new(Semaphore::new(
            options.queue_bytes.min(Semaphore::MAX_PERMITS),
        ));
        Self {
            lanes,
            commands,
            bytes,
            options,
            vigil,
            waiters,
        }
    }

    /// Who waits for what this node writes.
    pub fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// Writes a caller's command; refused at once when the queue is full (P13), and while the database is known to have
    /// forgotten something (R5).
    pub async fn write(&self, command: Command) -> Result<Result<Reply, Rejection>, JournalError> {
        self.vigil
            .refuse()
            .map_err(|error| JournalError::Store(Arc::new(error)))?;
        let weight = self.weight(&command);
        let full = |_| JournalError::Full;
        let room = Room {
            _commands: Arc::clone(&self.commands)
                .try_acquire_owned()
                .map_err(full)?,
            _bytes: Arc::clone(&self.bytes)
                .try_acquire_many_owned(weight)
                .map_err(full)?,
        };
        self.send(command, room).await
    }

    /// Writes a command of the coordinator's own; waits for room, since nobody could repeat it.
    pub async fn write_own(
        &self,
        command: Command,
    ) -> Result<Result<Reply, Rejection>, JournalError> {
        let weight = self.weight(&command);
        let closed = |_| JournalError::Closed;
        let room = Room {
            _commands: Arc::clone(&self.commands)
                .acquire_owned()
                .await
                .map_err(closed)?,
            _bytes: Arc::clone(&self.bytes)
                .acquire_many_owned(weight)
                .await
                .map_err(closed)?,
        };
        self.send(command, room).await
    }

    /// Commands that wait or are being written.
    pub fn depth(&self) -> usize {
        self.options.queue_commands - self.commands.available_permits()
    }

    async fn send(&self, command: Command, room: Room) -> Answer {
        let (answer, answered) = oneshot::channel();
        let entry = Entry {
            command,
            answer,
            room,
        };
        let lane = lane_of(entry.command.transaction(), self.lanes.len());
        self.lanes[lane]
            .send(entry)
            .map_err(|_| JournalError::Closed)?;
        answered.await.map_err(|_| JournalError::Closed)?
    }

    fn weight(&self, command: &Command) -> u32 {
        let most = self.options.queue_bytes.min(u32::MAX as usize);
        u32::try_from(command.weight().min(most)).unwrap_or(u32::MAX)
    }
}
