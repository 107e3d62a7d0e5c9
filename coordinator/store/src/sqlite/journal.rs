//! Batches of commands.

use async_trait::async_trait;

use super::{SqliteStore, recall, rows::SqlRows};
use crate::{Applied, Command, JournalStore, LeaseGrant, StoreError, engine};

#[async_trait]
impl JournalStore for SqliteStore {
    async fn apply(&self, commands: &[Command], grant: LeaseGrant) -> Result<Applied, StoreError> {
        // They cross to the writer's thread, and stay the caller's; payloads are shared, not copied.
        let commands = commands.to_vec();
        self.writer
            .run("apply", move |db, now| {
                let found = recall::find(db, grant.line.id)?;
                grant.line.check(found)?;
                let before = db.total_changes();
                let mut applied = engine::apply(&mut SqlRows::new(db), &commands, &grant, now)?;
                if db.total_changes() > before {
                    applied.mark = Some(recall::advance(db, &grant.line, found, now)?);
                }
                Ok(applied)
            })
            .await
    }
}
