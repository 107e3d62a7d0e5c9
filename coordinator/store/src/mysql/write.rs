//! What a batch writes: a statement or few per kind of row, each of many rows.
//!
//! Every update is conditional on what was read, and counts its rows; one too few means that another node was there first, and nothing
//! is written (R1). An insert that meets a row fails by itself. (The driver asks for FOUND_ROWS, so that rows are counted
//! that match, whether or not they change.)

mod branch;

use std::ops::Range;

use earnest_protocol::{ParkReason, Timestamp};
use sqlx::MySqlConnection;

use super::{
    error::{Context, Failure, unavailable},
    rows::{ROWS, Row, Sql, table, values},
};
use crate::{
    StoreError, TransactionRow,
    sql::{
        column::{format, holder, micros},
        delivery, message,
        recall::LineStep,
        record, transaction,
    },
    working_set::Writes,
};

/// Bytes of messages in one statement at most, unless one alone is larger. Every server takes twice as much (`open` looks).
const BYTES: usize = 2 << 20;

const INSERT_TRANSACTIONS: &str = concat!(
    "INSERT INTO transactions (",
    transaction::columns!(),
    ") VALUES "
);
const INSERT_MESSAGES: &str = concat!(
    "INSERT INTO messages (",
    message::columns!(),
    ", ordinal) VALUES "
);
const INSERT_DELIVERIES: &str = concat!(
    "INSERT INTO deliveries (",
    delivery::columns!(),
    ", order_done) VALUES "
);
const INSERT_ATTEMPTS: &str = concat!(
    "INSERT INTO attempts (",
    record::attempt_columns!(),
    ") VALUES "
);
const INSERT_AUDIT: &str = concat!("INSERT INTO audit (", record::audit_columns!(), ") VALUES ");

// STRAIGHT_JOIN and FORCE INDEX: each row is looked up by its key. A table that was small when somebody counted would be walked
// through instead, and every row of it locked.
const STEP_TRANSACTIONS: &str = " v STRAIGHT_JOIN transactions t FORCE INDEX (PRIMARY) ON t.id = v.id \
     SET t.phase = v.phase, t.parked = v.parked, t.in_progress_answers = v.in_progress_answers, \
     t.unanswered = v.unanswered, t.open_effects = v.open_effects, t.parked_effects = v.parked_effects, \
     t.decided_at = v.decided_at, t.decided_by = v.decided_by, t.finished_at = v.finished_at, t.check_due = v.check_due, \
     t.check_attempts = v.check_attempts, t.holder = v.holder, t.token = v.token, t.revision = v.revision, \
     t.branches = v.branches, t.untried = v.untried, t.message_count = v.message_count, t.format = v.format \
     WHERE t.revision = v.was";
const STEP_DELIVERIES: &str = " v STRAIGHT_JOIN deliveries d FORCE INDEX (PRIMARY) \
     ON d.transaction_id = v.id AND d.ordinal = v.ordinal AND d.subscription = v.subscription \
     SET d.state = v.state, d.attempts = v.attempts, d.due = v.due, d.done_at = v.done_at, d.parked = v.parked, \
     d.order_done = v.order_done, d.holder = v.holder, d.token = v.token \
     WHERE d.token = v.was_token AND d.state = v.was_state";
const REMOVE_DELIVERIES: &str = " v STRAIGHT_JOIN deliveries d FORCE INDEX (PRIMARY) \
     ON d.transaction_id = v.id AND d.ordinal = v.ordinal AND d.subscription = v.subscription";
const REMOVE_ATTEMPTS: &str = " v STRAIGHT_JOIN attempts a FORCE INDEX (attempts_transaction) ON a.transaction_id = v.id \
     WHERE a.ordinal <=> v.ordinal AND a.subscription <=> v.subscription \
     AND a.branch_call <=> v.branch_call AND a.number = v.number";

