//! Targets that have work, who holds it, letting go of it and taking it.
//!
//! Every statement here seeks in an index that begins with what is owed, or jumps from one group of it to the next: what is found
//! costs as much as there are targets and holders, however much work there is.

use earnest_protocol::Timestamp;
use sqlx::{AssertSqlSafe, MySqlConnection, Row, mysql::MySqlRow};

use super::{
    error::Context,
    rows::{ROWS, Sql, keys, padded},
};
use crate::{
    StoreError, Target,
    claiming::{Held, Kind, Take, names},
    planted::planted,
    sql::{
        branch,
        column::{Cells, FORMAT, FREE, limit, read_rows},
        delivery, transaction,
    },
};

/// Targets that one statement asks about: it has a part for each.
const PARTS: usize = 64;

/// The statements of one kind of work.
struct Queue {
    /// Each (namespace, name, holder) that has work, due or not.
    held: &'static str,
    /// Keys of what is held by (namespace, name, holder), at most so many; rows that somebody else is writing are passed over.
    of_holder: &'static str,
    /// The first time after (the fourth) at which something free of (namespace, name) is due.
    later: &'static str,
    /// Keys of what is free and due of (namespace, name), the longest due first, at most so many, locked. What a newer version
    /// has written is left to those who understand it.
    due: &'static str,
    /// Gives rows another holder, by their keys.
    hold: &'static str,
    /// The same under a new token.
    lease: &'static str,
    /// Reads rows by their keys.
    read: &'static str,
    by_key: &'static str,
}

fn queue(kind: Kind) -> &'static Queue {
    match kind {
        Kind::CheckBacks => &CHECK_BACKS,
        Kind::Deliveries => &DELIVERIES,
        Kind::Branches => &BRANCHES,
    }
}

const _: () = assert!(FREE == -1);

static CHECK_BACKS: Queue = Queue {
    held: "SELECT namespace, initiator, holder FROM transactions FORCE INDEX (transactions_due) WHERE phase = 1 \
         GROUP BY phase, namespace, initiator, holder HAVING MAX(check_due) IS NOT NULL OR holder <> -1 \
         ORDER BY phase, namespace, initiator, holder",
    of_holder: "SELECT id FROM transactions FORCE INDEX (transactions_due) WHERE phase = 1 AND namespace = ? \
         AND initiator = ? AND holder = ? LIMIT ? FOR UPDATE SKIP LOCKED",
    later: "(SELECT check_due AS due FROM transactions FORCE INDEX (transactions_due) WHERE phase = 1 AND namespace = ? \
         AND initiator = ? AND holder = -1 AND check_due > ? ORDER BY check_due LIMIT 1)",
    due: "(SELECT id FROM transactions FORCE INDEX (transactions_due) WHERE phase = 1 AND namespace = ? \
         AND initiator = ? AND holder = -1 AND check_due <= ? AND format <= ? ORDER BY check_due LIMIT ? FOR UPDATE SKIP LOCKED)",
    hold: "UPDATE transactions FORCE INDEX (PRIMARY) SET revision = revision + 1, holder = ",
    lease: "UPDATE transactions FORCE INDEX (PRIMARY) SET revision = revision + 1, token = token + 1, holder = ",
    read: concat!(
        "SELECT ",
        transaction::columns!(),
        " FROM transactions FORCE INDEX (PRIMARY)"
    ),
    by_key: " WHERE id IN ",
};

