//! Batches of commands.

use async_trait::async_trait;

use super::{PostgresStore, connection::within, error::Failure, fetch::PgTables, write::write};
use crate::{
    Applied, Command, JournalStore, LeaseGrant, StoreError,
    working_set::{WorkingSet, run},
};

/// Runs of a batch at most while other nodes are in its way.
const TRIES: usize = 8;

#[async_trait]
impl JournalStore for PostgresStore {
    async fn apply(&self, commands: &[Command], grant: LeaseGrant) -> Result<Applied, StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.apply_once(commands, &grant).await {
                Err(Failure::Conflict(error)) if tries < TRIES => {
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "a batch is run again"
                    );
                }
                done => return done.map_err(Failure::into_error),
            }
        }
    }
}

impl PostgresStore {
    async fn apply_once(
        &self,
        commands: &[Command],
        grant: &LeaseGrant,
    ) -> Result<Applied, Failure> {
        let name = "journal";
        if commands.is_empty() {
            return Ok(Applied::default());
        }
        let mut transaction = self.writers.begin(name).await?;
        let mut set = WorkingSet::default();
        let work = async {
            let mut tables = PgTables::new(&mut transaction, &self.time, grant.line);
            let mut applied = run(&mut tables, &mut set, commands, grant).await?;
            let step = tables.step;
            let wrote = write(&mut transaction, &set.writes(), step.as_ref()).await?;
            applied.mark = step.filter(|_| wrote).map(|step| step.to);
            Ok(applied)
        };
        match within(name, work).await {
            Ok(applied) => {
                transaction.commit().await?;
                Ok(applied)
            }
            Err(failure) => {
                transaction.roll_back().await;
                Err(failure)
            }
        }
    }
}
