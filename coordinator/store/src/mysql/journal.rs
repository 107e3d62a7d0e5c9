//! Batches of commands.

use async_trait::async_trait;

use super::{MySqlStore, connection::transact, fetch::MySqlTables, write::write};
use crate::{
    Applied, Command, JournalStore, LeaseGrant, StoreError,
    working_set::{WorkingSet, run},
};

#[async_trait]
impl JournalStore for MySqlStore {
    async fn apply(&self, commands: &[Command], grant: LeaseGrant) -> Result<Applied, StoreError> {
        if commands.is_empty() {
            return Ok(Applied::default());
        }
        transact!(self.writers, "journal", |db| {
            let mut set = WorkingSet::default();
            let mut tables = MySqlTables::new(db, &self.time, grant.line);
            let mut applied = run(&mut tables, &mut set, commands, &grant).await?;
            let step = tables.step;
            let wrote = write(db, &set.writes(), step.as_ref(), self.packet).await?;
            applied.mark = step.filter(|_| wrote).map(|step| step.to);
            Ok(applied)
        })
    }
}