static DELIVERIES: Queue = Queue {
    held: "SELECT namespace, subscription, holder FROM deliveries FORCE INDEX (deliveries_owed) WHERE state = 1 \
         GROUP BY state, namespace, subscription, holder HAVING MAX(due) IS NOT NULL OR holder <> -1 \
         ORDER BY state, namespace, subscription, holder",
    of_holder: "SELECT transaction_id, ordinal, subscription FROM deliveries FORCE INDEX (deliveries_owed) \
         WHERE state = 1 AND namespace = ? AND subscription = ? AND holder = ? LIMIT ? FOR UPDATE SKIP LOCKED",
    later: "(SELECT due FROM deliveries FORCE INDEX (deliveries_owed) WHERE state = 1 AND namespace = ? \
         AND subscription = ? AND holder = -1 AND due > ? ORDER BY due LIMIT 1)",
    due: "(SELECT transaction_id, ordinal, subscription FROM deliveries FORCE INDEX (deliveries_owed) WHERE state = 1 \
         AND namespace = ? AND subscription = ? AND holder = -1 AND due <= ? AND format <= ? ORDER BY due LIMIT ? FOR UPDATE SKIP LOCKED)",
    hold: "UPDATE deliveries FORCE INDEX (PRIMARY) SET holder = ",
    lease: "UPDATE deliveries FORCE INDEX (PRIMARY) SET token = token + 1, holder = ",
    read: concat!(
        "SELECT ",
        delivery::columns!(),
        " FROM deliveries FORCE INDEX (PRIMARY)"
    ),
    by_key: " WHERE (transaction_id, ordinal, subscription) IN ",
};

static BRANCHES: Queue = Queue {
    held: "SELECT namespace, service, holder FROM branches FORCE INDEX (branches_due) WHERE is_due = 1 \
         GROUP BY is_due, namespace, service, holder ORDER BY is_due, namespace, service, holder",
    of_holder: "SELECT transaction_id, ordinal FROM branches FORCE INDEX (branches_due) \
         WHERE is_due = 1 AND namespace = ? AND service = ? AND holder = ? LIMIT ? FOR UPDATE SKIP LOCKED",
    later: "(SELECT due FROM branches FORCE INDEX (branches_due) WHERE is_due = 1 AND namespace = ? \
         AND service = ? AND holder = -1 AND due > ? ORDER BY due LIMIT 1)",
    due: "(SELECT transaction_id, ordinal FROM branches FORCE INDEX (branches_due) WHERE is_due = 1 AND namespace = ? \
         AND service = ? AND holder = -1 AND due <= ? AND format <= ? ORDER BY due LIMIT ? FOR UPDATE SKIP LOCKED)",
    hold: "UPDATE branches FORCE INDEX (PRIMARY) SET holder = ",
    lease: "UPDATE branches FORCE INDEX (PRIMARY) SET token = token + 1, holder = ",
    read: concat!(
        "SELECT ",
        branch::columns!(),
        " FROM branches FORCE INDEX (PRIMARY)"
    ),
    by_key: " WHERE (transaction_id, ordinal) IN ",
};

/// What names a row: a transaction's id; of a branch also its place, and of a delivery that and its subscription.
struct Key {
    id: Vec<u8>,
    ordinal: Option<i64>,
    subscription: Option<Vec<u8>>,
}

impl Key {
    /// As it was read, whatever it is: a row that is damaged can be held and let go of like any other.
    fn of(row: &MySqlRow) -> Result<Self, StoreError> {
        let broken = |why| StoreError::Corrupt(format!("a key: {why}"));
        let bytes = |at| Ok(row.bytes(at).map_err(broken)?.unwrap_or_default().to_vec());
        let ordinal = || Ok(row.int(1).map_err(broken)?.unwrap_or_default());
        Ok(Self {
            id: bytes(0)?,
            ordinal: (row.len() > 1).then(ordinal).transpose()?,
            subscription: (row.len() > 2).then(|| bytes(2)).transpose()?,
        })
    }
}

fn by_key(sql: &mut Sql, queue: &Queue, rows: &[Key]) {
    sql.push(queue.by_key);
    keys(sql, rows, |row, key| {
        let row = row.bytes(&key.id[..]);
        let row = match key.ordinal {
            Some(ordinal) => row.int(ordinal),
            None => row,
        };
        match &key.subscription {
            Some(subscription) => row.bytes(&subscription[..]),
            None => row,
        }
    });
}

/// Gives `rows`, which are locked, to `holder`.
async fn give(
    db: &mut MySqlConnection,
    queue: &Queue,
    update: &str,
    rows: &[Key],
    holder: i64,
) -> Result<(), StoreError> {
    for rows in rows.chunks(ROWS) {
        let mut sql = Sql::new(update);
        sql.push_bind(holder);
        by_key(&mut sql, queue, rows);
        let given = sql.build().execute(&mut *db).await;
        given.context("give work another holder")?;
    }
    Ok(())
}

