//! What the database remembers, and what a person does when it has forgotten something (R5).

use earnest_store::{LossRow, Mark};

use super::{Coordinator, ServiceError};

/// Marks of one call: one for each line that a client has heard of lately.
const MARKS: usize = 64;

/// What is known of the database.
#[derive(Debug, Clone)]
pub struct DatabaseStatus {
    /// The incarnation that it is in.
    pub incarnation: i64,
    /// What was acknowledged and is missing, until an operator accepts it.
    pub losses: Vec<LossRow>,
    /// The lowest format of rows that every living coordinator understands.
    pub format: i64,
}

impl Coordinator {
    /// What a caller may hold against the database later; `None`: this node has written nothing yet.
    pub fn mark(&self) -> Option<Mark> {
        self.vigil.newest()
    }

    /// Holds what a caller was told against the database.
    pub async fn check_marks(&self, marks: &[Mark]) -> Result<(), ServiceError> {
        if marks.len() > MARKS {
            let problem = format!("at most {MARKS} are taken");
            return Err(ServiceError::invalid("marks", problem));
        }
        if marks.is_empty() {
            return Ok(());
        }
        Ok(self.vigil.check(&*self.store, marks).await?)
    }

    /// What is known of the database.
    pub async fn database(&self) -> Result<DatabaseStatus, ServiceError> {
        self.vigil.look(&*self.store).await?;
        let recall = self.store.recall(&[]).await?;
        Ok(DatabaseStatus {
            incarnation: recall.incarnation,
            losses: recall.losses,
            format: recall.format,
        })
    }

    /// Goes on without what is missing; returns what was given up.
    pub async fn accept_losses(
        &self,
        actor: &str,
        reason: &str,
    ) -> Result<(DatabaseStatus, Vec<LossRow>), ServiceError> {
        let limits = &self.options.limits;
        limits.text("actor", actor)?;
        limits.text("reason", reason)?;
        let actor = if actor.is_empty() { "unknown" } else { actor };
        let accepted = self.vigil.accept(&*self.store, actor, reason).await?;
        tracing::warn!(
            actor,
            reason,
            losses = accepted.len(),
            "losses of the database were accepted"
        );
        Ok((self.database().await?, accepted))
    }
}
