//! What was acknowledged, and whether it is still there.

use std::collections::HashMap;

use async_trait::async_trait;
use earnest_protocol::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{SqliteStore, error::Context, record};
use crate::{
    AuditRow, Line, Loss, LossRow, Mark, Recall, RecallStore, StoreError,
    mark::{self, FIRST_INCARNATION, Found},
    sql::column::FORMAT,
};

const INCARNATION: &str = "SELECT value FROM meta WHERE name = 'incarnation'";
const BEGIN: &str = "INSERT INTO meta (name, value) VALUES ('incarnation', ?1) \
     ON CONFLICT (name) DO UPDATE SET value = excluded.value";
const LINE: &str = "SELECT batches FROM lines WHERE incarnation = ?1 AND line = ?2";
const ADVANCE: &str = "INSERT INTO lines (incarnation, line, batches, at) VALUES (?1, ?2, ?3, ?4) \
     ON CONFLICT (incarnation, line) DO UPDATE SET batches = excluded.batches, at = excluded.at";
const LOSSES: &str = "SELECT incarnation, line, batches, at, found, kept_until, noticed_at, noticed_by \
     FROM losses ORDER BY incarnation, line";
const REPORT: &str = "INSERT INTO losses (incarnation, line, batches, at, found, kept_until, noticed_at, noticed_by) \
     VALUES (?1, ?2, ?3, ?4, ?5, (SELECT max(at) FROM lines WHERE at <= ?4), ?6, ?7) \
     ON CONFLICT (incarnation, line) DO UPDATE SET batches = excluded.batches, at = excluded.at, \
     found = excluded.found, kept_until = excluded.kept_until, noticed_at = excluded.noticed_at, \
     noticed_by = excluded.noticed_by WHERE excluded.batches > batches";

/// Where a line stands.
pub(super) fn find(db: &Connection, line: i64) -> Result<Found, StoreError> {
    let context = "read how far a line is";
    let incarnation = db
        .prepare_cached(INCARNATION)
        .context(context)?
        .query_row([], |row| row.get(0))
        .optional()
        .context(context)?
        .unwrap_or(FIRST_INCARNATION);
    let batches = db
        .prepare_cached(LINE)
        .context(context)?
        .query_row([incarnation, line], |row| row.get(0))
        .optional()
        .context(context)?;
    Ok(Found {
        incarnation,
        batches,
    })
}

/// Writes that a line has come further.
pub(super) fn advance(
    db: &Connection,
    line: &Line,
    found: Found,
    now: Timestamp,
) -> Result<Mark, StoreError> {
    let context = "advance a line";
    let to = line.next(found, now);
    db.prepare_cached(ADVANCE)
        .context(context)?
        .execute([to.incarnation, to.line, to.batches, to.at.as_micros()])
        .context(context)?;
    Ok(to)
}

fn losses(db: &Connection) -> Result<Vec<LossRow>, StoreError> {
    let context = "read what is known to be lost";
    let mut statement = db.prepare_cached(LOSSES).context(context)?;
    let rows = statement.query_map([], loss).context(context)?;
    rows.collect::<Result<_, _>>().context(context)
}

fn loss(row: &Row<'_>) -> rusqlite::Result<LossRow> {
    Ok(LossRow {
        loss: Loss {
            acknowledged: Mark {
                incarnation: row.get(0)?,
                line: row.get(1)?,
                batches: row.get(2)?,
                at: Timestamp::from_micros(row.get(3)?),
            },
            found: row.get(4)?,
        },
        kept_until: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_micros),
        noticed_at: Timestamp::from_micros(row.get(6)?),
        noticed_by: row.get(7)?,
    })
}

#[async_trait]
impl RecallStore for SqliteStore {
    async fn recall(&self, lines: &[i64]) -> Result<Recall, StoreError> {
        let lines = lines.to_vec();
        // Where the batches are written: a file that was put in the place of the open one must not answer for it.
        self.writer
            .look("recall", move |db| {
                let mut known = HashMap::new();
                for line in lines {
                    known.extend(find(db, line)?.batches.map(|batches| (line, batches)));
                }
                Ok(Recall {
                    incarnation: find(db, 0)?.incarnation,
                    lines: known,
                    losses: losses(db)?,
                    // One process alone has the file.
                    format: FORMAT,
                })
            })
            .await
    }

    async fn report_loss(&self, mark: &Mark, node: &str) -> Result<Option<LossRow>, StoreError> {
        let (mark, node) = (*mark, node.to_owned());
        self.writer
            .run("report a loss", move |db, now| {
                let found = find(db, mark.line)?;
                let Some(loss) = mark.missing(found.incarnation, found.batches) else {
                    return Ok(None);
                };
                let context = "record what is lost";
                let values = params![
                    mark.incarnation,
                    mark.line,
                    mark.batches,
                    mark.at.as_micros(),
                    loss.found,
                    now.as_micros(),
                    node
                ];
                db.prepare_cached(REPORT)
                    .context(context)?
                    .execute(values)
                    .context(context)?;
                let of = |row: &LossRow| row.loss.acknowledged.line == mark.line;
                Ok(losses(db)?.into_iter().rfind(of))
            })
            .await
    }

    async fn accept_losses(&self, actor: &str, reason: &str) -> Result<Vec<LossRow>, StoreError> {
        let (actor, reason) = (actor.to_owned(), reason.to_owned());
        self.writer
            .run("accept losses", move |db, now| {
                let context = "accept what is lost";
                let losses = losses(db)?;
                if losses.is_empty() {
                    return Ok(losses);
                }
                let to = mark::next_incarnation(find(db, 0)?.incarnation, &losses);
                db.prepare_cached(BEGIN)
                    .context(context)?
                    .execute([to])
                    .context(context)?;
                db.execute_batch("DELETE FROM lines; DELETE FROM losses")
                    .context(context)?;
                let line = AuditRow {
                    at: now,
                    actor,
                    action: mark::ACCEPTED.to_owned(),
                    transaction: None,
                    detail: mark::accepted(&reason, to, &losses),
                };
                record::insert_audit(db, &line)?;
                Ok(losses)
            })
            .await
    }
}