pub(super) async fn held(db: &mut MySqlConnection, kind: Kind) -> Result<Vec<Held>, StoreError> {
    let rows = sqlx::query(queue(kind).held)
        .fetch_all(db)
        .await
        .context("find targets with work")?;
    read_rows("held work", &rows, |mut c| {
        Ok(Held {
            namespace: c.text()?,
            name: c.text()?,
            holder: c.int()?,
        })
    })
}

/// Some at a time, so that a dead node's many rows don't make one huge statement.
pub(super) async fn free(
    db: &mut MySqlConnection,
    kind: Kind,
    held: &[Held],
) -> Result<(), StoreError> {
    let context = "free leases";
    let queue = queue(kind);
    for held in held {
        loop {
            let found = sqlx::query(queue.of_holder)
                .bind(held.namespace.as_bytes())
                .bind(held.name.as_bytes())
                .bind(held.holder)
                .bind(limit(ROWS))
                .fetch_all(&mut *db)
                .await
                .context(context)?;
            let rows: Vec<Key> = found.iter().map(Key::of).collect::<Result<_, _>>()?;
            give(db, queue, queue.hold, &rows, FREE).await?;
            tracing::debug!(freed = rows.len(), "leases were freed");
            if rows.len() < ROWS {
                break;
            }
        }
    }
    Ok(())
}

pub(super) async fn later(
    db: &mut MySqlConnection,
    kind: Kind,
    targets: &[&Target],
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let context = "find what is due next";
    let mut soonest = None;
    for targets in targets.chunks(PARTS) {
        let parts = vec![queue(kind).later; padded(targets).count()].join(" UNION ALL ");
        let mut query = sqlx::query(AssertSqlSafe(parts));
        for target in padded(targets) {
            let (namespace, name) = names(target);
            query = query
                .bind(namespace.as_bytes())
                .bind(name.as_bytes())
                .bind(now.as_micros());
        }
        let rows = query.fetch_all(&mut *db).await.context(context)?;
        let due = read_rows("due work", &rows, |mut c| c.time())?;
        soonest = soonest.into_iter().chain(due).min();
    }
    Ok(soonest)
}

/// Locks keys, gives them to the taker, and reads the rows as they are then. (RETURNING is MariaDB's alone, and not for an
/// UPDATE.)
pub(super) async fn take(
    db: &mut MySqlConnection,
    kind: Kind,
    take: &Take<'_>,
) -> Result<Vec<MySqlRow>, StoreError> {
    let context = "lease due work";
    let queue = queue(kind);
    let mut rows: Vec<Key> = Vec::new();
    for of in take.of.chunks(PARTS) {
        // Of a target that stands here twice no more than once is taken.
        let repeated = padded(of).count() - of.len();
        let wanted = of.iter().map(|(_, wanted)| limit(*wanted));
        let wanted = wanted.chain(std::iter::repeat_n(0, repeated));
        let parts = vec![queue.due; of.len() + repeated].join(" UNION ALL ");
        let mut query = sqlx::query(AssertSqlSafe(parts));
        for ((target, _), wanted) in padded(of).zip(wanted) {
            let (namespace, name) = names(target);
            query = query
                .bind(namespace.as_bytes())
                .bind(name.as_bytes())
                .bind(take.now.as_micros())
                .bind(FORMAT)
                .bind(wanted);
        }
        for row in &query.fetch_all(&mut *db).await.context(context)? {
            rows.push(Key::of(row)?);
        }
    }
    let lease = if planted!(MysqlClaimKeepsTheToken) {
        queue.hold
    } else {
        queue.lease
    };
    give(db, queue, lease, &rows, take.epoch.0).await?;
    let mut taken = Vec::new();
    for rows in rows.chunks(ROWS) {
        let mut sql = Sql::new(queue.read);
        by_key(&mut sql, queue, rows);
        taken.extend(sql.build().fetch_all(&mut *db).await.context(context)?);
    }
    Ok(taken)
}
