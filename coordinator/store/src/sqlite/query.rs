//! Reading, beside the writer.

use async_trait::async_trait;
use earnest_protocol::{Phase, Timestamp, TransactionId};
use rusqlite::{Connection, params_from_iter, types::Value};

use super::{
    SqliteStore, branch,
    column::{corrupt, limit},
    delivery,
    error::Context,
    message, record, transaction,
};
use crate::{
    AuditRow, Backlog, BranchBacklog, Cursor, Detail, Page, QueryStore, StoreError,
    TransactionFilter, TransactionRow,
};

/// The attempts of a [`Detail`], at most.
const ATTEMPTS: usize = 100;

/// Reads one index and nothing else.
pub(super) const BACKLOG: &str = "SELECT namespace, subscription, count(*) FILTER (WHERE state <> 3), \
     count(*) FILTER (WHERE state = 3), min(created_at) FILTER (WHERE state <> 3) \
     FROM deliveries INDEXED BY deliveries_owed WHERE done_at IS NULL GROUP BY namespace, subscription";
const _: () = assert!(delivery::PARKED == 3);
pub(super) const BRANCH_BACKLOG: &str = "SELECT namespace, service, count(*), min(created_at) \
     FROM branches INDEXED BY branches_due WHERE due IS NOT NULL GROUP BY namespace, service ORDER BY namespace, service";
pub(super) const UNFINISHED: &str = "SELECT phase, count(*) FROM transactions INDEXED BY transactions_unfinished \
     WHERE finished_at IS NULL GROUP BY phase";
pub(super) const PARKED: &str = "SELECT count(*) FROM transactions INDEXED BY transactions_parked \
     WHERE (parked IS NOT NULL OR parked_effects > 0) AND parked IS NOT NULL";

#[async_trait]
impl QueryStore for SqliteStore {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        Ok(self.clock.now())
    }

    async fn transaction(&self, id: TransactionId) -> Result<Option<TransactionRow>, StoreError> {
        self.readers
            .run("transaction", move |db| transaction::select(db, id))
            .await
    }

    async fn detail(&self, id: TransactionId) -> Result<Option<Detail>, StoreError> {
        self.readers.run("detail", move |db| detail(db, id)).await
    }

    async fn transactions(
        &self,
        filter: &TransactionFilter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<TransactionRow>, StoreError> {
        let query = page_query(filter, after, limit, self.clock.now());
        self.readers
            .run("transactions", move |db| page(db, query, limit))
            .await
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        self.readers.run("backlog", backlog).await
    }

    async fn branch_backlog(&self) -> Result<Vec<BranchBacklog>, StoreError> {
        self.readers.run("branch backlog", branch_backlog).await
    }

    async fn unfinished(&self) -> Result<Vec<(Option<Phase>, u64)>, StoreError> {
        self.readers.run("unfinished", unfinished).await
    }

    async fn audit(&self, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        self.readers
            .run("audit", move |db| record::audit(db, limit))
            .await
    }
}

fn detail(db: &Connection, id: TransactionId) -> Result<Option<Detail>, StoreError> {
    let Some(transaction) = transaction::select(db, id)? else {
        return Ok(None);
    };
    Ok(Some(Detail {
        transaction,
        messages: message::select_all(db, id)?,
        branches: branch::select_all(db, id)?,
        deliveries: delivery::select_all(db, id)?,
        attempts: record::attempts(db, id, ATTEMPTS)?,
    }))
}