/// Writes, and moves the line on, or says that another node was there first. False: there was nothing to write. `packet` is what
/// the server takes in one statement, in bytes.
pub(super) async fn write(
    db: &mut MySqlConnection,
    writes: &Writes<'_>,
    step: Option<&LineStep>,
    packet: usize,
) -> Result<bool, Failure> {
    if writes.is_empty() {
        return Ok(false);
    }
    if let Some(step) = step {
        line(db, step).await?;
    }
    transactions(db, writes).await?;
    messages(db, writes, packet).await?;
    branch::branches(db, writes, packet).await?;
    deliveries(db, writes).await?;
    records(db, writes).await?;
    Ok(true)
}

/// One row, and only if the line is where it was read: a lost COMMIT of this node's may still come through.
async fn line(db: &mut MySqlConnection, step: &LineStep) -> Result<(), Failure> {
    let to = step.to;
    let mut sql = match step.read {
        None => Sql::new("INSERT INTO `lines` (batches, at, incarnation, line) VALUES ("),
        Some(_) => Sql::new("UPDATE `lines` SET batches = "),
    };
    let [at, incarnation, line, end] = match step.read {
        None => [", ", ", ", ", ", ")"],
        Some(_) => [
            ", at = ",
            " WHERE incarnation = ",
            " AND line = ",
            " AND batches = ",
        ],
    };
    sql.push_bind(to.batches)
        .push(at)
        .push_bind(to.at.as_micros())
        .push(incarnation)
        .push_bind(to.incarnation)
        .push(line)
        .push_bind(to.line)
        .push(end);
    if let Some(read) = step.read {
        sql.push_bind(read);
    }
    exactly(db, sql, "line", 1).await
}

async fn transactions(db: &mut MySqlConnection, writes: &Writes<'_>) -> Result<(), Failure> {
    for rows in writes.new_transactions.chunks(ROWS) {
        let mut sql = Sql::new(INSERT_TRANSACTIONS);
        values(&mut sql, rows, |row, r| {
            let row = row
                .id(&r.id)
                .int(format(r.is_tcc()))
                .bytes(r.namespace.as_str().as_bytes())
                .bytes(r.initiator.as_ref().map(|name| name.as_str().as_bytes()))
                .text(r.resource_id.as_str())
                .bytes(r.business_key.as_bytes())
                .bytes(transaction::content(r).as_ref().map(|hash| &hash[..]))
                .int(i64::from(r.message_count))
                .text(r.traceparent.as_str())
                .int(r.created_at.as_micros())
                .int(micros(r.state.options.check_after))
                .int(transaction::outcome(r))
                .int(transaction::on_budget_spent(r))
                .int(i64::from(r.state.options.check_back_budget))
                .int(i64::from(r.state.options.allow_no_subscription));
            state(row, r)
        });
        exactly(db, sql, "new transactions", rows.len()).await?;
    }
    for rows in writes.transactions.chunks(ROWS) {
        let names = [
            "id",
            "was",
            "phase",
            "parked",
            "in_progress_answers",
            "unanswered",
            "open_effects",
            "parked_effects",
            "decided_at",
            "decided_by",
            "finished_at",
            "check_due",
            "check_attempts",
            "holder",
            "token",
            "revision",
            "branches",
            "untried",
            "message_count",
            "format",
        ];
        let mut sql = Sql::new("UPDATE ");
        table(&mut sql, &names, rows, |row, (was, r)| {
            state(row.id(&r.id).int(*was), r)
                .int(i64::from(r.message_count))
                .int(format(r.is_tcc()))
        });
        sql.push(STEP_TRANSACTIONS);
        exactly(db, sql, "transactions", rows.len()).await?;
    }
    Ok(())
}

/// From `phase` to the end of a transaction's columns.
fn state<'a>(row: Row<'a>, r: &TransactionRow) -> Row<'a> {
    row.int(transaction::phase_number(r.state.phase))
        .text(r.state.parked.as_ref().map(ParkReason::as_str))
        .int(i64::from(r.state.in_progress_answers))
        .int(i64::from(r.state.unanswered))
        .int(i64::from(r.state.open_effects))
        .int(i64::from(r.state.parked_effects))
        .int(transaction::decided_at(r))
        .text(transaction::decided_by(r).as_deref())
        .int(r.finished_at.map(Timestamp::as_micros))
        .int(r.check_due.map(Timestamp::as_micros))
        .int(i64::from(r.check_attempts))
        .int(holder(r.holder))
        .int(r.token.0)
        .int(r.revision)
        .int(i64::from(r.state.branches))
        .int(i64::from(r.state.untried))
}

