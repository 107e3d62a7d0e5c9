//! Targets that have work, who holds it, letting go of it and taking it.
//!
//! Every statement here jumps from one entry of an index to the next that differs, or seeks in it: what is found costs
//! as much as there are targets and holders, however much work there is.

use earnest_protocol::Timestamp;
use sqlx::{PgConnection, postgres::PgRow};

use super::error::Context;
use crate::{
    StoreError, Target,
    claiming::{Held, Kind, Take, names},
    sql::{
        branch,
        column::{FORMAT, limit},
        delivery, transaction,
    },
};

/// The statements of one kind of work.
struct Queue {
    /// Each (namespace, name, holder) that has work, due or not.
    held: &'static str,
    /// Frees what (namespace $1, name $2, holder $3) hold; rows that somebody else is writing are left for later.
    free: &'static str,
    /// The first time after $3 at which something free of targets ($1, $2) is due.
    later: &'static str,
    /// Leases to epoch $1 what is free of targets ($3, $4) and due at $2, the longest due first, at most $5 of each. What a
    /// newer version has written (format above $6) is left to those who understand it.
    take: &'static str,
}

fn queue(kind: Kind) -> &'static Queue {
    match kind {
        Kind::CheckBacks => &CHECK_BACKS,
        Kind::Deliveries => &DELIVERIES,
        Kind::Branches => &BRANCHES,
    }
}

/// Jumps through an index by its first three columns. A list of its own for each jump, so that the planner seeks. Backwards:
/// while an old snapshot is held open, what is settled stays in the index as dead entries, and these are the ones that were
/// due first; the last one of a target is the likeliest to live.
macro_rules! held {
    ($table:literal, $name:literal, $owed:literal) => {
        concat!(
            "WITH RECURSIVE held (namespace, name, holder) AS ((SELECT namespace, ",
            $name,
            ", holder FROM ",
            $table,
            " WHERE ",
            $owed,
            " ORDER BY namespace DESC, ",
            $name,
            " DESC, holder DESC LIMIT 1) UNION ALL SELECT next.* FROM held h CROSS JOIN LATERAL (SELECT namespace, ",
            $name,
            ", holder FROM ",
            $table,
            " WHERE ",
            $owed,
            " AND (namespace, ",
            $name,
            ", holder) < (h.namespace, h.name, h.holder) ORDER BY namespace DESC, ",
            $name,
            " DESC, holder DESC LIMIT 1) next) SELECT namespace, name, holder FROM held"
        )
    };
}

static CHECK_BACKS: Queue = Queue {
    held: held!("transactions", "initiator", "check_due IS NOT NULL"),
    free: "UPDATE transactions SET holder = -1, revision = revision + 1 WHERE id IN (SELECT w.id \
         FROM unnest($1::text[], $2::text[], $3::bigint[]) AS k (a, b, c) CROSS JOIN LATERAL \
         (SELECT id FROM transactions WHERE check_due IS NOT NULL AND namespace = k.a AND initiator = k.b \
         AND holder = k.c FOR UPDATE SKIP LOCKED) w)",
    later: "SELECT min(w.due) FROM unnest($1::text[], $2::text[]) AS k (a, b) CROSS JOIN LATERAL \
         (SELECT check_due AS due FROM transactions WHERE check_due IS NOT NULL AND namespace = k.a \
         AND initiator = k.b AND holder = -1 AND check_due > $3 ORDER BY check_due LIMIT 1) w",
    take: concat!(
        "UPDATE transactions SET holder = $1, token = token + 1, revision = revision + 1 WHERE id IN (SELECT w.id \
         FROM unnest($3::text[], $4::text[], $5::bigint[]) AS k (a, b, wanted) CROSS JOIN LATERAL \
         (SELECT id FROM transactions WHERE check_due IS NOT NULL AND namespace = k.a AND initiator = k.b \
         AND holder = -1 AND check_due <= $2 AND format <= $6 ORDER BY check_due LIMIT k.wanted FOR UPDATE SKIP LOCKED) w) RETURNING ",
        transaction::columns!()
    ),
};

