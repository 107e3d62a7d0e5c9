//! What is only ever added to: attempts that failed, and what operators did.

use earnest_protocol::{Name, Ordinal, TransactionId};
use rusqlite::{Connection, Row, params};

use super::{
    column::{Columns, Read, corrupt, limit, micros},
    error::Context,
};
use crate::{AttemptKind, AttemptRow, AuditRow, StoreError, sql::branch as words};

const INSERT_ATTEMPT: &str = "INSERT INTO attempts \
     (transaction_id, ordinal, subscription, branch_call, number, at, node, target, code, error, duration) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
const DELETE_ATTEMPT: &str = "DELETE FROM attempts INDEXED BY attempts_transaction \
     WHERE transaction_id = ?1 AND ordinal IS ?2 AND subscription IS ?3 AND branch_call IS ?4 AND number = ?5";
const NEWEST_ATTEMPTS: &str = "SELECT transaction_id, ordinal, subscription, branch_call, number, at, node, target, code, error, \
     duration FROM attempts WHERE transaction_id = ?1 ORDER BY id DESC LIMIT ?2";
const INSERT_AUDIT: &str =
    "INSERT INTO audit (at, actor, action, transaction_id, detail) VALUES (?1, ?2, ?3, ?4, ?5)";
const NEWEST_AUDIT: &str =
    "SELECT id, at, actor, action, transaction_id, detail FROM audit ORDER BY id DESC LIMIT ?1";

pub(super) fn insert_attempt(db: &Connection, row: &AttemptRow) -> Result<(), StoreError> {
    let context = "record an attempt";
    let (ordinal, subscription, branch_call) = kind_columns(&row.kind);
    let values = params![
        row.transaction.as_bytes(),
        ordinal,
        subscription,
        branch_call,
        row.number,
        row.at.as_micros(),
        row.node,
        row.target,
        row.code,
        row.error,
        micros(row.duration),
    ];
    db.prepare_cached(INSERT_ATTEMPT)
        .context(context)?
        .execute(values)
        .context(context)?;
    Ok(())
}

/// Removes one, where it is there.
pub(super) fn delete_attempt(
    db: &Connection,
    id: TransactionId,
    kind: &AttemptKind,
    number: u32,
) -> Result<(), StoreError> {
    let context = "forget an attempt";
    let (ordinal, subscription, branch_call) = kind_columns(kind);
    db.prepare_cached(DELETE_ATTEMPT)
        .context(context)?
        .execute(params![
            id.as_bytes(),
            ordinal,
            subscription,
            branch_call,
            number
        ])
        .context(context)?;
    Ok(())
}

fn kind_columns(kind: &AttemptKind) -> (Option<u32>, Option<&str>, Option<i64>) {
    match kind {
        AttemptKind::CheckBack => (None, None, None),
        AttemptKind::Delivery(ordinal, name) => {
            let name = name.as_ref().map_or("", Name::as_str);
            (Some(ordinal.0), Some(name), None)
        }
        AttemptKind::Branch(ordinal, call) => {
            (Some(ordinal.0), None, Some(words::call_number(*call)))
        }
    }
}

/// Newest first.
pub(super) fn attempts(
    db: &Connection,
    id: TransactionId,
    count: usize,
) -> Result<Vec<AttemptRow>, StoreError> {
    let context = "read attempts";
    let mut statement = db.prepare_cached(NEWEST_ATTEMPTS).context(context)?;
    let mut rows = statement
        .query(params![id.as_bytes(), limit(count)])
        .context(context)?;
    let mut attempts = Vec::new();
    while let Some(row) = rows.next().context(context)? {
        attempts.push(attempt(Columns::of(row)).map_err(|why| corrupt("attempts", row, &why))?);
    }
    Ok(attempts)
}

fn attempt(mut c: Columns<'_, '_>) -> Read<AttemptRow> {
    Ok(AttemptRow {
        transaction: c.id()?,
        kind: kind(&mut c)?,
        number: c.get()?,
        at: c.time()?,
        node: c.get()?,
        target: c.get()?,
        code: c.get()?,
        error: c.get()?,
        duration: c.duration()?,
    })
}

fn kind(c: &mut Columns<'_, '_>) -> Read<AttemptKind> {
    let ordinal = c.get::<Option<u32>>()?;
    let subscription = c
        .get::<Option<String>>()?
        .filter(|name| !name.is_empty())
        .map(|name| {
            name.parse()
                .map_err(|e| format!("column subscription: {e}"))
        })
        .transpose()?;
    let call = c.get::<Option<i64>>()?;
    Ok(match (ordinal.map(Ordinal), call) {
        (None, _) => AttemptKind::CheckBack,
        (Some(ordinal), None) => AttemptKind::Delivery(ordinal, subscription),
        (Some(ordinal), Some(number)) => {
            let call = words::call(number)
                .ok_or_else(|| format!("column branch_call: {number} stands for no call"))?;
            AttemptKind::Branch(ordinal, call)
        }
    })
}

pub(super) fn insert_audit(db: &Connection, row: &AuditRow) -> Result<(), StoreError> {
    let context = "record an audit line";
    let id = row.transaction.as_ref().map(TransactionId::as_bytes);
    let values = params![row.at.as_micros(), row.actor, row.action, id, row.detail];
    db.prepare_cached(INSERT_AUDIT)
        .context(context)?
        .execute(values)
        .context(context)?;
    Ok(())
}

/// Newest first.
pub(super) fn audit(db: &Connection, count: usize) -> Result<Vec<AuditRow>, StoreError> {
    let context = "read the audit";
    let mut statement = db.prepare_cached(NEWEST_AUDIT).context(context)?;
    let mut rows = statement.query([limit(count)]).context(context)?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next().context(context)? {
        lines.push(audit_line(row).map_err(|why| corrupt("audit", row, &why))?);
    }
    Ok(lines)
}

fn audit_line(row: &Row<'_>) -> Read<AuditRow> {
    let mut c = Columns::of(row);
    c.get::<i64>()?;
    Ok(AuditRow {
        at: c.time()?,
        actor: c.get()?,
        action: c.get()?,
        transaction: c.id_option()?,
        detail: c.get()?,
    })
}
