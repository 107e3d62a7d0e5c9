//! Batches of commands.

use async_trait::async_trait;

use super::{MemoryStore, batch::Batch};
use crate::{Applied, Command, JournalStore, LeaseGrant, StoreError, engine};

#[async_trait]
impl JournalStore for MemoryStore {
    async fn apply(&self, commands: &[Command], grant: LeaseGrant) -> Result<Applied, StoreError> {
        let mut tables = self.tables();
        let (now, found) = (self.clock.now(), tables.line(grant.line.id));
        grant.line.check(found)?;
        let mut batch = Batch::new(&mut tables);
        let mut applied = engine::apply(&mut batch, commands, &grant, now)?;
        if batch.keep() {
            let mark = grant.line.next(found, now);
            tables.advance(&mark);
            applied.mark = Some(mark);
        }
        Ok(applied)
    }
}
