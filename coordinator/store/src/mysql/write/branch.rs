//! Branches, and what they say.

use earnest_protocol::{ParkReason, Timestamp};
use sqlx::MySqlConnection;

use super::{
    super::{
        error::Failure,
        rows::{ROWS, Row, Sql, table, values},
    },
    exactly, parts,
};
use crate::{
    BranchRow,
    sql::{
        branch,
        column::{FORMAT, holder},
    },
    working_set::Writes,
};

const INSERT_BRANCHES: &str = concat!(
    "INSERT INTO branches (",
    branch::columns!(),
    ", is_due) VALUES "
);
const INSERT_BRANCH_CONTENTS: &str = concat!(
    "INSERT INTO branch_contents (",
    branch::content_columns!(),
    ") VALUES "
);
const STEP_BRANCHES: &str = " v STRAIGHT_JOIN branches b FORCE INDEX (PRIMARY) \
     ON b.transaction_id = v.id AND b.ordinal = v.ordinal \
     SET b.state = v.state, b.attempts = v.attempts, b.due = v.due, b.done_at = v.done_at, b.parked = v.parked, \
     b.holder = v.holder, b.token = v.token, b.is_due = v.is_due \
     WHERE b.token = v.was_token AND b.state = v.was_state";

pub(super) async fn branches(
    db: &mut MySqlConnection,
    writes: &Writes<'_>,
    packet: usize,
) -> Result<(), Failure> {
    let new = &writes.new_branches;
    for rows in new.chunks(ROWS) {
        let mut sql = Sql::new(INSERT_BRANCHES);
        values(&mut sql, rows, |row, (r, _)| {
            let row = row
                .branch(&r.key)
                .int(FORMAT)
                .bytes(r.namespace.as_str().as_bytes())
                .bytes(r.service.as_str().as_bytes())
                .int(branch::state_number(r.state))
                .int(i64::from(r.attempts))
                .int(r.due.map(Timestamp::as_micros))
                .int(r.created_at.as_micros());
            end_of_branch(row, r)
        });
        exactly(db, sql, "new branches", rows.len()).await?;
    }
    let sizes = new.iter().map(|(_, content)| {
        content.payload.len() + content.resource_id.len() + content.content_type.len() + 1_024
    });
    for part in parts(sizes, packet)? {
        let rows = &new[part];
        let mut sql = Sql::new(INSERT_BRANCH_CONTENTS);
        values(&mut sql, rows, |row, (r, content)| {
            row.branch(&r.key)
                .bytes(content.action.as_str().as_bytes())
                .text(content.resource_id.as_str())
                .text(content.content_type.as_str())
                .bytes(content.payload.as_ref())
        });
        exactly(db, sql, "what new branches say", rows.len()).await?;
    }
    for rows in writes.branches.chunks(ROWS) {
        let names = [
            "id",
            "ordinal",
            "was_token",
            "was_state",
            "state",
            "attempts",
            "due",
            "done_at",
            "parked",
            "holder",
            "token",
            "is_due",
        ];
        let mut sql = Sql::new("UPDATE ");
        table(&mut sql, &names, rows, |row, (was, r)| {
            let row = row
                .branch(&r.key)
                .int(was.token.0)
                .int(branch::state_number(was.state))
                .int(branch::state_number(r.state))
                .int(i64::from(r.attempts))
                .int(r.due.map(Timestamp::as_micros));
            end_of_branch(row, r)
        });
        sql.push(STEP_BRANCHES);
        exactly(db, sql, "branches", rows.len()).await?;
    }
    Ok(())
}

/// From `done_at` to `is_due`.
fn end_of_branch<'a>(row: Row<'a>, r: &BranchRow) -> Row<'a> {
    row.int(r.done_at.map(Timestamp::as_micros))
        .text(r.parked.as_ref().map(ParkReason::as_str))
        .int(holder(r.holder))
        .int(r.token.0)
        .int(i64::from(r.due.is_some()))
}
