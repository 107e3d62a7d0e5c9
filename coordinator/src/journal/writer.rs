//! The task that writes; one per lane.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use earnest_store::{Applied, Command, LeaseGrant, Reply, Store, StoreError};
use tokio::{sync::mpsc, time::Instant};

use super::{Answer, Dispatcher, Entry, JournalError, JournalOptions, Waiters, batch};
use crate::{crash, planted::planted, telemetry::Metrics, vigil::Vigil};

/// How long a batch is tried again while the database fails in a way that may pass; then its callers are
/// told, since they wait with locks of their own.
const RETRY: [Duration; 4] = [
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(500),
];

#[derive(Clone)]
pub(super) struct Writer {
    store: Arc<dyn Store>,
    dispatcher: Arc<dyn Dispatcher>,
    options: JournalOptions,
    metrics: Arc<Metrics>,
    vigil: Arc<Vigil>,
    waiters: Waiters,
    lane: usize,
}

impl Writer {
    pub(super) fn new(
        store: Arc<dyn Store>,
        dispatcher: Arc<dyn Dispatcher>,
        options: JournalOptions,
        metrics: Arc<Metrics>,
        vigil: Arc<Vigil>,
        waiters: Waiters,
    ) -> Self {
        Self {
            store,
            dispatcher,
            options,
            metrics,
            vigil,
            waiters,
            lane: 0,
        }
    }

    /// The same for another lane.
    pub(super) fn of_lane(&self, lane: usize) -> Self {
        Self {
            lane,
            ..self.clone()
        }
    }

    pub(super) async fn run(self, mut queue: mpsc::UnboundedReceiver<Entry>) {
        let mut waiting = VecDeque::new();
        let mut taken = Vec::new();
        loop {
            if waiting.is_empty() {
                // Sleeps until there is something, then takes all there is.
                if queue
                    .recv_many(&mut taken, self.options.queue_commands)
                    .await
                    == 0
                {
                    return;
                }
            } else {
                while let Ok(entry) = queue.try_recv() {
                    taken.push(entry);
                }
            }
            waiting.extend(taken.drain(..));
            let batch = batch::next(&mut waiting, &self.options);
            self.write(batch).await;
        }
    }

    async fn write(&self, batch: Vec<Entry>) {
        let (commands, answers): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|e| (e.command, (e.answer, e.room)))
            .unzip();
        let began = Instant::now();
        let results = self.bisect(&commands).await;
        self.metrics
            .batch_written(&commands, &results, began.elapsed());
        if self.waiters.count() > 0 {
            for result in &results {
                self.tell(result);
            }
        }
        for ((answer, room), result) in answers.into_iter().zip(results) {
            // The room is free again before the caller hears of it.
            drop(room);
            // A caller that has gone away loses its answer, not its command.
            let _ = answer.send(result);
        }
    }

    /// Whoever waits for a transaction hears how it stands now.
    fn tell(&self, answer: &Answer) {
        match answer {
            Ok(Ok(
                Reply::Transaction { row, .. } | Reply::Settled(row) | Reply::Contradicted(row),
            )) => self.waiters.tell(row),
            Ok(Ok(Reply::LostLease) | Err(_)) | Err(_) => {}
        }
    }

    /// Writes `commands` as one; when the database refuses that for good, as halves, so that one bad value
    /// fails alone.
    async fn bisect(&self, commands: &[Command]) -> Vec<Answer> {
        let error = match self.persist(commands).await {
            Ok(applied) => {
                crash::batch(crash::Side::After, commands);
                self.dispatcher.dispatch(applied.leased);
                return applied.results.into_iter().map(Ok).collect();
            }
            Err(error) => Arc::new(error),
        };
        let is_of_one = !error.is_passing() && !matches!(*error, StoreError::Forgot(_));
        if is_of_one && commands.len() > 1 {
            let (left, right) = commands.split_at(commands.len() / 2);
            let mut results = Box::pin(self.bisect(left)).await;
            results.extend(Box::pin(self.bisect(right)).await);
            return results;
        }
        tracing::warn!(
            error = &*error as &dyn std::error::Error,
            commands = commands.len(),
            "batch not written"
        );
        commands
            .iter()
            .map(|_| Err(JournalError::Store(Arc::clone(&error))))
            .collect()
    }

    /// Runs a batch until it is known to be written or not. After an unknown COMMIT the same commands run again,
    /// and what they find in the database is the answer, never what was in memory.
    async fn persist(&self, commands: &[Command]) -> Result<Applied, StoreError> {
        let mut waits = RETRY.iter();
        loop {
            self.vigil.refuse()?;
            crash::batch(crash::Side::Before, commands);
            let grant = LeaseGrant {
                epoch: self.dispatcher.epoch(),
                admission: self.dispatcher.admission(),
                line: self.vigil.line(self.lane),
            };
            match self.store.apply(commands, grant).await {
                Ok(applied) => {
                    if let Some(mark) = applied.mark {
                        self.vigil.wrote(mark);
                    }
                    return Ok(applied);
                }
                // Not tried again: only a person can say how to go on.
                Err(StoreError::Forgot(loss)) => {
                    self.vigil.notice(*loss);
                    return Err(StoreError::Forgot(loss));
                }
                Err(error) if error.is_passing() => {
                    let unknown = matches!(error, StoreError::CommitUnknown { .. });
                    if unknown && !planted!(OrphansAreKept) {
                        // If it was committed, its leases are this node's, and nobody has the work.
                        self.dispatcher.orphaned();
                    }
                    match waits.next() {
                        Some(wait) => tokio::time::sleep(*wait).await,
                        None => return Err(error),
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}
