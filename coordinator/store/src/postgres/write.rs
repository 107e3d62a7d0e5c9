//! What a batch writes: all of it in one statement of one part per kind of row, so that it costs one round trip.
//!
//! Parts see the same snapshot and not each other, which is right here: no row is in two of them. Every insert and update
//! counts its rows; one too few means that another node was there first, and nothing is written (R1).

use earnest_protocol::{Name, ParkReason, Timestamp};
use sqlx::{
    Encode, PgConnection, Postgres, QueryBuilder, Row, Type,
    postgres::{PgHasArrayType, PgRow},
};
use uuid::Uuid;

use super::{
    error::{Context, Failure, unavailable},
    fetch::uuid,
};
use crate::{
    BranchKey, DeliveryKey, StoreError, TransactionRow,
    planted::planted,
    sql::{
        branch,
        column::{FORMAT, format, holder, micros},
        delivery, message,
        recall::LineStep,
        record, transaction,
    },
    working_set::Writes,
};

const INSERT_TRANSACTIONS: &str = concat!(
    "INSERT INTO transactions (",
    transaction::columns!(),
    ") SELECT * FROM"
);
const STEP_TRANSACTIONS: &str = "UPDATE transactions t SET phase = v.phase, parked = v.parked, \
                 in_progress_answers = v.in_progress_answers, unanswered = v.unanswered, \
                 open_effects = v.open_effects, parked_effects = v.parked_effects, decided_at = v.decided_at, \
                 decided_by = v.decided_by, finished_at = v.finished_at, check_due = v.check_due, \
                 check_attempts = v.check_attempts, holder = v.holder, token = v.token, revision = v.revision, \
                 branches = v.branches, untried = v.untried, message_count = v.message_count, format = v.format FROM";
const INSERT_MESSAGES: &str = concat!(
    "INSERT INTO messages (",
    message::columns!(),
    ", ordinal) SELECT * FROM"
);
const INSERT_BRANCHES: &str = concat!(
    "INSERT INTO branches (",
    branch::columns!(),
    ") SELECT * FROM"
);
const INSERT_BRANCH_CONTENTS: &str = concat!(
    "INSERT INTO branch_contents (",
    branch::content_columns!(),
    ") SELECT * FROM"
);
const STEP_BRANCHES: &str = "UPDATE branches b SET state = v.state, attempts = v.attempts, due = v.due, \
                 done_at = v.done_at, parked = v.parked, holder = v.holder, token = v.token FROM";
const INSERT_DELIVERIES: &str = concat!(
    "INSERT INTO deliveries (",
    delivery::columns!(),
    ") SELECT * FROM"
);
const STEP_DELIVERIES: &str = "UPDATE deliveries d SET state = v.state, attempts = v.attempts, due = v.due, \
                 done_at = v.done_at, parked = v.parked, holder = v.holder, token = v.token FROM";
const INSERT_ATTEMPTS: &str = concat!(
    "INSERT INTO attempts (",
    record::attempt_columns!(),
    ") SELECT * FROM"
);
const INSERT_AUDIT: &str = concat!(
    "INSERT INTO audit (",
    record::audit_columns!(),
    ") SELECT * FROM"
);

/// Writes, and moves the line on, or says that another node was there first. False: there was nothing to write.
pub(super) async fn write(
    db: &mut PgConnection,
    writes: &Writes<'_>,
    step: Option<&LineStep>,
) -> Result<bool, Failure> {
    let mut parts = Parts::default();
    parts.transactions(writes);
    parts.messages(writes)?;
    parts.branches(writes);
    parts.deliveries(writes);
    parts.records(writes);
    if parts.names.is_empty() {
        return Ok(false);
    }
    if let Some(step) = step {
        parts.line(step);
    }
    let expected = std::mem::take(&mut parts.names);
    parts.sql.push(" SELECT ");
    for (at, (name, _)) in expected.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        parts
            .sql
            .push(format_args!("{comma}(SELECT count(*) FROM {name})"));
    }
    let row: PgRow = parts
        .sql
        .build()
        .fetch_one(db)
        .await
        .context("write a batch")?;
    for (at, (name, count)) in expected.into_iter().enumerate() {
        let written: i64 = row.try_get(at).context("write a batch")?;
        if let Some(count) = count
            && usize::try_from(written) != Ok(count)
            && !planted!(PostgresRowsAreNotCounted)
        {
            return Err(Failure::Conflict(unavailable(format!(
                "write a batch: {name}: {written} rows instead of {count}; another node was there first"
            ))));
        }
    }
    Ok(true)
}

