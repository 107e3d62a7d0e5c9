//! Reading, beside the writers.

use async_trait::async_trait;
use earnest_protocol::{Phase, Timestamp, TransactionId};
use sqlx::{MySql, QueryBuilder, mysql::MySqlRow};

use super::{
    MySqlStore,
    error::Context,
    time::{NOW, now},
};
use crate::{
    AuditRow, Backlog, BranchBacklog, Cursor, Detail, Page, QueryStore, StoreError,
    TransactionFilter, TransactionRow,
    sql::{
        branch,
        column::{limit, micros, read_row, read_rows},
        delivery, message, record, transaction,
    },
};

/// The attempts of a [`Detail`], at most.
const ATTEMPTS: usize = 100;

pub(super) const BACKLOG: &str = "SELECT namespace, subscription, CAST(SUM(state = 1) AS SIGNED), \
     CAST(SUM(state = 3) AS SIGNED), MIN(IF(state = 1, created_at, NULL)) FROM deliveries FORCE INDEX (deliveries_owed) \
     WHERE state IN (1, 3) GROUP BY namespace, subscription ORDER BY namespace, subscription";
const _: () = assert!(delivery::PENDING == 1 && delivery::PARKED == 3);
pub(super) const BRANCH_BACKLOG: &str = "SELECT namespace, service, COUNT(*), MIN(created_at) \
     FROM branches FORCE INDEX (branches_due) WHERE is_due = 1 GROUP BY namespace, service ORDER BY namespace, service";
pub(super) const UNFINISHED: &str = "SELECT phase, COUNT(*) FROM transactions FORCE INDEX (transactions_due) \
     WHERE phase IN (1, 2, 4) GROUP BY phase";
// Only undecided ones are parked as a whole, and of what is parked no check-back is due.
pub(super) const PARKED: &str = "SELECT COUNT(*) FROM transactions FORCE INDEX (transactions_due) \
     WHERE phase = 1 AND check_due IS NULL AND parked IS NOT NULL";

#[async_trait]
impl QueryStore for MySqlStore {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        let now = sqlx::query_scalar(concat!("SELECT ", now!()))
            .bind(self.time.bind())
            .fetch_one(&self.readers)
            .await;
        now.map(Timestamp::from_micros).context("read the time")
    }

    async fn transaction(&self, id: TransactionId) -> Result<Option<TransactionRow>, StoreError> {
        let row = sqlx::query(TRANSACTION)
            .bind(&id.as_bytes()[..])
            .fetch_optional(&self.readers)
            .await
            .context("read a transaction")?;
        row.map(|row| read_row("transactions", &row, transaction::read))
            .transpose()
    }

    async fn detail(&self, id: TransactionId) -> Result<Option<Detail>, StoreError> {
        let context = "read a transaction with everything";
        // One snapshot, so that its parts fit together.
        let mut reading = self
            .readers
            .begin_with("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            .await
            .context(context)?;
        let row = sqlx::query(TRANSACTION)
            .bind(&id.as_bytes()[..])
            .fetch_optional(&mut *reading)
            .await
            .context(context)?;
        let Some(row) = row else { return Ok(None) };
        let mut all = async |sql: &'static str| -> Result<Vec<MySqlRow>, StoreError> {
            sqlx::query(sql)
                .bind(&id.as_bytes()[..])
                .fetch_all(&mut *reading)
                .await
                .context(context)
        };
        let messages = all(MESSAGES).await?;
        let branches = all(BRANCHES).await?;
        let contents = all(BRANCH_CONTENTS).await?;
        let deliveries = all(DELIVERIES).await?;
        let attempts = all(ATTEMPTS_OF).await?;
        reading.rollback().await.context(context)?;
        let messages = read_rows("messages", &messages, message::read)?;
        let branches = read_rows("branches", &branches, branch::read)?;
        let contents = read_rows("branch_contents", &contents, branch::content)?;
        Ok(Some(Detail {
            transaction: read_row("transactions", &row, transaction::read)?,
            messages: messages.into_iter().map(|(_, message)| message).collect(),
            branches: branch::whole(branches, contents)?,
            deliveries: read_rows("deliveries", &deliveries, delivery::read)?,
            attempts: read_rows("attempts", &attempts, record::attempt)?,
        }))
    }

    async fn transactions(
        &self,
        filter: &TransactionFilter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<TransactionRow>, StoreError> {
        let found = page_query(filter, after, limit, self.time.bind())
            .build()
            .fetch_all(&self.readers)
            .await
            .context("list transactions")?;
        let mut rows = read_rows("transactions", &found, transaction::read)?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|row| Cursor(row.id));
        Ok(Page { rows, next })
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        let rows = sqlx::query(BACKLOG)
            .fetch_all(&self.readers)
            .await
            .context("count the backlog")?;
        read_rows("deliveries", &rows, |mut c| {
            Ok(Backlog {
                namespace: c.parse()?,
                subscription: c.parse_filled()?,
                pending: c.int()?,
                parked: c.int()?,
                oldest_pending: c.time_option()?,
            })
        })
    }

    async fn branch_backlog(&self) -> Result<Vec<BranchBacklog>, StoreError> {
        let rows = sqlx::query(BRANCH_BACKLOG)
            .fetch_all(&self.readers)
            .await
            .context("count the branches that wait")?;
        read_rows("branches", &rows, |mut c| {
            Ok(BranchBacklog {
                namespace: c.parse()?,
                service: c.parse()?,
                pending: c.int()?,
                oldest_pending: c.time_option()?,
            })
        })
    }

    async fn unfinished(&self) -> Result<Vec<(Option<Phase>, u64)>, StoreError> {
        let context = "count what is unfinished";
        let parked: i64 = sqlx::query_scalar(PARKED)
            .fetch_one(&self.readers)
            .await
            .context(context)?;
        let mut counts = Vec::new();
        if parked > 0 {
            counts.push((None, parked.unsigned_abs()));
        }
        let rows = sqlx::query(UNFINISHED)
            .fetch_all(&self.readers)
            .await
            .context(context)?;
        let phases = read_rows("transactions", &rows, |mut c| {
            Ok((Some(c.word(transaction::phase)?), c.int()?))
        })?;
        counts.extend(phases);
        Ok(counts)
    }

    async fn audit(&self, count: usize) -> Result<Vec<AuditRow>, StoreError> {
        const NEWEST: &str = concat!(
            "SELECT ",
            record::audit_columns!(),
            " FROM audit ORDER BY id DESC LIMIT ?"
        );
        let rows = sqlx::query(NEWEST)
            .bind(limit(count))
            .fetch_all(&self.readers)
            .await
            .context("read the audit")?;
        read_rows("audit", &rows, record::audit)
    }
}

