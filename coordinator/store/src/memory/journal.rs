//! Batches of commands.

use async_trait::async_trait;

use super::{MemoryStore, batch::Batch};
use crate::{Applied, Command, JournalStore, LeaseGrant, StoreError, engine};

#[async_trait]
impl JournalStore for MemoryStore {
    async fn apply(&self, commands: &[Command], grant: LeaseGrant) -> Result<Applied, StoreError> {
        let mut tables = self.tables();
        let mut batch = Batch::new(&mut tables);
        let applied = engine::apply(&mut batch, commands, &grant, self.clock.now())?;
        batch.keep();
        Ok(applied)
    }
}
