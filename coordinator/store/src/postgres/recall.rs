//! What was acknowledged, and whether it is still there.

use async_trait::async_trait;
use sqlx::PgConnection;

use super::{
    PostgresStore,
    connection::within,
    error::Context,
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
const LINE: &str =
    "SELECT batches FROM lines WHERE incarnation = $1 AND line = $2 ORDER BY batches DESC LIMIT 1";
const LOSSES: &str = concat!(
    "SELECT ",
    loss_columns!(),
    " FROM losses ORDER BY incarnation, line"
);

/// The incarnation, and how far line `$2` is in it, as columns of the statement that reads the time.
macro_rules! found {
    () => {
        "(SELECT value FROM meta WHERE name = 'incarnation'), (SELECT batches FROM lines WHERE incarnation = \
         coalesce((SELECT value FROM meta WHERE name = 'incarnation'), 1) AND line = $2 ORDER BY batches DESC LIMIT 1)"
    };
}
pub(super) use found;
const _: () = assert!(FIRST_INCARNATION == 1);

async fn find(db: &mut PgConnection, line: i64) -> Result<Found, StoreError> {
    let context = "read how far a line is";
    let incarnation = sqlx::query_scalar(INCARNATION)
        .fetch_optional(&mut *db)
        .await
        .context(context)?
        .unwrap_or(FIRST_INCARNATION);
    let batches = sqlx::query_scalar(LINE)
        .bind(incarnation)
        .bind(line)
        .fetch_optional(db)
        .await
        .context(context)?;
    Ok(Found {
        incarnation,
        batches,
    })
}

async fn losses(db: &mut PgConnection) -> Result<Vec<LossRow>, StoreError> {
    let rows = sqlx::query(LOSSES)
        .fetch_all(db)
        .await
        .context("read what is known to be lost")?;
    read_rows("losses", &rows, loss)
}

async fn report(
    db: &mut PgConnection,
    time: &TimeSource,
    mark: &Mark,
    node: &str,
) -> Result<Option<LossRow>, StoreError> {
    const REPORT: &str = concat!(
        "INSERT INTO losses AS l (incarnation, line, batches, at, found, kept_until, noticed_at, noticed_by) \
         VALUES ($2, $3, $4, $5, $6, (SELECT max(at) FROM lines WHERE at <= $5), ",
        now!(),
        ", $7) ON CONFLICT (incarnation, line) DO UPDATE SET batches = excluded.batches, at = excluded.at, \
         found = excluded.found, kept_until = excluded.kept_until, noticed_at = excluded.noticed_at, \
         noticed_by = excluded.noticed_by WHERE excluded.batches > l.batches"
    );
    let found = find(db, mark.line).await?;
    let Some(loss) = mark.missing(found.incarnation, found.batches) else {
        return Ok(None);
    };
    sqlx::query(REPORT)
        .bind(time.bind())
        .bind(mark.incarnation)
        .bind(mark.line)
        .bind(mark.batches)
        .bind(mark.at.as_micros())
        .bind(loss.found)
        .bind(node)
        .execute(&mut *db)
        .await
        .context("record what is lost")?;
    let of = |row: &LossRow| row.loss.acknowledged.line == mark.line;
    Ok(losses(db).await?.into_iter().rfind(of))
}

async fn accept(
    db: &mut PgConnection,
    time: &TimeSource,
    actor: &str,
    reason: &str,
) -> Result<Vec<LossRow>, StoreError> {
    const BEGIN: &str = "INSERT INTO meta (name, value) VALUES ('incarnation', $1) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    const AUDIT: &str = concat!(
        "INSERT INTO audit (at, actor, action, detail) VALUES (",
        now!(),
        ", $2, $3, $4)"
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
    let to = mark::next_incarnation(find(db, 0).await?.incarnation, &losses);
    sqlx::query(BEGIN)
        .bind(to)
        .execute(&mut *db)
        .await
        .context(context)?;
    for sql in ["DELETE FROM lines", "DELETE FROM losses"] {
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
impl RecallStore for PostgresStore {
    async fn recall(&self, lines: &[i64]) -> Result<Recall, StoreError> {
        const BATCHES: &str = "SELECT line, max(batches) FROM lines WHERE incarnation = $1 AND line = ANY($2) GROUP BY line";
        let context = "recall";
        // One snapshot: an acceptance in between must not look like a loss.
        let mut reading = self
            .readers
            .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .await
            .context(context)?;
        let incarnation = sqlx::query_scalar(INCARNATION)
            .fetch_optional(&mut *reading)
            .await
            .context(context)?
            .unwrap_or(FIRST_INCARNATION);
        let known: Vec<(i64, i64)> = sqlx::query_as(BATCHES)
            .bind(incarnation)
            .bind(lines)
            .fetch_all(&mut *reading)
            .await
            .context(context)?;
        let losses = losses(&mut reading).await?;
        let format: Option<i16> = sqlx::query_scalar(concat!(
            "SELECT min(format) FROM nodes WHERE expires_at >= ",
            now!()
        ))
        .bind(self.time.bind())
        .fetch_one(&mut *reading)
        .await
        .context(context)?;
        reading.rollback().await.context(context)?;
        Ok(Recall {
            incarnation,
            lines: known.into_iter().collect(),
            losses,
            format: format.map_or(FORMAT, i64::from).min(FORMAT),
        })
    }

    async fn report_loss(&self, mark: &Mark, node: &str) -> Result<Option<LossRow>, StoreError> {
        let name = "report a loss";
        let mut transaction = self.writers.begin(name).await?;
        let work = report(&mut transaction, &self.time, mark, node);
        let row = within(name, work).await?;
        transaction.commit().await?;
        Ok(row)
    }

    async fn accept_losses(&self, actor: &str, reason: &str) -> Result<Vec<LossRow>, StoreError> {
        let name = "accept losses";
        let mut transaction = self.writers.begin(name).await?;
        let work = accept(&mut transaction, &self.time, actor, reason);
        let losses = within(name, work).await?;
        transaction.commit().await?;
        Ok(losses)
    }
}