const TRANSACTION: &str = concat!(
    "SELECT ",
    transaction::columns!(),
    " FROM transactions WHERE id = ?"
);
const MESSAGES: &str = concat!(
    "SELECT ",
    message::columns!(),
    " FROM messages WHERE transaction_id = ? ORDER BY ordinal"
);
const BRANCHES: &str = concat!(
    "SELECT ",
    branch::columns!(),
    " FROM branches WHERE transaction_id = ? ORDER BY ordinal"
);
const BRANCH_CONTENTS: &str = concat!(
    "SELECT ",
    branch::content_columns!(),
    " FROM branch_contents WHERE transaction_id = ?"
);
const DELIVERIES: &str = concat!(
    "SELECT ",
    delivery::columns!(),
    " FROM deliveries WHERE transaction_id = ? ORDER BY ordinal, subscription"
);
const ATTEMPTS_OF: &str = concat!(
    "SELECT ",
    record::attempt_columns!(),
    " FROM attempts WHERE transaction_id = ? ORDER BY id DESC LIMIT 100"
);
const _: () = assert!(ATTEMPTS == 100);

/// The statement of a page. Whatever comes from outside is bound, never part of the text.
fn page_query(
    filter: &TransactionFilter,
    after: Option<Cursor>,
    count: usize,
    time: Option<i64>,
) -> QueryBuilder<MySql> {
    let mut phases = filter.phases.clone();
    if filter.parked && phases.is_empty() {
        // What is over has nothing parked.
        phases.extend(Phase::ALL.into_iter().filter(|phase| !phase.is_final()));
    }
    let mut sql = QueryBuilder::new(concat!(
        "SELECT ",
        transaction::columns!(),
        " FROM transactions"
    ));
    let is_unfinished = !phases.is_empty() && phases.iter().all(|phase| !phase.is_final());
    let has_key = filter
        .business_key
        .as_ref()
        .is_some_and(|key| !key.is_empty());
    if is_unfinished && !has_key {
        // However long the history is, it is not walked through.
        sql.push(" FORCE INDEX (transactions_due)");
    }
    sql.push(" WHERE TRUE");
    if let Some(Cursor(id)) = after {
        sql.push(" AND id < ").push_bind(&id.as_bytes()[..]);
    }
    if let Some(namespace) = &filter.namespace {
        sql.push(" AND namespace = ")
            .push_bind(namespace.as_str().as_bytes());
    }
    if let Some(initiator) = &filter.initiator {
        sql.push(" AND initiator = ")
            .push_bind(initiator.as_str().as_bytes());
    }
    if let Some(key) = &filter.business_key {
        sql.push(" AND business_key = ").push_bind(key.as_bytes());
    }
    if let Some(age) = filter.older_than {
        let [before, after] = NOW;
        sql.push(" AND created_at <= ")
            .push(before)
            .push_bind(time)
            .push(after)
            .push(" - ")
            .push_bind(micros(age));
    }
    if let Some(topic) = &filter.topic {
        sql.push(" AND EXISTS (SELECT 1 FROM messages WHERE transaction_id = transactions.id AND topic = ")
            .push_bind(topic.as_str().as_bytes())
            .push(")");
    }
    if !phases.is_empty() {
        sql.push(" AND phase IN (");
        let mut list = sql.separated(", ");
        for phase in phases {
            list.push_bind(transaction::phase_number(phase));
        }
        sql.push(")");
    }
    if filter.parked {
        sql.push(" AND (parked IS NOT NULL OR parked_effects > 0)");
    }
    // One more than asked for says whether there is another page.
    sql.push(" ORDER BY id DESC LIMIT ")
        .push_bind(limit(count.saturating_add(1)));
    sql
}