/// The statement of a page, and its values. Whatever comes from outside is bound, never part of the text.
pub(super) fn page_query(
    filter: &TransactionFilter,
    after: Option<Cursor>,
    count: usize,
    now: Timestamp,
) -> (String, Vec<Value>) {
    let mut terms: Vec<&str> = vec!["1"];
    let mut values: Vec<Value> = Vec::new();
    let mut term = |text: &'static str, value: Option<Value>| {
        if let Some(value) = value {
            terms.push(text);
            values.push(value);
        }
    };
    let text = |text: &str| Value::Text(text.to_owned());
    term(
        "id < ?",
        after.map(|Cursor(id)| Value::Blob(id.as_bytes().to_vec())),
    );
    term(
        "namespace = ?",
        filter.namespace.as_ref().map(|name| text(name.as_str())),
    );
    term(
        "initiator = ?",
        filter.initiator.as_ref().map(|name| text(name.as_str())),
    );
    term("business_key = ?", filter.business_key.as_deref().map(text));
    term(
        "created_at <= ?",
        filter
            .older_than
            .map(|age| Value::Integer(now.before(age).as_micros())),
    );
    term(
        "EXISTS (SELECT 1 FROM messages WHERE transaction_id = transactions.id AND topic = ?)",
        filter.topic.as_ref().map(|topic| text(topic.as_str())),
    );
    let phases = format!(
        "phase IN (?{})",
        ", ?".repeat(filter.phases.len().saturating_sub(1))
    );
    if !filter.phases.is_empty() {
        terms.push(&phases);
        values.extend(
            filter
                .phases
                .iter()
                .map(|phase| Value::Integer(transaction::phase_number(*phase))),
        );
    }
    // The narrowest index that serves, by name: the planner has no statistics, and the history is long.
    let is_unfinished =
        !filter.phases.is_empty() && filter.phases.iter().all(|phase| !phase.is_final());
    let index = if filter
        .business_key
        .as_ref()
        .is_some_and(|key| !key.is_empty())
    {
        terms.push("business_key <> ''");
        "transactions_business_key"
    } else if filter.parked {
        "transactions_parked"
    } else if is_unfinished {
        terms.push("finished_at IS NULL");
        "transactions_unfinished"
    } else {
        "transactions_id"
    };
    if filter.parked {
        terms.push("(parked IS NOT NULL OR parked_effects > 0)");
    }
    // One more than asked for says whether there is another page.
    values.push(Value::Integer(limit(count.saturating_add(1))));
    let (columns, terms) = (transaction::columns!(), terms.join(" AND "));
    let sql = format!(
        "SELECT {columns} FROM transactions INDEXED BY {index} WHERE {terms} ORDER BY id DESC LIMIT ?"
    );
    (sql, values)
}

fn page(
    db: &Connection,
    (sql, values): (String, Vec<Value>),
    count: usize,
) -> Result<Page<TransactionRow>, StoreError> {
    let context = "list transactions";
    let mut statement = db.prepare_cached(&sql).context(context)?;
    let mut found = statement.query(params_from_iter(values)).context(context)?;
    let mut rows = Vec::new();
    while let Some(row) = found.next().context(context)? {
        rows.push(transaction::read(row)?);
    }
    let more = rows.len() > count;
    rows.truncate(count);
    let next = rows.last().filter(|_| more).map(|row| Cursor(row.id));
    Ok(Page { rows, next })
}

fn backlog(db: &Connection) -> Result<Vec<Backlog>, StoreError> {
    let context = "count the backlog";
    let mut statement = db.prepare_cached(BACKLOG).context(context)?;
    let mut rows = statement.query([]).context(context)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().context(context)? {
        let mut c = super::column::Columns::of(row);
        let read = (|| {
            Ok(Backlog {
                namespace: c.parse()?,
                subscription: c.parse_filled()?,
                pending: c.get::<i64>()?.unsigned_abs(),
                parked: c.get::<i64>()?.unsigned_abs(),
                oldest_pending: c.time_option()?,
            })
        })();
        found.push(read.map_err(|why: String| corrupt("deliveries", row, &why))?);
    }
    Ok(found)
}

fn branch_backlog(db: &Connection) -> Result<Vec<BranchBacklog>, StoreError> {
    let context = "count the branches that wait";
    let mut statement = db.prepare_cached(BRANCH_BACKLOG).context(context)?;
    let mut rows = statement.query([]).context(context)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().context(context)? {
        let mut c = super::column::Columns::of(row);
        let read = (|| {
            Ok(BranchBacklog {
                namespace: c.parse()?,
                service: c.parse()?,
                pending: c.get::<i64>()?.unsigned_abs(),
                oldest_pending: c.time_option()?,
            })
        })();
        found.push(read.map_err(|why: String| corrupt("branches", row, &why))?);
    }
    Ok(found)
}

fn unfinished(db: &Connection) -> Result<Vec<(Option<Phase>, u64)>, StoreError> {
    let context = "count what is unfinished";
    let parked: i64 = db
        .prepare_cached(PARKED)
        .context(context)?
        .query_row([], |row| row.get(0))
        .context(context)?;
    let mut counts = Vec::new();
    if parked > 0 {
        counts.push((None, parked.unsigned_abs()));
    }
    let mut statement = db.prepare_cached(UNFINISHED).context(context)?;
    let mut rows = statement.query([]).context(context)?;
    while let Some(row) = rows.next().context(context)? {
        let (number, count): (i64, i64) =
            (row.get(0).context(context)?, row.get(1).context(context)?);
        let phase = transaction::phase(number).ok_or_else(|| {
            StoreError::Corrupt(format!(
                "{count} transactions are in phase {number}, which is unknown"
            ))
        })?;
        counts.push((Some(phase), count.unsigned_abs()));
    }
    Ok(counts)
}
