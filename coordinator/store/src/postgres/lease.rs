//! Nodes, and the leases that fall with them.

use std::{collections::HashSet, time::Duration};

use async_trait::async_trait;
use earnest_protocol::NodeEpoch;
use sqlx::PgConnection;

use super::{
    PostgresStore,
    claim::PgQueues,
    connection::within,
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
impl LeaseStore for PostgresStore {
    async fn enrol(&self, node: &str, lease: Duration) -> Result<NodeEpoch, StoreError> {
        let sql = concat!(
            "INSERT INTO nodes (name, format, expires_at) VALUES ($2, $4, ",
            now!(),
            " + $3) RETURNING epoch"
        );
        let mut transaction = self.writers.begin("enrol").await?;
        let epoch = sqlx::query_scalar(sql)
            .bind(self.time.bind())
            .bind(node)
            .bind(micros(lease))
            .bind(FORMAT)
            .fetch_one(&mut *transaction);
        let epoch = within("enrol", async { epoch.await.context("enrol") }).await?;
        transaction.commit().await?;
        Ok(NodeEpoch(epoch))
    }

    async fn heartbeat(&self, epoch: NodeEpoch, lease: Duration) -> Result<bool, StoreError> {
        let sql = concat!(
            "UPDATE nodes SET expires_at = ",
            now!(),
            " + $3 WHERE epoch = $2"
        );
        let mut transaction = self.writers.begin("heartbeat").await?;
        let beat = sqlx::query(sql)
            .bind(self.time.bind())
            .bind(epoch.0)
            .bind(micros(lease))
            .execute(&mut *transaction);
        let done = within("heartbeat", async { beat.await.context("heartbeat") }).await?;
        transaction.commit().await?;
        Ok(done.rows_affected() > 0 || planted!(PostgresBuriedNodeLivesOn))
    }

    async fn resign(&self, epoch: NodeEpoch) -> Result<(), StoreError> {
        let mut transaction = self.writers.begin("resign").await?;
        let work = async {
            sqlx::query("DELETE FROM nodes WHERE epoch = $1")
                .bind(epoch.0)
                .execute(&mut *transaction)
                .await
                .context("resign")?;
            for kind in Kind::ALL {
                let mut held = held::held(&mut transaction, kind).await?;
                held.retain(|held| held.holder == epoch.0);
                held::free(&mut transaction, kind, &held).await?;
            }
            Ok(())
        };
        within("resign", work).await?;
        transaction.commit().await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Claimed, StoreError> {
        let mut transaction = self.writers.begin("claim").await?;
        let mut queues = PgQueues {
            db: &mut transaction,
            time: &self.time,
        };
        let claimed = within("claim", claim(&mut queues, &request, &self.turn)).await?;
        transaction.commit().await?;
        Ok(claimed)
    }
}

/// Takes nodes that went silent for dead, and says which are alive: in a statement of its own, so that a heartbeat that
/// came in between is seen.
pub(super) async fn bury(
    db: &mut PgConnection,
    time: &TimeSource,
) -> Result<HashSet<i64>, StoreError> {
    let context = "count the living nodes";
    // Passed over where its own heartbeat is being written.
    let sql = concat!(
        "DELETE FROM nodes WHERE epoch IN (SELECT epoch FROM nodes WHERE expires_at < ",
        now!(),
        " ORDER BY epoch FOR UPDATE SKIP LOCKED)"
    );
    sqlx::query(sql)
        .bind(time.bind())
        .execute(&mut *db)
        .await
        .context(context)?;
    let epochs: Vec<i64> = sqlx::query_scalar("SELECT epoch FROM nodes")
        .fetch_all(db)
        .await
        .context(context)?;
    Ok(epochs.into_iter().collect())
}