/// The statement in the making.
struct Parts {
    sql: QueryBuilder<Postgres>,
    /// Each part, and how many rows it must write; `None`: any number.
    names: Vec<(&'static str, Option<usize>)>,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            sql: QueryBuilder::new("WITH "),
            names: Vec::new(),
        }
    }
}

impl Parts {
    /// Begins a part that writes `rows`.
    fn part(
        &mut self,
        name: &'static str,
        rows: impl Into<Option<usize>>,
        sql: &str,
    ) -> Columns<'_> {
        let comma = if self.names.is_empty() { "" } else { ", " };
        self.names.push((name, rows.into()));
        self.sql
            .push(format_args!("{comma}{name} AS ({sql} unnest("));
        Columns {
            sql: &mut self.sql,
            is_first: true,
        }
    }

    /// One row, and only if the line is where it was read: a lost COMMIT of this node's may still come through.
    fn line(&mut self, step: &LineStep) {
        self.names.push(("line", Some(1)));
        let (to, sql) = (step.to, &mut self.sql);
        match step.read {
            None => {
                sql.push(", line AS (INSERT INTO lines (incarnation, line, batches, at) VALUES (")
                    .push_bind(to.incarnation)
                    .push(", ")
                    .push_bind(to.line)
                    .push(", ")
                    .push_bind(to.batches)
                    .push(", ")
                    .push_bind(to.at.as_micros())
                    .push(") ON CONFLICT DO NOTHING RETURNING 1)");
            }
            Some(read) => {
                sql.push(", line AS (UPDATE lines SET batches = ")
                    .push_bind(to.batches)
                    .push(", at = ")
                    .push_bind(to.at.as_micros())
                    .push(" WHERE incarnation = ")
                    .push_bind(to.incarnation)
                    .push(" AND line = ")
                    .push_bind(to.line)
                    .push(" AND batches = ")
                    .push_bind(read)
                    .push(" RETURNING 1)");
            }
        }
    }

    fn transactions(&mut self, writes: &Writes<'_>) {
        let rows = &writes.new_transactions[..];
        if !rows.is_empty() {
            self.part("new_transactions", rows.len(), INSERT_TRANSACTIONS)
                .of("uuid", rows, |r| uuid(&r.id))
                .of("bigint", rows, |r| format(r.is_tcc()))
                .of("text", rows, |r| r.namespace.as_str())
                .of("text", rows, |r| r.initiator.as_ref().map(Name::as_str))
                .of("text", rows, |r| r.resource_id.as_str())
                .of("text", rows, |r| r.business_key.as_str())
                .of("bytea", rows, |r| transaction::content(r).map(Vec::from))
                .of("bigint", rows, |r| i64::from(r.message_count))
                .of("text", rows, |r| r.traceparent.as_str())
                .of("bigint", rows, |r| r.created_at.as_micros())
                .of("bigint", rows, |r| micros(r.state.options.check_after))
                .of("bigint", rows, |r| transaction::outcome(r))
                .of("bigint", rows, |r| transaction::on_budget_spent(r))
                .of("bigint", rows, |r| {
                    i64::from(r.state.options.check_back_budget)
                })
                .of("boolean", rows, |r| r.state.options.allow_no_subscription)
                .state(rows)
                .end(" ON CONFLICT (id) DO NOTHING RETURNING 1)");
        }
        let rows = &writes.transactions[..];
        if !rows.is_empty() {
            let state: Vec<&TransactionRow> = rows.iter().map(|(_, row)| *row).collect();
            self.part("stepped_transactions", rows.len(), STEP_TRANSACTIONS)
                .of("uuid", rows, |(_, r)| uuid(&r.id))
                .of("bigint", rows, |(read, _)| *read)
                .state(&state)
                .of("bigint", rows, |(_, r)| i64::from(r.message_count))
                .of("bigint", rows, |(_, r)| format(r.is_tcc()))
                .on(
                    " AS v (id, read, phase, parked, in_progress_answers, unanswered, open_effects, parked_effects, \
                     decided_at, decided_by, finished_at, check_due, check_attempts, holder, token, revision, branches, \
                     untried, message_count, format) \
                     WHERE t.id = v.id AND t.revision = v.read",
                )
                .between("t.id", rows, |(_, r)| uuid(&r.id));
        }
    }

    fn messages(&mut self, writes: &Writes<'_>) -> Result<(), StoreError> {
        let rows = &writes.messages[..];
        if rows.is_empty() {
            return Ok(());
        }
        let headers = rows.iter().map(|(_, _, m)| message::headers(m));
        let headers = headers.collect::<Result<Vec<_>, _>>()?;
        self.part("new_messages", rows.len(), INSERT_MESSAGES)
            .of("uuid", rows, |(id, _, _)| uuid(id))
            .of("text", rows, |(_, _, m)| m.topic.as_str())
            .of("text", rows, |(_, _, m)| m.key.as_str())
            .of("text", rows, |(_, _, m)| m.content_type.as_str())
            .of("text", rows, |(_, _, m)| m.content_encoding.as_str())
            .of("text", rows, |(_, _, m)| m.key_id.as_str())
            .of("text", &headers, String::as_str)
            .of("bytea", rows, |(_, _, m)| m.payload.as_ref())
            .of("bigint", rows, |(_, ordinal, _)| i64::from(ordinal.0))
            .end(" ON CONFLICT DO NOTHING RETURNING 1)");
        Ok(())
    }

    fn branches(&mut self, writes: &Writes<'_>) {
        let rows = &writes.new_branches[..];
        if !rows.is_empty() {
            self.part("new_branches", rows.len(), INSERT_BRANCHES)
                .branch(rows, |(r, _)| r.key)
                .of("bigint", rows, |_| FORMAT)
                .of("text", rows, |(r, _)| r.namespace.as_str())
                .of("text", rows, |(r, _)| r.service.as_str())
                .of("bigint", rows, |(r, _)| branch::state_number(r.state))
                .of("bigint", rows, |(r, _)| i64::from(r.attempts))
                .of("bigint", rows, |(r, _)| r.due.map(Timestamp::as_micros))
                .of("bigint", rows, |(r, _)| r.created_at.as_micros())
                .of("bigint", rows, |(r, _)| r.done_at.map(Timestamp::as_micros))
                .of("text", rows, |(r, _)| {
                    r.parked.as_ref().map(ParkReason::as_str)
                })
                .of("bigint", rows, |(r, _)| holder(r.holder))
                .of("bigint", rows, |(r, _)| r.token.0)
                .end(" ON CONFLICT DO NOTHING RETURNING 1)");
            self.part("new_branch_contents", rows.len(), INSERT_BRANCH_CONTENTS)
                .branch(rows, |(r, _)| r.key)
                .of("text", rows, |(_, content)| content.action.as_str())
                .of("text", rows, |(_, content)| content.resource_id.as_str())
                .of("text", rows, |(_, content)| content.content_type.as_str())
                .of("bytea", rows, |(_, content)| content.payload.as_ref())
                .end(" ON CONFLICT DO NOTHING RETURNING 1)");
        }
        let rows = &writes.branches[..];
        if !rows.is_empty() {
            self.part("stepped_branches", rows.len(), STEP_BRANCHES)
                .branch(rows, |(_, r)| r.key)
                .of("bigint", rows, |(read, _)| read.token.0)
                .of("bigint", rows, |(read, _)| branch::state_number(read.state))
                .of("bigint", rows, |(_, r)| branch::state_number(r.state))
                .of("bigint", rows, |(_, r)| i64::from(r.attempts))
                .of("bigint", rows, |(_, r)| r.due.map(Timestamp::as_micros))
                .of("bigint", rows, |(_, r)| {
                    r.done_at.map(Timestamp::as_micros)
                })
                .of("text", rows, |(_, r)| {
                    r.parked.as_ref().map(ParkReason::as_str)
                })
                .of("bigint", rows, |(_, r)| holder(r.holder))
                .of("bigint", rows, |(_, r)| r.token.0)
                .on(
                    " AS v (id, ordinal, read_token, read_state, state, attempts, due, done_at, parked, holder, token) \
                     WHERE b.transaction_id = v.id AND b.ordinal = v.ordinal AND b.token = v.read_token \
                     AND b.state = v.read_state",
                )
                .between("b.transaction_id", rows, |(_, r)| uuid(&r.key.transaction));
        }
    }

    fn deliveries(&mut self, writes: &Writes<'_>) {
        let is_tcc: Vec<bool> = writes.new_deliveries.iter().map(|(is, _)| *is).collect();
        let rows: Vec<_> = writes.new_deliveries.iter().map(|(_, row)| *row).collect();
        if !rows.is_empty() {
            let rows = &rows[..];
            self.part("new_deliveries", rows.len(), INSERT_DELIVERIES)
                .key(rows, |r| &r.key)
                .of("bigint", &is_tcc, |is_tcc| format(*is_tcc))
                .of("text", rows, |r| r.namespace.as_str())
                .of("bigint", rows, |r| delivery::state_number(r.state))
                .of("bigint", rows, |r| i64::from(r.attempts))
                .of("bigint", rows, |r| r.due.map(Timestamp::as_micros))
                .of("bigint", rows, |r| r.created_at.as_micros())
                .of("bigint", rows, |r| r.done_at.map(Timestamp::as_micros))
                .of("text", rows, |r| r.parked.as_ref().map(ParkReason::as_str))
                .of("text", rows, |r| {
                    r.order.as_ref().map(|(key, _)| key.as_str())
                })
                .of("bigint", rows, |r| r.order.as_ref().map(|(_, at)| *at))
                .of("bigint", rows, |r| holder(r.holder))
                .of("bigint", rows, |r| r.token.0)
                .end(" ON CONFLICT DO NOTHING RETURNING 1)");
        }
        let rows = &writes.deliveries[..];
        if !rows.is_empty() {
            self.part("stepped_deliveries", rows.len(), STEP_DELIVERIES)
                .key(rows, |(_, r)| &r.key)
                .of("bigint", rows, |(read, _)| read.token.0)
                .of("bigint", rows, |(read, _)| delivery::state_number(read.state))
                .of("bigint", rows, |(_, r)| delivery::state_number(r.state))
                .of("bigint", rows, |(_, r)| i64::from(r.attempts))
                .of("bigint", rows, |(_, r)| r.due.map(Timestamp::as_micros))
                .of("bigint", rows, |(_, r)| r.done_at.map(Timestamp::as_micros))
                .of("text", rows, |(_, r)| r.parked.as_ref().map(ParkReason::as_str))
                .of("bigint", rows, |(_, r)| holder(r.holder))
                .of("bigint", rows, |(_, r)| r.token.0)
                .on(
                    " AS v (id, ordinal, subscription, read_token, read_state, state, attempts, due, done_at, parked, \
                     holder, token) WHERE d.transaction_id = v.id AND d.ordinal = v.ordinal \
                     AND d.subscription = v.subscription AND d.token = v.read_token AND d.state = v.read_state",
                )
                .between("d.transaction_id", rows, |(_, r)| uuid(&r.key.transaction));
        }
        let keys = &writes.removed_deliveries[..];
        if !keys.is_empty() {
            self.part("removed_deliveries", keys.len(), "DELETE FROM deliveries d USING")
                .key(keys, |key| key)
                .on(
                    " AS v (id, ordinal, subscription) WHERE d.transaction_id = v.id AND d.ordinal = v.ordinal \
                     AND d.subscription = v.subscription",
                )
                .between("d.transaction_id", keys, |key| uuid(&key.transaction));
        }
    }

    fn records(&mut self, writes: &Writes<'_>) {
        let rows = writes.attempts;
        if !rows.is_empty() {
            self.part("new_attempts", rows.len(), INSERT_ATTEMPTS)
                .of("uuid", rows, |r| uuid(&r.transaction))
                .of("bigint", rows, |r| record::attempt_kind(&r.kind).ordinal)
                .of("text", rows, |r| record::attempt_kind(&r.kind).subscription)
                .of("bigint", rows, |r| {
                    record::attempt_kind(&r.kind).branch_call
                })
                .of("bigint", rows, |r| i64::from(r.number))
                .of("bigint", rows, |r| r.at.as_micros())
                .of("text", rows, |r| r.node.as_str())
                .of("text", rows, |r| r.target.as_str())
                .of("text", rows, |r| r.code.as_str())
                .of("text", rows, |r| r.error.as_str())
                .of("bigint", rows, |r| micros(r.duration))
                .end(" RETURNING 1)");
        }
        let rows = writes.removed_attempts;
        if !rows.is_empty() {
            self.part("removed_attempts", None, "DELETE FROM attempts a USING")
                .of("uuid", rows, |(id, _, _)| uuid(id))
                .of("bigint", rows, |(_, kind, _)| record::attempt_kind(kind).ordinal)
                .of("text", rows, |(_, kind, _)| record::attempt_kind(kind).subscription)
                .of("bigint", rows, |(_, kind, _)| record::attempt_kind(kind).branch_call)
                .of("bigint", rows, |(_, _, number)| i64::from(*number))
                // There may be none to remove, so none are counted.
                .end(
                    " AS v (id, ordinal, subscription, branch_call, number) WHERE a.transaction_id = v.id \
                     AND a.ordinal IS NOT DISTINCT FROM v.ordinal \
                     AND a.subscription IS NOT DISTINCT FROM v.subscription \
                     AND a.branch_call IS NOT DISTINCT FROM v.branch_call AND a.number = v.number RETURNING 1)",
                );
        }
        let rows = writes.audit;
        if !rows.is_empty() {
            self.part("new_audit", rows.len(), INSERT_AUDIT)
                .of("bigint", rows, |r| r.at.as_micros())
                .of("text", rows, |r| r.actor.as_str())
                .of("text", rows, |r| r.action.as_str())
                .of("uuid", rows, |r| r.transaction.as_ref().map(uuid))
                .of("text", rows, |r| r.detail.as_str())
                .end(" RETURNING 1)");
        }
    }
}

