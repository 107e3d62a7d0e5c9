//! Nodes, and the leases that fall with them.

use std::{collections::HashSet, time::Duration};

use async_trait::async_trait;
use earnest_protocol::NodeEpoch;
use sqlx::{MySqlConnection, Row};

use super::{
    MySqlStore,
    claim::MySqlQueues,
    connection::transact,
    error::Context,
    held,
    time::{TimeSource, now},
};
use crate::{
    ClaimRequest, Claimed, LeaseStore, StoreError,
    claiming::{Kind, claim},
    planted::planted,
    sql::column::{FORMAT, micros},
};

#[async_trait]
impl LeaseStore for MySqlStore {
    async fn enrol(&self, node: &str, lease: Duration) -> Result<NodeEpoch, StoreError> {
        let sql = concat!(
            "INSERT INTO nodes (name, format, expires_at) VALUES (?, ?, ",
            now!(),
            " + ?)"
        );
        transact!(self.writers, "enrol", |db| {
            let done = sqlx::query(sql)
                .bind(node)
                .bind(FORMAT)
                .bind(self.time.bind())
                .bind(micros(lease))
                .execute(db)
                .await
                .context("enrol")?;
            let epoch = i64::try_from(done.last_insert_id());
            let epoch = epoch.map_err(|_| StoreError::Corrupt("the epochs are used up".into()))?;
            Ok(NodeEpoch(epoch))
        })
    }

    async fn heartbeat(&self, epoch: NodeEpoch, lease: Duration) -> Result<bool, StoreError> {
        let sql = concat!(
            "UPDATE nodes SET expires_at = ",
            now!(),
            " + ? WHERE epoch = ?"
        );
        transact!(self.writers, "heartbeat", |db| {
            let done = sqlx::query(sql)
                .bind(self.time.bind())
                .bind(micros(lease))
                .bind(epoch.0)
                .execute(db)
                .await
                .context("heartbeat")?;
            Ok(done.rows_affected() > 0 || planted!(MysqlBuriedNodeLivesOn))
        })
    }

    async fn resign(&self, epoch: NodeEpoch) -> Result<(), StoreError> {
        transact!(self.writers, "resign", |db| {
            sqlx::query("DELETE FROM nodes WHERE epoch = ?")
                .bind(epoch.0)
                .execute(&mut *db)
                .await
                .context("resign")?;
            for kind in Kind::ALL {
                let mut held = held::held(db, kind).await?;
                held.retain(|held| held.holder == epoch.0);
                held::free(db, kind, &held).await?;
            }
            Ok(())
        })
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Claimed, StoreError> {
        transact!(self.writers, "claim", |db| {
            let mut queues = MySqlQueues {
                db,
                time: &self.time,
            };
            Ok(claim(&mut queues, &request, &self.turn).await?)
        })
    }
}

/// Takes nodes that went silent for dead, and says which are alive: in a statement of its own, so that a heartbeat that
/// came in between is seen.
pub(super) async fn bury(
    db: &mut MySqlConnection,
    time: &TimeSource,
) -> Result<HashSet<i64>, StoreError> {
    let context = "count the living nodes";
    let sql = concat!("SELECT epoch, expires_at < ", now!(), " FROM nodes");
    let rows = sqlx::query(sql)
        .bind(time.bind())
        .fetch_all(&mut *db)
        .await
        .context(context)?;
    let mut alive = HashSet::new();
    let mut silent = Vec::new();
    for row in &rows {
        let epoch: i64 = row.try_get(0).context(context)?;
        alive.insert(epoch);
        if row.try_get::<i64, _>(1).context(context)? != 0 {
            silent.push(epoch);
        }
    }
    // One by one: they are few, and each is passed over where its own heartbeat is being written.
    let sql = concat!(
        "SELECT epoch FROM nodes WHERE epoch = ? AND expires_at < ",
        now!(),
        " FOR UPDATE SKIP LOCKED"
    );
    for epoch in silent {
        let still = sqlx::query(sql)
            .bind(epoch)
            .bind(time.bind())
            .fetch_optional(&mut *db)
            .await
            .context(context)?;
        if still.is_some() {
            sqlx::query("DELETE FROM nodes WHERE epoch = ?")
                .bind(epoch)
                .execute(&mut *db)
                .await
                .context(context)?;
            alive.remove(&epoch);
        }
    }
    Ok(alive)
}
