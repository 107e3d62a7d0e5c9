//! What was acknowledged, and whether it is still there.

use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::MySqlConnection;

use super::{
    MySqlStore,
    connection::transact,
    error::Context,
    rows::{Sql, keys},
    time::{TimeSource, now},
};
use crate::{
    LossRow, Mark, Recall, RecallStore, StoreError,
    mark::{self, FIRST_INCARNATION, Found},
    sql::{
        column::{FORMAT, read_rows},
        recall::{loss, loss_columns},
    },
};

const INCARNATION: &str = "SELECT value FROM meta WHERE name = 'incarnation'";
const LOSSES: &str = concat!(
    "SELECT ",
    loss_columns!(),
    " FROM losses ORDER BY incarnation, line"
);

/// The incarnation, and how far a line is in it, as columns of the statement that reads the time.
macro_rules! found {
    () => {
        "(SELECT value FROM meta WHERE name = 'incarnation'), (SELECT batches FROM `lines` WHERE incarnation = \
         COALESCE((SELECT value FROM meta WHERE name = 'incarnation'), 1) AND line = ?)"
    };
}
pub(super) use found;
const _: () = assert!(FIRST_INCARNATION == 1);

async fn incarnation(db: &mut MySqlConnection) -> Result<i64, StoreError> {
    let found = sqlx::query_scalar(INCARNATION).fetch_optional(db).await;
    let found = found.context("read the incarnation")?;
    Ok(found.unwrap_or(FIRST_INCARNATION))
}

async fn find(db: &mut MySqlConnection, line: i64) -> Result<Found, StoreError> {
    let incarnation = incarnation(db).await?;
    let batches =
        sqlx::query_scalar("SELECT batches FROM `lines` WHERE incarnation = ? AND line = ?")
            .bind(incarnation)
            .bind(line)
            .fetch_optional(db)
            .await
            .context("read how far a line is")?;
    Ok(Found {
        incarnation,
        batches,
    })
}

async fn losses(db: &mut MySqlConnection) -> Result<Vec<LossRow>, StoreError> {
    let rows = sqlx::query(LOSSES)
        .fetch_all(db)
        .await
        .context("read what is known to be lost")?;
    read_rows("losses", &rows, loss)
}

async fn report(
    db: &mut MySqlConnection,
    time: &TimeSource,
    mark: &Mark,
    node: &str,
) -> Result<Option<LossRow>, StoreError> {
    // Assigned from left to right: `batches`, which all the others look at, comes last.
    const REPORT: &str = concat!(
        "INSERT INTO losses (",
        loss_columns!(),
        ") VALUES (?, ?, ?, ?, ?, (SELECT MAX(at) FROM `lines` WHERE at <= ?), ",
        now!(),
        ", ?) ON DUPLICATE KEY UPDATE at = IF(VALUES(batches) > batches, VALUES(at), at), \
         found = IF(VALUES(batches) > batches, VALUES(found), found), \
         kept_until = IF(VALUES(batches) > batches, VALUES(kept_until), kept_until), \
         noticed_at = IF(VALUES(batches) > batches, VALUES(noticed_at), noticed_at), \
         noticed_by = IF(VALUES(batches) > batches, VALUES(noticed_by), noticed_by), \
         batches = GREATEST(batches, VALUES(batches))"
    );
    let found = find(db, mark.line).await?;
    let Some(loss) = mark.missing(found.incarnation, found.batches) else {
        return Ok(None);
    };
    sqlx::query(REPORT)
        .bind(mark.incarnation)
        .bind(mark.line)
        .bind(mark.batches)
        .bind(mark.at.as_micros())
        .bind(loss.found)
        .bind(mark.at.as_micros())
        .bind(time.bind())
        .bind(node)
        .execute(&mut *db)
        .await
        .context("record what is lost")?;
    let of = |row: &LossRow| row.loss.acknowledged.line == mark.line;
    Ok(losses(db).await?.into_iter().rfind(of))
}

async fn accept(
    db: &mut MySqlConnection,
    time: &TimeSource,
    actor: &str,
    reason: &str,
) -> Result<Vec<LossRow>, StoreError> {
    const BEGIN: &str = "INSERT INTO meta (name, value) VALUES ('incarnation', ?) \
         ON DUPLICATE KEY UPDATE value = VALUES(value)";
    const AUDIT: &str = concat!(
        "INSERT INTO audit (at, actor, action, detail) VALUES (",
        now!(),
        ", ?, ?, ?)"
    );
    let context = "accept what is lost";
    // Of two who accept at the same moment the second finds nothing left.
    sqlx::query("SELECT 1 FROM losses ORDER BY incarnation, line FOR UPDATE")
        .fetch_all(&mut *db)
        .await
        .context(context)?;
    let losses = losses(db).await?;
    if losses.is_empty() {
        return Ok(losses);
    }
    let to = mark::next_incarnation(incarnation(db).await?, &losses);
    sqlx::query(BEGIN)
        .bind(to)
        .execute(&mut *db)
        .await
        .context(context)?;
    for sql in ["DELETE FROM `lines`", "DELETE FROM losses"] {
        sqlx::query(sql).execute(&mut *db).await.context(context)?;
    }
    sqlx::query(AUDIT)
        .bind(time.bind())
        .bind(actor)
        .bind(mark::ACCEPTED)
        .bind(mark::accepted(reason, to, &losses))
        .execute(db)
        .await
        .context(context)?;
    Ok(losses)
}

#[async_trait]
impl RecallStore for MySqlStore {
    async fn recall(&self, lines: &[i64]) -> Result<Recall, StoreError> {
        let context = "recall";
        // One snapshot: an acceptance in between must not look like a loss.
        let mut reading = self
            .readers
            .begin_with("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            .await
            .context(context)?;
        let incarnation = incarnation(&mut reading).await?;
        let mut known: HashMap<i64, i64> = HashMap::new();
        if !lines.is_empty() {
            let mut sql = Sql::new("SELECT line, batches FROM `lines` WHERE incarnation = ");
            sql.push_bind(incarnation).push(" AND line IN ");
            keys(&mut sql, lines, |row, line| row.int(*line));
            let rows = sql
                .build()
                .fetch_all(&mut *reading)
                .await
                .context(context)?;
            let pairs: Vec<(i64, i64)> =
                read_rows("lines", &rows, |mut c| Ok((c.int()?, c.int()?)))?;
            known.extend(pairs);
        }
        let losses = losses(&mut reading).await?;
        let format: Option<i16> = sqlx::query_scalar(concat!(
            "SELECT MIN(format) FROM nodes WHERE expires_at >= ",
            now!()
        ))
        .bind(self.time.bind())
        .fetch_one(&mut *reading)
        .await
        .context(context)?;
        reading.rollback().await.context(context)?;
        Ok(Recall {
            incarnation,
            lines: known,
            losses,
            format: format.map_or(FORMAT, i64::from).min(FORMAT),
        })
    }

    async fn report_loss(&self, mark: &Mark, node: &str) -> Result<Option<LossRow>, StoreError> {
        transact!(self.writers, "report a loss", |db| {
            Ok(report(db, &self.time, mark, node).await?)
        })
    }

    async fn accept_losses(&self, actor: &str, reason: &str) -> Result<Vec<LossRow>, StoreError> {
        transact!(self.writers, "accept losses", |db| {
            Ok(accept(db, &self.time, actor, reason).await?)
        })
    }
}