static DELIVERIES: Queue = Queue {
    held: held!("deliveries", "subscription", "done_at IS NULL"),
    free: "UPDATE deliveries SET holder = -1 WHERE (transaction_id, ordinal, subscription) IN \
         (SELECT w.transaction_id, w.ordinal, w.subscription \
         FROM unnest($1::text[], $2::text[], $3::bigint[]) AS k (a, b, c) CROSS JOIN LATERAL \
         (SELECT transaction_id, ordinal, subscription FROM deliveries WHERE done_at IS NULL AND namespace = k.a \
         AND subscription = k.b AND holder = k.c FOR UPDATE SKIP LOCKED) w)",
    later: "SELECT min(w.due) FROM unnest($1::text[], $2::text[]) AS k (a, b) CROSS JOIN LATERAL \
         (SELECT due FROM deliveries WHERE done_at IS NULL AND namespace = k.a AND subscription = k.b \
         AND holder = -1 AND due > $3 ORDER BY due LIMIT 1) w",
    take: concat!(
        "UPDATE deliveries SET holder = $1, token = token + 1 WHERE (transaction_id, ordinal, subscription) IN \
         (SELECT w.transaction_id, w.ordinal, w.subscription \
         FROM unnest($3::text[], $4::text[], $5::bigint[]) AS k (a, b, wanted) CROSS JOIN LATERAL \
         (SELECT transaction_id, ordinal, subscription FROM deliveries WHERE done_at IS NULL AND namespace = k.a \
         AND subscription = k.b AND holder = -1 AND due <= $2 AND format <= $6 ORDER BY due LIMIT k.wanted FOR UPDATE SKIP LOCKED) w) \
         RETURNING ",
        delivery::columns!()
    ),
};

static BRANCHES: Queue = Queue {
    held: held!("branches", "service", "due IS NOT NULL"),
    free: "UPDATE branches SET holder = -1 WHERE (transaction_id, ordinal) IN (SELECT w.transaction_id, w.ordinal \
         FROM unnest($1::text[], $2::text[], $3::bigint[]) AS k (a, b, c) CROSS JOIN LATERAL \
         (SELECT transaction_id, ordinal FROM branches WHERE due IS NOT NULL AND namespace = k.a AND service = k.b \
         AND holder = k.c FOR UPDATE SKIP LOCKED) w)",
    later: "SELECT min(w.due) FROM unnest($1::text[], $2::text[]) AS k (a, b) CROSS JOIN LATERAL \
         (SELECT due FROM branches WHERE due IS NOT NULL AND namespace = k.a AND service = k.b \
         AND holder = -1 AND due > $3 ORDER BY due LIMIT 1) w",
    take: concat!(
        "UPDATE branches SET holder = $1, token = token + 1 WHERE (transaction_id, ordinal) IN \
         (SELECT w.transaction_id, w.ordinal FROM unnest($3::text[], $4::text[], $5::bigint[]) AS k (a, b, wanted) \
         CROSS JOIN LATERAL (SELECT transaction_id, ordinal FROM branches WHERE due IS NOT NULL AND namespace = k.a \
         AND service = k.b AND holder = -1 AND due <= $2 AND format <= $6 ORDER BY due LIMIT k.wanted \
         FOR UPDATE SKIP LOCKED) w) RETURNING ",
        branch::columns!()
    ),
};

pub(super) async fn held(db: &mut PgConnection, kind: Kind) -> Result<Vec<Held>, StoreError> {
    let rows: Vec<(String, String, i64)> = sqlx::query_as(queue(kind).held)
        .fetch_all(db)
        .await
        .context("find targets with work")?;
    let held = |(namespace, name, holder)| Held {
        namespace,
        name,
        holder,
    };
    Ok(rows.into_iter().rev().map(held).collect())
}

pub(super) async fn free(
    db: &mut PgConnection,
    kind: Kind,
    held: &[Held],
) -> Result<(), StoreError> {
    let namespaces: Vec<&str> = held.iter().map(|held| held.namespace.as_str()).collect();
    let names: Vec<&str> = held.iter().map(|held| held.name.as_str()).collect();
    let holders: Vec<i64> = held.iter().map(|held| held.holder).collect();
    let freed = sqlx::query(queue(kind).free)
        .bind(namespaces)
        .bind(names)
        .bind(holders)
        .execute(db)
        .await
        .context("free leases")?
        .rows_affected();
    tracing::debug!(freed, "leases were freed");
    Ok(())
}

pub(super) async fn later(
    db: &mut PgConnection,
    kind: Kind,
    targets: &[&Target],
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let (namespaces, names): (Vec<&str>, Vec<&str>) =
        targets.iter().map(|target| names(target)).unzip();
    let due: Option<i64> = sqlx::query_scalar(queue(kind).later)
        .bind(namespaces)
        .bind(names)
        .bind(now.as_micros())
        .fetch_one(db)
        .await
        .context("find what is due next")?;
    Ok(due.map(Timestamp::from_micros))
}

pub(super) async fn take(
    db: &mut PgConnection,
    kind: Kind,
    take: &Take<'_>,
) -> Result<Vec<PgRow>, StoreError> {
    let (namespaces, names): (Vec<&str>, Vec<&str>) =
        take.of.iter().map(|(target, _)| names(target)).unzip();
    let wanted: Vec<i64> = take.of.iter().map(|(_, wanted)| limit(*wanted)).collect();
    sqlx::query(queue(kind).take)
        .bind(take.epoch.0)
        .bind(take.now.as_micros())
        .bind(namespaces)
        .bind(names)
        .bind(wanted)
        .bind(FORMAT)
        .fetch_all(db)
        .await
        .context("lease due work")
}
