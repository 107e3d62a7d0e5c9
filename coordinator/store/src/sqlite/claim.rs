//! Claims: due work, leased in batches, bounded per target and shared fairly between targets.
//!
//! Every statement here seeks in one index and names it: what is due is found without reading what is not,
//! however much of either there is.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use earnest_protocol::{Name, NodeEpoch, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    branch,
    column::{limit, readable},
    delivery,
    error::Context,
    lease, message,
    rows::SqlRows,
    transaction,
};
use crate::{
    BranchRow, CheckBackWork, ClaimRequest, Claimed, DeliveryRow, StoreError, Target,
    TransactionRow, Work,
    engine::{Rows, branch_work, delivery_work},
    planted::planted,
};

/// The statements of one kind of work. Targets are (namespace, name).
pub(super) struct Queue {
    target: fn(Name, Name) -> Target,
    /// The next target after ?1, ?2.
    pub(super) next_target: &'static str,
    /// The next holder after ?3.
    pub(super) next_holder: &'static str,
    /// Frees what ?3 holds.
    pub(super) free: &'static str,
    /// Rows that are free and due at ?3, the longest due first, at most ?4.
    pub(super) due: &'static str,
    /// The first time after ?3 at which something free is due.
    pub(super) later: &'static str,
}

pub(super) static QUEUES: [Queue; 3] = [CHECK_BACKS, DELIVERIES, BRANCHES];

const CHECK_BACKS: Queue = Queue {
    target: Target::Initiator,
    next_target: "SELECT namespace, initiator FROM transactions INDEXED BY transactions_due \
         WHERE check_due IS NOT NULL AND (namespace, initiator) > (?1, ?2) ORDER BY namespace, initiator LIMIT 1",
    next_holder: "SELECT holder FROM transactions INDEXED BY transactions_due \
         WHERE check_due IS NOT NULL AND namespace = ?1 AND initiator = ?2 AND holder > ?3 ORDER BY holder LIMIT 1",
    free: "UPDATE transactions INDEXED BY transactions_due SET holder = NULL, revision = revision + 1 \
         WHERE check_due IS NOT NULL AND namespace = ?1 AND initiator = ?2 AND holder = ?3",
    due: concat!(
        "SELECT ",
        transaction::columns!(),
        " FROM transactions INDEXED BY transactions_due WHERE check_due IS NOT NULL AND namespace = ?1 \
         AND initiator = ?2 AND holder IS NULL AND check_due <= ?3 ORDER BY check_due LIMIT ?4"
    ),
    later: "SELECT check_due FROM transactions INDEXED BY transactions_due WHERE check_due IS NOT NULL \
         AND namespace = ?1 AND initiator = ?2 AND holder IS NULL AND check_due > ?3 ORDER BY check_due LIMIT 1",
};

const DELIVERIES: Queue = Queue {
    target: Target::Subscription,
    next_target: "SELECT namespace, subscription FROM deliveries INDEXED BY deliveries_owed \
         WHERE done_at IS NULL AND (namespace, subscription) > (?1, ?2) ORDER BY namespace, subscription LIMIT 1",
    next_holder: "SELECT holder FROM deliveries INDEXED BY deliveries_owed \
         WHERE done_at IS NULL AND namespace = ?1 AND subscription = ?2 AND holder > ?3 ORDER BY holder LIMIT 1",
    free: "UPDATE deliveries INDEXED BY deliveries_owed SET holder = NULL \
         WHERE done_at IS NULL AND namespace = ?1 AND subscription = ?2 AND holder = ?3",
    due: concat!(
        "SELECT ",
        delivery::columns!(),
        " FROM deliveries INDEXED BY deliveries_owed WHERE done_at IS NULL AND namespace = ?1 \
         AND subscription = ?2 AND holder IS NULL AND due <= ?3 ORDER BY due LIMIT ?4"
    ),
    later: "SELECT due FROM deliveries INDEXED BY deliveries_owed WHERE done_at IS NULL \
         AND namespace = ?1 AND subscription = ?2 AND holder IS NULL AND due > ?3 ORDER BY due LIMIT 1",
};

