//! Claims' statements: rows that another node is just claiming are passed over (SKIP LOCKED).

use std::collections::{BTreeSet, HashSet};

use async_trait::async_trait;
use earnest_protocol::{Timestamp, TransactionId};
use sqlx::MySqlConnection;

use super::{
    error::Context,
    fetch, held, lease,
    time::{TimeSource, now},
};
use crate::{
    BranchKey, BranchRow, DeliveryRow, Message, StoreError, SubscriptionRow, Target,
    TransactionRow,
    claiming::{Held, Kind, Queues, Take},
    sql::{
        branch,
        column::{Readable, readable_rows},
        delivery, message, registry, transaction,
    },
};

/// An open database transaction, and the time in it.
pub(super) struct MySqlQueues<'a> {
    pub(super) db: &'a mut MySqlConnection,
    pub(super) time: &'a TimeSource,
}

#[async_trait]
impl Queues for MySqlQueues<'_> {
    async fn alive(&mut self) -> Result<HashSet<i64>, StoreError> {
        lease::bury(self.db, self.time).await
    }

    async fn time(&mut self) -> Result<Timestamp, StoreError> {
        let now = sqlx::query_scalar(concat!("SELECT ", now!()))
            .bind(self.time.bind())
            .fetch_one(&mut *self.db)
            .await;
        now.map(Timestamp::from_micros).context("read the time")
    }

    async fn open(&mut self) -> Result<Readable<SubscriptionRow>, StoreError> {
        const READ: &str = concat!(
            "SELECT ",
            registry::subscription_columns!(),
            " FROM subscriptions WHERE paused = 0"
        );
        let rows = sqlx::query(READ).fetch_all(&mut *self.db).await;
        let rows = rows.context("read subscriptions")?;
        Ok(readable_rows(
            "subscriptions",
            &rows,
            registry::subscription,
        ))
    }

    async fn held(&mut self, kind: Kind) -> Result<Vec<Held>, StoreError> {
        held::held(self.db, kind).await
    }

    async fn free(&mut self, kind: Kind, held: &[Held]) -> Result<(), StoreError> {
        held::free(self.db, kind, held).await
    }

    async fn later(
        &mut self,
        kind: Kind,
        targets: &[&Target],
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        held::later(self.db, kind, targets, now).await
    }

    async fn take_check_backs(
        &mut self,
        take: &Take<'_>,
    ) -> Result<Readable<TransactionRow>, StoreError> {
        let rows = held::take(self.db, Kind::CheckBacks, take).await?;
        Ok(readable_rows("transactions", &rows, transaction::read))
    }

    async fn take_deliveries(
        &mut self,
        take: &Take<'_>,
    ) -> Result<Readable<DeliveryRow>, StoreError> {
        let rows = held::take(self.db, Kind::Deliveries, take).await?;
        Ok(readable_rows("deliveries", &rows, delivery::read))
    }

    async fn take_branches(&mut self, take: &Take<'_>) -> Result<Readable<BranchRow>, StoreError> {
        let rows = held::take(self.db, Kind::Branches, take).await?;
        Ok(readable_rows("branches", &rows, branch::read))
    }

    async fn branch_contents(
        &mut self,
        ids: &BTreeSet<TransactionId>,
    ) -> Result<Readable<(BranchKey, branch::Content)>, StoreError> {
        let rows = fetch::branch_contents(self.db, ids).await?;
        Ok(readable_rows("branch_contents", &rows, branch::content))
    }

    async fn transactions(
        &mut self,
        ids: &BTreeSet<TransactionId>,
    ) -> Result<Readable<TransactionRow>, StoreError> {
        let rows = fetch::transactions(self.db, ids, false).await?;
        Ok(readable_rows("transactions", &rows, transaction::read))
    }

    async fn messages(
        &mut self,
        ids: &BTreeSet<TransactionId>,
    ) -> Result<Readable<(TransactionId, Message)>, StoreError> {
        Ok(message::readable(&fetch::messages(self.db, ids).await?))
    }
}
