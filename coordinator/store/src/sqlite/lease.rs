//! Nodes, and the leases that fall with them.

use std::{collections::HashSet, time::Duration};

use async_trait::async_trait;
use earnest_protocol::{NodeEpoch, Timestamp};
use rusqlite::{Connection, params};

use super::{
    SqliteStore,
    claim::{self, QUEUES},
    error::Context,
};
use crate::{ClaimRequest, Claimed, LeaseStore, StoreError, planted::planted};

#[async_trait]
impl LeaseStore for SqliteStore {
    async fn enrol(&self, node: &str, lease: Duration) -> Result<NodeEpoch, StoreError> {
        let node = node.to_owned();
        self.writer
            .run("enrol", move |db, now| {
                let sql = "INSERT INTO nodes (name, expires_at) VALUES (?1, ?2)";
                let values = params![node, now.after(lease).as_micros()];
                db.prepare_cached(sql)
                    .context("enrol")?
                    .execute(values)
                    .context("enrol")?;
                Ok(NodeEpoch(db.last_insert_rowid()))
            })
            .await
    }

    async fn heartbeat(&self, epoch: NodeEpoch, lease: Duration) -> Result<bool, StoreError> {
        self.writer
            .run("heartbeat", move |db, now| {
                let sql = "UPDATE nodes SET expires_at = ?2 WHERE epoch = ?1";
                let values = [epoch.0, now.after(lease).as_micros()];
                let lives = db
                    .prepare_cached(sql)
                    .context("heartbeat")?
                    .execute(values)
                    .context("heartbeat")?;
                Ok(lives > 0 || planted!(SqliteBuriedNodeLivesOn))
            })
            .await
    }

    async fn resign(&self, epoch: NodeEpoch) -> Result<(), StoreError> {
        self.writer
            .run("resign", move |db, _| {
                for queue in &QUEUES {
                    for target in queue.targets(db)? {
                        queue.free(db, &target, epoch)?;
                    }
                }
                let sql = "DELETE FROM nodes WHERE epoch = ?1";
                db.prepare_cached(sql)
                    .context("resign")?
                    .execute([epoch.0])
                    .context("resign")?;
                Ok(())
            })
            .await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Claimed, StoreError> {
        let turn = self.turn.clone();
        self.writer
            .run("claim", move |db, now| {
                claim::claim(db, &request, now, &turn)
            })
            .await
    }
}

/// At the start: whoever was enrolled is gone, since this process is the only one on the file.
pub(super) fn forget_nodes(db: &Connection) -> Result<(), StoreError> {
    let context = "free what was leased before the start";
    db.execute_batch(
        "BEGIN IMMEDIATE;
         UPDATE transactions SET holder = NULL, revision = revision + 1
             WHERE check_due IS NOT NULL AND holder IS NOT NULL;
         UPDATE deliveries SET holder = NULL WHERE done_at IS NULL AND holder IS NOT NULL;
         UPDATE branches SET holder = NULL WHERE due IS NOT NULL AND holder IS NOT NULL;
         DELETE FROM nodes;
         COMMIT;",
    )
    .context(context)
}

/// Takes nodes that went silent for dead, and says which are alive.
pub(super) fn bury(db: &Connection, now: Timestamp) -> Result<HashSet<NodeEpoch>, StoreError> {
    let context = "count the living nodes";
    let sql = "DELETE FROM nodes WHERE expires_at < ?1";
    db.prepare_cached(sql)
        .context(context)?
        .execute([now.as_micros()])
        .context(context)?;
    let mut statement = db
        .prepare_cached("SELECT epoch FROM nodes")
        .context(context)?;
    let epochs = statement
        .query_map([], |row| row.get(0).map(NodeEpoch))
        .context(context)?;
    epochs.collect::<Result<_, _>>().context(context)
}
