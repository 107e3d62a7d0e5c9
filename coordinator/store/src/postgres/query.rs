//! Reading, beside the writers.

use async_trait::async_trait;
use earnest_protocol::{Phase, Timestamp, TransactionId};
use sqlx::{Postgres, QueryBuilder, postgres::PgRow};

use super::{PostgresStore, error::Context, fetch::uuid, time::now};
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

pub(super) const BACKLOG: &str = "SELECT namespace, subscription, count(*) FILTER (WHERE state <> 3), \
     count(*) FILTER (WHERE state = 3), min(created_at) FILTER (WHERE state <> 3) \
     FROM deliveries WHERE done_at IS NULL GROUP BY namespace, subscription ORDER BY namespace, subscription";
const _: () = assert!(delivery::PARKED == 3);
pub(super) const BRANCH_BACKLOG: &str = "SELECT namespace, service, count(*), min(created_at) FROM branches \
     WHERE due IS NOT NULL GROUP BY namespace, service ORDER BY namespace, service";
pub(super) const UNFINISHED: &str =
    "SELECT phase, count(*) FROM transactions WHERE finished_at IS NULL GROUP BY phase";
pub(super) const PARKED: &str = "SELECT count(*) FROM transactions \
     WHERE (parked IS NOT NULL OR parked_effects > 0) AND parked IS NOT NULL";

#[async_trait]
impl QueryStore for PostgresStore {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        let now = sqlx::query_scalar(concat!("SELECT ", now!()))
            .bind(self.time.bind())
            .fetch_one(&self.readers)
            .await;
        now.map(Timestamp::from_micros).context("read the time")
    }

    async fn transaction(&self, id: TransactionId) -> Result<Option<TransactionRow>, StoreError> {
        let row = sqlx::query(TRANSACTION)
            .bind(uuid(&id))
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
            .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .await
            .context(context)?;
        let row = sqlx::query(TRANSACTION)
            .bind(uuid(&id))
            .fetch_optional(&mut *reading)
            .await
            .context(context)?;
        let Some(row) = row else { return Ok(None) };
        let mut all = async |sql: &'static str| -> Result<Vec<PgRow>, StoreError> {
            sqlx::query(sql)
                .bind(uuid(&id))
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
            " FROM audit ORDER BY id DESC LIMIT $1"
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
    " FROM transactions WHERE id = $1"
);
const MESSAGES: &str = concat!(
    "SELECT ",
    message::columns!(),
    " FROM messages WHERE transaction_id = $1 ORDER BY ordinal"
);
const BRANCHES: &str = concat!(
    "SELECT ",
    branch::columns!(),
    " FROM branches WHERE transaction_id = $1 ORDER BY ordinal"
);
const BRANCH_CONTENTS: &str = concat!(
    "SELECT ",
    branch::content_columns!(),
    " FROM branch_contents WHERE transaction_id = $1"
);
const DELIVERIES: &str = concat!(
    "SELECT ",
    delivery::columns!(),
    " FROM deliveries WHERE transaction_id = $1 ORDER BY ordinal, subscription"
);
const ATTEMPTS_OF: &str = concat!(
    "SELECT ",
    record::attempt_columns!(),
    " FROM attempts WHERE transaction_id = $1 ORDER BY id DESC LIMIT 100"
);
const _: () = assert!(ATTEMPTS == 100);

/// The statement of a page. Whatever comes from outside is bound, never part of the text.
fn page_query(
    filter: &TransactionFilter,
    after: Option<Cursor>,
    count: usize,
    time: Option<i64>,
) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new(concat!(
        "SELECT ",
        transaction::columns!(),
        " FROM transactions WHERE true"
    ));
    if let Some(Cursor(id)) = after {
        sql.push(" AND id < ").push_bind(uuid(&id));
    }
    if let Some(namespace) = &filter.namespace {
        sql.push(" AND namespace = ").push_bind(namespace.as_str());
    }
    if let Some(initiator) = &filter.initiator {
        sql.push(" AND initiator = ").push_bind(initiator.as_str());
    }
    if let Some(key) = &filter.business_key {
        sql.push(" AND business_key = ").push_bind(key.as_str());
        if !key.is_empty() {
            // Lets the partial index serve, which the bound value alone doesn't.
            sql.push(" AND business_key <> ''");
        }
    }
    if let Some(age) = filter.older_than {
        sql.push(" AND created_at <= coalesce(")
            .push_bind(time)
            .push("::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) - ")
            .push_bind(micros(age));
    }
    if let Some(topic) = &filter.topic {
        sql.push(" AND EXISTS (SELECT 1 FROM messages WHERE transaction_id = transactions.id AND topic = ")
            .push_bind(topic.as_str())
            .push(")");
    }
    if !filter.phases.is_empty() {
        let phases: Vec<i64> = filter
            .phases
            .iter()
            .map(|phase| transaction::phase_number(*phase))
            .collect();
        sql.push(" AND phase = ANY(").push_bind(phases).push(")");
        if filter.phases.iter().all(|phase| !phase.is_final()) {
            sql.push(" AND finished_at IS NULL");
        }
    }
    if filter.parked {
        sql.push(" AND (parked IS NOT NULL OR parked_effects > 0)");
    }
    // One more than asked for says whether there is another page.
    sql.push(" ORDER BY id DESC LIMIT ")
        .push_bind(limit(count.saturating_add(1)));
    sql
}