/// The columns of a part, each an array.
struct Columns<'a> {
    sql: &'a mut QueryBuilder<Postgres>,
    is_first: bool,
}

impl<'a> Columns<'a> {
    fn of<'r, 't, R, T>(mut self, of: &str, rows: &'r [R], value: impl Fn(&'r R) -> T) -> Self
    where
        T: Encode<'t, Postgres> + Type<Postgres> + PgHasArrayType,
    {
        if !std::mem::take(&mut self.is_first) {
            self.sql.push(", ");
        }
        let column: Vec<T> = rows.iter().map(value).collect();
        self.sql.push_bind(column);
        self.sql.push(format_args!("::{of}[]"));
        self
    }

    fn key<'r, R>(self, rows: &'r [R], key: impl Fn(&'r R) -> &'r DeliveryKey) -> Self {
        self.of("uuid", rows, |r| uuid(&key(r).transaction))
            .of("bigint", rows, |r| i64::from(key(r).ordinal.0))
            .of("text", rows, |r| delivery::subscription(key(r)))
    }

    fn branch<'r, R>(self, rows: &'r [R], key: impl Fn(&'r R) -> BranchKey) -> Self {
        self.of("uuid", rows, |r| uuid(&key(r).transaction))
            .of("bigint", rows, |r| i64::from(key(r).ordinal.0))
    }

    /// From `phase` to the end of a transaction's columns.
    fn state(self, rows: &[&TransactionRow]) -> Self {
        self.of("bigint", rows, |r| transaction::phase_number(r.state.phase))
            .of("text", rows, |r| {
                r.state.parked.as_ref().map(ParkReason::as_str)
            })
            .of("bigint", rows, |r| i64::from(r.state.in_progress_answers))
            .of("bigint", rows, |r| i64::from(r.state.unanswered))
            .of("bigint", rows, |r| i64::from(r.state.open_effects))
            .of("bigint", rows, |r| i64::from(r.state.parked_effects))
            .of("bigint", rows, |r| transaction::decided_at(r))
            .of("text", rows, |r| transaction::decided_by(r))
            .of("bigint", rows, |r| r.finished_at.map(Timestamp::as_micros))
            .of("bigint", rows, |r| r.check_due.map(Timestamp::as_micros))
            .of("bigint", rows, |r| i64::from(r.check_attempts))
            .of("bigint", rows, |r| holder(r.holder))
            .of("bigint", rows, |r| r.token.0)
            .of("bigint", rows, |r| r.revision)
            .of("bigint", rows, |r| i64::from(r.state.branches))
            .of("bigint", rows, |r| i64::from(r.state.untried))
    }

    /// The last part of an insert.
    fn end(self, sql: &str) {
        self.sql.push(")").push(sql);
    }

    /// The condition of an update or a removal, which [`Condition::between`] ends.
    fn on(self, sql: &str) -> Condition<'a> {
        self.sql.push(")").push(sql);
        Condition { sql: self.sql }
    }
}

/// A condition that is not complete yet.
struct Condition<'a> {
    sql: &'a mut QueryBuilder<Postgres>,
}

impl Condition<'_> {
    /// Between which ids the rows are, which come in the order of their ids: other ranges of history are not even opened.
    fn between<R>(self, column: &str, rows: &[R], id: impl Fn(&R) -> Uuid) {
        let end = |row: Option<&R>| row.map(&id).unwrap_or_default();
        self.sql.push(format_args!(" AND {column} >= "));
        self.sql.push_bind(end(rows.first()));
        self.sql.push(format_args!(" AND {column} <= "));
        self.sql.push_bind(end(rows.last()));
        self.sql.push(" RETURNING 1)");
    }
}
