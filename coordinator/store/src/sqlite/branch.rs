//! The tables of branches: one hot row to a [`BranchRow`] and back, and what it says, which is inserted once.

use earnest_protocol::{Name, NodeEpoch, Ordinal, ParkReason, Timestamp, TransactionId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    column::{Columns, FORMAT, Read, corrupt, readable},
    error::{Context, unavailable},
};
use crate::{Branch, BranchKey, BranchRow, StoreError, sql::branch as words};

/// The columns that [`read`] expects, in order.
macro_rules! columns {
    () => {
        "b.transaction_id, b.ordinal, b.format, b.namespace, b.service, b.state, b.attempts, b.due, b.created_at, \
         b.done_at, b.parked, b.holder, b.token"
    };
}
pub(super) use columns;

/// The columns of what a branch says, after those above.
macro_rules! whole {
    ($rest:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            ", c.action, c.resource_id, c.content_type, c.payload FROM branches b \
             CROSS JOIN branch_contents c ON c.transaction_id = b.transaction_id AND c.ordinal = b.ordinal ",
            $rest
        )
    };
}

const SELECT: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM branches b WHERE b.transaction_id = ?1 AND b.ordinal = ?2"
);
const SELECT_WHOLE: &str = whole!("WHERE b.transaction_id = ?1 AND b.ordinal = ?2");
const SELECT_ALL: &str = whole!("WHERE b.transaction_id = ?1 ORDER BY b.ordinal");
/// A participant's that are free and not due yet, the soonest first.
pub(super) const WAITING: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM branches b INDEXED BY branches_due WHERE b.due IS NOT NULL AND b.namespace = ?1 AND b.service = ?2 \
     AND b.holder IS NULL AND b.due > ?3 ORDER BY b.due LIMIT ?4"
);
const INSERT: &str = "INSERT INTO branches (transaction_id, ordinal, format, namespace, service, state, attempts, due, \
     created_at, done_at, parked, holder, token) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
const INSERT_CONTENT: &str = "INSERT INTO branch_contents (transaction_id, ordinal, action, resource_id, content_type, payload) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const UPDATE: &str = "UPDATE branches SET state = ?3, attempts = ?4, due = ?5, done_at = ?6, parked = ?7, holder = ?8, \
     token = ?9 WHERE transaction_id = ?1 AND ordinal = ?2";

pub(super) fn insert(db: &Connection, row: &BranchRow, content: &Branch) -> Result<(), StoreError> {
    let context = "record a branch";
    let (id, ordinal) = (row.key.transaction.as_bytes(), row.key.ordinal.0);
    let values = params![
        id,
        ordinal,
        FORMAT,
        row.namespace.as_str(),
        row.service.as_str(),
        words::state_number(row.state),
        row.attempts,
        row.due.map(Timestamp::as_micros),
        row.created_at.as_micros(),
        row.done_at.map(Timestamp::as_micros),
        row.parked.as_ref().map(ParkReason::as_str),
        row.holder.map(|NodeEpoch(epoch)| epoch),
        row.token.0,
    ];
    db.prepare_cached(INSERT)
        .context(context)?
        .execute(values)
        .context(context)?;
    let values = params![
        id,
        ordinal,
        content.action.as_str(),
        content.resource_id,
        content.content_type,
        content.payload.as_ref(),
    ];
    db.prepare_cached(INSERT_CONTENT)
        .context(context)?
        .execute(values)
        .context(context)?;
    Ok(())
}

pub(super) fn update(db: &Connection, row: &BranchRow) -> Result<(), StoreError> {
    let context = "step a branch";
    let values = params![
        row.key.transaction.as_bytes(),
        row.key.ordinal.0,
        words::state_number(row.state),
        row.attempts,
        row.due.map(Timestamp::as_micros),
        row.done_at.map(Timestamp::as_micros),
        row.parked.as_ref().map(ParkReason::as_str),
        row.holder.map(|NodeEpoch(epoch)| epoch),
        row.token.0,
    ];
    let changed = db
        .prepare_cached(UPDATE)
        .context(context)?
        .execute(values)
        .context(context)?;
    if changed == 1 {
        Ok(())
    } else {
        Err(unavailable(format!(
            "{} was not written: it is gone",
            row.key
        )))
    }
}

pub(super) fn select(db: &Connection, key: &BranchKey) -> Result<Option<BranchRow>, StoreError> {
    let context = "read a branch";
    let mut statement = db.prepare_cached(SELECT).context(context)?;
    let values = params![key.transaction.as_bytes(), key.ordinal.0];
    let row = statement.query_row(values, |row| Ok(read(row))).optional();
    row.context(context)?.transpose()
}

/// Branches of the participant that are free and due later than `now`, the soonest first. What can't be read is passed over.
pub(super) fn waiting(
    db: &Connection,
    (namespace, service): (&Name, &Name),
    now: Timestamp,
    limit: i64,
) -> Result<Vec<BranchRow>, StoreError> {
    let context = "read waiting branches";
    let mut statement = db.prepare_cached(WAITING).context(context)?;
    let values = params![namespace.as_str(), service.as_str(), now.as_micros(), limit];
    let mut rows = statement.query(values).context(context)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().context(context)? {
        found.extend(readable(read(row))?);
    }
    Ok(found)
}

/// One with what it says.
pub(super) fn select_whole(
    db: &Connection,
    key: &BranchKey,
) -> Result<Option<(BranchRow, Branch)>, StoreError> {
    let context = "read a branch";
    let mut statement = db.prepare_cached(SELECT_WHOLE).context(context)?;
    let values = params![key.transaction.as_bytes(), key.ordinal.0];
    let row = statement
        .query_row(values, |row| Ok(read_whole(row)))
        .optional();
    row.context(context)?.transpose()
}

/// By ordinal, each with what it says.
pub(super) fn select_all(
    db: &Connection,
    id: TransactionId,
) -> Result<Vec<(BranchRow, Branch)>, StoreError> {
    let context = "read branches";
    let mut statement = db.prepare_cached(SELECT_ALL).context(context)?;
    let mut rows = statement.query([id.as_bytes()]).context(context)?;
    let mut branches = Vec::new();
    while let Some(row) = rows.next().context(context)? {
        branches.push(read_whole(row)?);
    }
    Ok(branches)
}

pub(super) fn read(row: &Row<'_>) -> Result<BranchRow, StoreError> {
    read_columns(&mut Columns::of(row)).map_err(|why| corrupt("branches", row, &why))
}

fn read_whole(row: &Row<'_>) -> Result<(BranchRow, Branch), StoreError> {
    let mut c = Columns::of(row);
    let whole = (|| {
        let row = read_columns(&mut c)?;
        let content = Branch {
            service: row.service.clone(),
            action: c.parse()?,
            resource_id: c.get()?,
            content_type: c.get()?,
            payload: c.get::<Vec<u8>>()?.into(),
        };
        Ok((row, content))
    })();
    whole.map_err(|why: String| corrupt("branches", row, &why))
}

fn read_columns(c: &mut Columns<'_, '_>) -> Read<BranchRow> {
    let key = BranchKey {
        transaction: c.id()?,
        ordinal: Ordinal(c.get()?),
    };
    c.format()?;
    let row = BranchRow {
        key,
        namespace: c.parse()?,
        service: c.parse()?,
        state: c.word(words::state)?,
        attempts: c.get()?,
        due: c.time_option()?,
        created_at: c.time()?,
        done_at: c.time_option()?,
        parked: c.get::<Option<String>>()?.map(ParkReason::new),
        holder: c.holder()?,
        token: c.token()?,
    };
    words::validate(&row)?;
    Ok(row)
}