async fn messages(
    db: &mut MySqlConnection,
    writes: &Writes<'_>,
    packet: usize,
) -> Result<(), Failure> {
    let headers = writes.messages.iter().map(|(_, _, m)| message::headers(m));
    let headers = headers.collect::<Result<Vec<_>, _>>()?;
    let rows: Vec<_> = writes.messages.iter().zip(headers).collect();
    let sizes = rows.iter().map(|((_, _, m), headers)| {
        m.payload.len() + headers.len() + m.key.len() + m.content_type.len() + 1_024
    });
    for part in parts(sizes, packet)? {
        let rows = &rows[part];
        let mut sql = Sql::new(INSERT_MESSAGES);
        values(&mut sql, rows, |row, ((id, ordinal, m), headers)| {
            row.id(id)
                .bytes(m.topic.as_str().as_bytes())
                .text(m.key.as_str())
                .text(m.content_type.as_str())
                .text(m.content_encoding.as_str())
                .text(m.key_id.as_str())
                .text(headers.as_str())
                .bytes(m.payload.as_ref())
                .int(i64::from(ordinal.0))
        });
        exactly(db, sql, "new messages", rows.len()).await?;
    }
    Ok(())
}

/// Which rows go into one statement, so that none is larger than the server takes.
fn parts(
    sizes: impl Iterator<Item = usize>,
    packet: usize,
) -> Result<Vec<Range<usize>>, StoreError> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (at, size) in sizes.enumerate() {
        if size >= packet {
            // The server would only hang up.
            return Err(StoreError::Rejected {
                context: format!(
                    "record a message or a branch: with all that it says it has {size} bytes, and the server's max_allowed_packet is \
                     {packet}: raise that, or lower limits.payload_bytes"
                ),
                source: None,
            });
        }
        bytes += size;
        match parts.last_mut() {
            Some(part) if bytes <= BYTES && part.len() < ROWS => part.end = at + 1,
            _ => {
                bytes = size;
                parts.push(at..at + 1);
            }
        }
    }
    Ok(parts)
}

async fn deliveries(db: &mut MySqlConnection, writes: &Writes<'_>) -> Result<(), Failure> {
    for rows in writes.new_deliveries.chunks(ROWS) {
        let mut sql = Sql::new(INSERT_DELIVERIES);
        values(&mut sql, rows, |row, (is_tcc, r)| {
            row.key(&r.key)
                .int(format(*is_tcc))
                .bytes(r.namespace.as_str().as_bytes())
                .int(delivery::state_number(r.state))
                .int(i64::from(r.attempts))
                .int(r.due.map(Timestamp::as_micros))
                .int(r.created_at.as_micros())
                .int(r.done_at.map(Timestamp::as_micros))
                .text(r.parked.as_ref().map(ParkReason::as_str))
                .bytes(r.order.as_ref().map(|(key, _)| key.as_bytes()))
                .int(r.order.as_ref().map(|(_, at)| *at))
                .int(holder(r.holder))
                .int(r.token.0)
                .int(order_done(r))
        });
        exactly(db, sql, "new deliveries", rows.len()).await?;
    }
    for rows in writes.deliveries.chunks(ROWS) {
        let names = [
            "id",
            "ordinal",
            "subscription",
            "was_token",
            "was_state",
            "state",
            "attempts",
            "due",
            "done_at",
            "parked",
            "order_done",
            "holder",
            "token",
        ];
        let mut sql = Sql::new("UPDATE ");
        table(&mut sql, &names, rows, |row, (was, r)| {
            row.key(&r.key)
                .int(was.token.0)
                .int(delivery::state_number(was.state))
                .int(delivery::state_number(r.state))
                .int(i64::from(r.attempts))
                .int(r.due.map(Timestamp::as_micros))
                .int(r.done_at.map(Timestamp::as_micros))
                .text(r.parked.as_ref().map(ParkReason::as_str))
                .int(order_done(r))
                .int(holder(r.holder))
                .int(r.token.0)
        });
        sql.push(STEP_DELIVERIES);
        exactly(db, sql, "deliveries", rows.len()).await?;
    }
    for keys in writes.removed_deliveries.chunks(ROWS) {
        let mut sql = Sql::new("DELETE d FROM ");
        let names = ["id", "ordinal", "subscription"];
        table(&mut sql, &names, keys, |row, key| row.key(key));
        sql.push(REMOVE_DELIVERIES);
        exactly(db, sql, "removed deliveries", keys.len()).await?;
    }
    Ok(())
}