const BRANCHES: Queue = Queue {
    target: Target::Participant,
    next_target: "SELECT namespace, service FROM branches INDEXED BY branches_due \
         WHERE due IS NOT NULL AND (namespace, service) > (?1, ?2) ORDER BY namespace, service LIMIT 1",
    next_holder: "SELECT holder FROM branches INDEXED BY branches_due \
         WHERE due IS NOT NULL AND namespace = ?1 AND service = ?2 AND holder > ?3 ORDER BY holder LIMIT 1",
    free: "UPDATE branches INDEXED BY branches_due SET holder = NULL \
         WHERE due IS NOT NULL AND namespace = ?1 AND service = ?2 AND holder = ?3",
    due: concat!(
        "SELECT ",
        branch::columns!(),
        " FROM branches b INDEXED BY branches_due WHERE b.due IS NOT NULL AND b.namespace = ?1 \
         AND b.service = ?2 AND b.holder IS NULL AND b.due <= ?3 ORDER BY b.due LIMIT ?4"
    ),
    later: "SELECT due FROM branches INDEXED BY branches_due WHERE due IS NOT NULL \
         AND namespace = ?1 AND service = ?2 AND holder IS NULL AND due > ?3 ORDER BY due LIMIT 1",
};

impl Queue {
    /// Every target that has work, due or not, by name.
    pub(super) fn targets(&self, db: &Connection) -> Result<Vec<Target>, StoreError> {
        let context = "find targets with work";
        let mut statement = db.prepare_cached(self.next_target).context(context)?;
        let (mut namespace, mut name) = (String::new(), String::new());
        let mut targets = Vec::new();
        loop {
            let next = statement
                .query_row([&namespace, &name], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional();
            let Some(next) = next.context(context)? else {
                return Ok(targets);
            };
            (namespace, name) = next;
            if name.is_empty() {
                // Messages whose topic had no subscription: parked, all of them.
                continue;
            }
            match (namespace.parse(), name.parse()) {
                (Ok(namespace), Ok(name)) => targets.push((self.target)(namespace, name)),
                _ => {
                    return Err(StoreError::Corrupt(format!(
                        "work of `{namespace}`, `{name}`: not a name"
                    )));
                }
            }
        }
    }

    /// Lets go of what `epoch` holds. The tokens stay: only another claim makes them stale.
    pub(super) fn free(
        &self,
        db: &Connection,
        target: &Target,
        epoch: NodeEpoch,
    ) -> Result<(), StoreError> {
        let context = "free leases";
        let (namespace, name) = names(target);
        let values = params![namespace.as_str(), name.as_str(), epoch.0];
        let freed = db
            .prepare_cached(self.free)
            .context(context)?
            .execute(values)
            .context(context)?;
        if freed > 0 {
            tracing::debug!(%target, epoch = epoch.0, freed, "leases were freed");
        }
        Ok(())
    }

    /// Frees what no living node holds. (A node that is dead without knowing it may still lease what its own
    /// batches make due.)
    fn free_dead(
        &self,
        db: &Connection,
        target: &Target,
        alive: &HashSet<NodeEpoch>,
    ) -> Result<(), StoreError> {
        let context = "find leases of dead nodes";
        let (namespace, name) = names(target);
        let mut statement = db.prepare_cached(self.next_holder).context(context)?;
        let mut last = i64::MIN;
        loop {
            let values = params![namespace.as_str(), name.as_str(), last];
            let Some(holder) = statement
                .query_row(values, |row| row.get(0))
                .optional()
                .context(context)?
            else {
                return Ok(());
            };
            last = holder;
            if !alive.contains(&NodeEpoch(holder)) || planted!(SqliteClaimTakesWhatIsHeld) {
                self.free(db, target, NodeEpoch(holder))?;
            }
        }
    }

    fn later(
        &self,
        db: &Connection,
        target: &Target,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let context = "find what is due next";
        let (namespace, name) = names(target);
        let values = params![namespace.as_str(), name.as_str(), now.as_micros()];
        let due = db
            .prepare_cached(self.later)
            .context(context)?
            .query_row(values, |row| row.get(0))
            .optional();
        Ok(due.context(context)?.map(Timestamp::from_micros))
    }
}

fn names(target: &Target) -> (&Name, &Name) {
    match target {
        Target::Initiator(namespace, name)
        | Target::Subscription(namespace, name)
        | Target::Participant(namespace, name) => (namespace, name),
    }
}

/// A target that still has room, and perhaps work.
struct Hungry {
    queue: &'static Queue,
    target: Target,
    room: usize,
}

pub(super) fn claim(
    db: &Connection,
    request: &ClaimRequest,
    now: Timestamp,
    turn: &Arc<AtomicUsize>,
) -> Result<Claimed, StoreError> {
    let mut rows = SqlRows::new(db);
    let alive = lease::bury(db, now)?;
    // Whoever was taken for dead leases nothing: nobody would ever free it.
    let lives = alive.contains(&request.epoch);
    let mut hungry = Vec::new();
    let mut next_due: Option<Timestamp> = None;
    for queue in &QUEUES {
        for target in queue.targets(db)? {
            queue.free_dead(db, &target, &alive)?;
            if is_open(&mut rows, &target)? {
                next_due = next_due
                    .into_iter()
                    .chain(queue.later(db, &target, now)?)
                    .min();
                let room = request
                    .room
                    .get(&target)
                    .copied()
                    .unwrap_or(request.per_target);
                hungry.push(Hungry {
                    queue,
                    target,
                    room,
                });
            }
        }
    }
    hungry.retain(|target| lives && target.room > 0);
    if !hungry.is_empty() {
        let first = turn.load(Ordering::Relaxed) % hungry.len();
        hungry.rotate_left(first);
    }
    let mut claimed = Claimed {
        next_due: next_due.map(|due| due.since(now)),
        ..Claimed::default()
    };
    let mut left = request.total;
    while left > 0 && !hungry.is_empty() {
        // Each an equal share; what some don't need is shared among the others in the next round.
        let share = (left / hungry.len()).max(1);
        for target in &mut hungry {
            let asked = share.min(target.room).min(left);
            if asked == 0 {
                break;
            }
            let found = target.take(&mut rows, db, request.epoch, now, asked, &mut claimed)?;
            left -= found;
            target.room = if found < asked {
                0
            } else {
                target.room - found
            };
        }
        hungry.retain(|target| target.room > 0);
    }
    if left == 0 {
        // Not all were served: the next claim begins with another one.
        turn.fetch_add(1, Ordering::Relaxed);
    }
    Ok(claimed)
}

/// Whether attempts of `target` are made at all.
fn is_open(rows: &mut SqlRows<'_>, target: &Target) -> Result<bool, StoreError> {
    match target {
        Target::Initiator(..) | Target::Participant(..) => Ok(true),
        Target::Subscription(namespace, name) => Ok(rows
            .subscription(namespace, name)?
            .is_some_and(|subscription| !subscription.paused)),
    }
}

impl Hungry {
    /// Leases up to `asked` pieces of work; returns how many rows were due.
    ///
    /// A row that can't be read is left alone, with an error in the log: it must not hold up all others.
    fn take(
        &self,
        rows: &mut SqlRows<'_>,
        db: &Connection,
        epoch: NodeEpoch,
        now: Timestamp,
        asked: usize,
        claimed: &mut Claimed,
    ) -> Result<usize, StoreError> {
        let context = "find due work";
        let (namespace, name) = names(&self.target);
        let mut check_backs: Vec<TransactionRow> = Vec::new();
        let mut deliveries: Vec<DeliveryRow> = Vec::new();
        let mut branches: Vec<BranchRow> = Vec::new();
        let mut found = 0;
        {
            let mut statement = db.prepare_cached(self.queue.due).context(context)?;
            let values = params![
                namespace.as_str(),
                name.as_str(),
                now.as_micros(),
                limit(asked)
            ];
            let mut due = statement.query(values).context(context)?;
            while let Some(row) = due.next().context(context)? {
                found += 1;
                let read = match &self.target {
                    Target::Initiator(..) => {
                        transaction::read(row).map(|row| check_backs.push(row))
                    }
                    Target::Participant(..) => branch::read(row).map(|row| branches.push(row)),
                    Target::Subscription(..) => delivery::read(row).map(|row| deliveries.push(row)),
                };
                passed_over(read, claimed)?;
            }
        }
        for row in check_backs {
            claimed.work.extend(take_check_back(db, row, epoch)?);
        }
        for row in deliveries {
            let taken = passed_over(take_delivery(rows, db, row, epoch), claimed)?;
            claimed.work.extend(taken.flatten());
        }
        for row in branches {
            let taken = passed_over(take_branch(db, &row, epoch), claimed)?;
            claimed.work.extend(taken.flatten());
        }
        Ok(found)
    }
}

/// `None` for damage, which is logged and counted.
fn passed_over<T>(
    read: Result<T, StoreError>,
    claimed: &mut Claimed,
) -> Result<Option<T>, StoreError> {
    let value = readable(read)?;
    claimed.damaged += usize::from(value.is_none());
    Ok(value)
}

fn take_check_back(
    db: &Connection,
    mut row: TransactionRow,
    epoch: NodeEpoch,
) -> Result<Option<Work>, StoreError> {
    let Some(initiator) = row.initiator.clone() else {
        return Ok(None);
    };
    row.holder = Some(epoch);
    row.token = row.token.next();
    transaction::update(db, &mut row)?;
    Ok(Some(Work::CheckBack(Box::new(CheckBackWork {
        id: row.id,
        token: row.token,
        namespace: row.namespace,
        initiator,
        resource_id: row.resource_id,
        created_at: row.created_at,
        attempt: row.check_attempts + 1,
        options: row.state.options,
        traceparent: row.traceparent,
    }))))
}

fn take_delivery(
    rows: &mut SqlRows<'_>,
    db: &Connection,
    mut delivery: DeliveryRow,
    epoch: NodeEpoch,
) -> Result<Option<Work>, StoreError> {
    let missing =
        |what: &str| StoreError::Corrupt(format!("delivery {} has no {what}", delivery.key));
    let id = delivery.key.transaction;
    let row = transaction::select(db, id)?.ok_or_else(|| missing("transaction"))?;
    let message =
        message::select(db, id, delivery.key.ordinal)?.ok_or_else(|| missing("message"))?;
    let Some(name) = delivery.key.subscription.clone() else {
        return Ok(None);
    };
    let Some(subscription) = rows.subscription(&delivery.namespace, &name)? else {
        return Ok(None);
    };
    delivery.holder = Some(epoch);
    if !planted!(SqliteClaimKeepsTheToken) {
        delivery.token = delivery.token.next();
    }
    let Some(work) = delivery_work(&row, &delivery, message, subscription) else {
        return Ok(None);
    };
    delivery::update(db, &delivery)?;
    Ok(Some(work.into()))
}

fn take_branch(
    db: &Connection,
    branch: &BranchRow,
    epoch: NodeEpoch,
) -> Result<Option<Work>, StoreError> {
    let missing = |what: &str| StoreError::Corrupt(format!("{} has no {what}", branch.key));
    let row =
        transaction::select(db, branch.key.transaction)?.ok_or_else(|| missing("transaction"))?;
    let (mut branch, content) =
        branch::select_whole(db, &branch.key)?.ok_or_else(|| missing("content"))?;
    branch.holder = Some(epoch);
    branch.token = branch.token.next();
    let Some(work) = branch_work(&row, &branch, content) else {
        return Ok(None);
    };
    branch::update(db, &branch)?;
    Ok(Some(work.into()))
}
