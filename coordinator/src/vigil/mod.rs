//! Watches that the database still has what it acknowledged (R5).
//!
//! Three memories are held against it: what this node's own batches came to, which the store checks inside each batch's
//! database transaction; the marks that clients send back with their calls, so that a restart of all nodes is no way to
//! forget; and what any node has reported, which is recorded in the database itself. While something is missing the node
//! is not ready, writes nothing of transactions and takes up no work. The vigil must never decide that a loss is
//! acceptable: a person does.

mod known;
mod watch;

use std::sync::{Mutex, MutexGuard, PoisonError};

use earnest_store::{Line, Loss, LossRow, Mark, Store, StoreError};
use known::Known;
use tokio::sync::Notify;

pub(crate) use watch::watch;

/// What one node knows of what the database acknowledged.
pub struct Vigil {
    /// The line of its first lane; the others follow.
    first_line: i64,
    node: String,
    state: Mutex<State>,
    /// Something was noticed that is to be recorded.
    noticed: Notify,
}

#[derive(Default)]
struct State {
    known: Known,
    /// Missing, noticed by this node and not yet recorded.
    noticed: Vec<Loss>,
    /// Missing, as the database itself says.
    recorded: Vec<LossRow>,
}

impl State {
    fn missing(&self) -> Option<&Loss> {
        let recorded = self.recorded.iter().map(|row| &row.loss);
        self.noticed.iter().chain(recorded).next()
    }
}

impl Vigil {
    /// `first_line`: drawn by chance, so that no other run of a node has the same lines.
    pub fn new(first_line: i64, node: impl Into<String>) -> Self {
        Self {
            first_line,
            node: node.into(),
            state: Mutex::default(),
            noticed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The line of a lane, with what was acknowledged of it.
    pub(crate) fn line(&self, lane: usize) -> Line {
        let id = self
            .first_line
            .wrapping_add(i64::try_from(lane).unwrap_or(0));
        let last = self.state().known.own(id);
        Line { id, last }
    }

    /// A batch was written, and is acknowledged from now on.
    pub(crate) fn wrote(&self, mark: Mark) {
        self.state().known.wrote(mark);
    }

    /// The newest mark of this node's; `None`: it has written nothing yet.
    pub fn newest(&self) -> Option<Mark> {
        self.state().known.newest()
    }

    /// Refuses to go on while something is missing.
    pub fn refuse(&self) -> Result<(), StoreError> {
        match self.state().missing() {
            None => Ok(()),
            Some(loss) => Err(StoreError::Forgot(Box::new(*loss))),
        }
    }

    /// How much is missing, for people and metrics.
    pub fn missing(&self) -> usize {
        let state = self.state();
        state.noticed.len() + state.recorded.len()
    }

    /// Something is missing: from now on nothing is written.
    pub(crate) fn notice(&self, loss: Loss) {
        let mut state = self.state();
        let line = |of: &Loss| (of.acknowledged.incarnation, of.acknowledged.line);
        let is_same = |known: &Loss| {
            line(known) == line(&loss) && known.acknowledged.batches >= loss.acknowledged.batches
        };
        let recorded = state.recorded.iter().map(|row| &row.loss);
        if recorded.chain(&state.noticed).any(is_same) {
            return;
        }
        tracing::error!(
            %loss,
            "THE DATABASE HAS FORGOTTEN WHAT IT ACKNOWLEDGED: nothing is written until an operator has looked; \
             `earnest database show` says what may be lost"
        );
        state.noticed.retain(|known| line(known) != line(&loss));
        state.noticed.push(loss);
        drop(state);
        self.noticed.notify_one();
    }

    /// Holds what clients were told against the database. A mark of a line that is new to this node is asked about at
    /// once; a higher one of a known line with the next look, so that a call seldom costs a question.
    pub async fn check(&self, store: &dyn Store, marks: &[Mark]) -> Result<(), StoreError> {
        self.refuse()?;
        let unknown = self.state().known.unknown(marks);
        if unknown.is_empty() {
            return Ok(());
        }
        self.ask(store, &unknown).await?;
        self.refuse()
    }

    /// Asks the database about `marks`, and notices what is missing.
    async fn ask(&self, store: &dyn Store, marks: &[Mark]) -> Result<(), StoreError> {
        let lines: Vec<i64> = marks.iter().map(|mark| mark.line).collect();
        let recall = store.recall(&lines).await?;
        let missing: Vec<Loss> = marks
            .iter()
            .filter_map(|mark| recall.missing(mark))
            .collect();
        let mut state = self.state();
        state.known.heard(&recall);
        if !state.recorded.is_empty() && recall.losses.is_empty() {
            tracing::warn!(
                incarnation = recall.incarnation,
                "an operator has accepted the loss; work goes on"
            );
        }
        state.recorded = recall.losses;
        drop(state);
        for loss in missing {
            self.notice(loss);
        }
        Ok(())
    }
}