fn order_done(row: &crate::DeliveryRow) -> Option<i64> {
    let is_ordered = row.order.is_some();
    is_ordered.then(|| i64::from(delivery::state_number(row.state) == delivery::DONE))
}

async fn records(db: &mut MySqlConnection, writes: &Writes<'_>) -> Result<(), Failure> {
    for rows in writes.attempts.chunks(ROWS) {
        let mut sql = Sql::new(INSERT_ATTEMPTS);
        values(&mut sql, rows, |row, r| {
            let kind = record::attempt_kind(&r.kind);
            row.id(&r.transaction)
                .int(kind.ordinal)
                .bytes(kind.subscription.map(str::as_bytes))
                .int(kind.branch_call)
                .int(i64::from(r.number))
                .int(r.at.as_micros())
                .text(r.node.as_str())
                .text(r.target.as_str())
                .text(r.code.as_str())
                .text(r.error.as_str())
                .int(micros(r.duration))
        });
        exactly(db, sql, "new attempts", rows.len()).await?;
    }
    for rows in writes.removed_attempts.chunks(ROWS) {
        let mut sql = Sql::new("DELETE a FROM ");
        let names = ["id", "ordinal", "subscription", "branch_call", "number"];
        table(&mut sql, &names, rows, |row, (id, kind, number)| {
            let kind = record::attempt_kind(kind);
            row.id(id)
                .int(kind.ordinal)
                .bytes(kind.subscription.map(str::as_bytes))
                .int(kind.branch_call)
                .int(i64::from(*number))
        });
        sql.push(REMOVE_ATTEMPTS);
        // There may be none to remove, so none are counted.
        sql.build()
            .execute(&mut *db)
            .await
            .context("write a batch")?;
    }
    for rows in writes.audit.chunks(ROWS) {
        let mut sql = Sql::new(INSERT_AUDIT);
        values(&mut sql, rows, |row, r| {
            row.int(r.at.as_micros())
                .text(r.actor.as_str())
                .text(r.action.as_str())
                .bytes(r.transaction.as_ref().map(|id| &id.as_bytes()[..]))
                .text(r.detail.as_str())
        });
        exactly(db, sql, "new audit lines", rows.len()).await?;
    }
    Ok(())
}

/// Runs a statement that must write so many rows.
async fn exactly(
    db: &mut MySqlConnection,
    mut sql: Sql,
    what: &str,
    count: usize,
) -> Result<(), Failure> {
    let done = sql.build().execute(db).await.context("write a batch")?;
    if usize::try_from(done.rows_affected()) == Ok(count) {
        return Ok(());
    }
    Err(Failure::Conflict(unavailable(format!(
        "write a batch: {what}: {} rows instead of {count}; another node was there first",
        done.rows_affected()
    ))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_stay_small_and_what_is_too_large_is_told() {
        let mib = 1 << 20;
        let sizes = [mib, mib, mib, 3 * mib, 1, 1];
        let parts = |packet| parts(sizes.into_iter(), packet);
        assert_eq!(parts(4 * mib).unwrap(), [0..2, 2..3, 3..4, 4..6]);
        let error = parts(3 * mib).unwrap_err();
        assert!(matches!(error, StoreError::Rejected { .. }), "{error:?}");
        assert!(error.to_string().contains("max_allowed_packet"), "{error}");
        let many = super::parts([1; 1_000].into_iter(), 4 * mib).unwrap();
        assert_eq!(many, [0..512, 512..1_000]);
    }
}
