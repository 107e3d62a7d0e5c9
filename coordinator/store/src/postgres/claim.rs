//! Claims: due work, leased in batches, bounded per target and shared fairly between targets.
//!
//! Rows that another node is just claiming are passed over (SKIP LOCKED), so that nodes share work without waiting.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use earnest_protocol::{Name, NodeEpoch, Timestamp, TransactionId};
use sqlx::{PgConnection, postgres::PgRow};

use super::{
    error::Context,
    fetch,
    held::{self, QUEUES, Queue},
    lease,
    time::{TimeSource, now},
};
use crate::{
    CheckBackWork, ClaimRequest, Claimed, DeliveryRow, Message, StoreError, SubscriptionRow,
    Target, TransactionRow, Work,
    engine::delivery_work,
    planted::planted,
    sql::{
        column::{FORMAT, FREE, limit, read_row},
        delivery, registry, transaction,
    },
};

/// A target that still has room, and perhaps work.
struct Hungry {
    queue: &'static Queue,
    target: Target,
    room: usize,
}

/// The subscriptions whose deliveries are attempted, by namespace and name.
type Open = HashMap<(Name, Name), Arc<SubscriptionRow>>;

pub(super) async fn claim(
    db: &mut PgConnection,
    time: &TimeSource,
    request: &ClaimRequest,
    turn: &AtomicUsize,
) -> Result<Claimed, StoreError> {
    let alive = lease::bury(db, time).await?;
    // Whoever was taken for dead leases nothing: the next claim of anybody would free it.
    let lives = alive.contains(&request.epoch.0);
    let now: i64 = sqlx::query_scalar(concat!("SELECT ", now!()))
        .bind(time.bind())
        .fetch_one(&mut *db)
        .await
        .context("read the time")?;
    let now = Timestamp::from_micros(now);
    let open = open(db).await?;
    let mut next_due: Option<Timestamp> = None;
    let mut hungry = Vec::new();
    for queue in &QUEUES {
        let targets = targets(db, queue, &alive, &open).await?;
        let of: Vec<&Target> = targets.iter().collect();
        let later = held::later(db, queue, &of, now).await?;
        next_due = next_due.into_iter().chain(later).min();
        for target in targets {
            let room = request.room.get(&target).copied();
            hungry.push(Hungry {
                queue,
                target,
                room: room.unwrap_or(request.per_target),
            });
        }
    }
    hungry.retain(|target| lives && target.room > 0);
    if !hungry.is_empty() {
        let first = turn.load(Ordering::Relaxed) % hungry.len();
        hungry.rotate_left(first);
    }
    let mut work = Vec::new();
    let mut left = request.total;
    while left > 0 && !hungry.is_empty() {
        let found = round(db, &mut hungry, request.epoch, now, &open, left, &mut work).await?;
        left -= found;
    }
    if left == 0 {
        // Not all were served: the next claim begins with another one.
        turn.fetch_add(1, Ordering::Relaxed);
    }
    Ok(Claimed {
        work,
        next_due: next_due.map(|due| due.since(now)),
    })
}

/// Subscriptions that are not paused. There are few, and a claim is no message's way.
async fn open(db: &mut PgConnection) -> Result<Open, StoreError> {
    const READ: &str = concat!(
        "SELECT ",
        registry::subscription_columns!(),
        " FROM subscriptions WHERE NOT paused"
    );
    let rows = sqlx::query(READ)
        .fetch_all(db)
        .await
        .context("read subscriptions")?;
    let mut open = Open::new();
    for row in &rows {
        let read = read_row("subscriptions", row, registry::subscription);
        if let Some(row) = passed_over(read)? {
            open.insert((row.namespace.clone(), row.name.clone()), Arc::new(row));
        }
    }
    Ok(open)
}

/// Frees what no living node holds, and returns the targets whose work is attempted. (A node that is dead without
/// knowing it may still lease what its own batches make due.)
async fn targets(
    db: &mut PgConnection,
    queue: &'static Queue,
    alive: &HashSet<i64>,
    open: &Open,
) -> Result<Vec<Target>, StoreError> {
    let held = held::held(db, queue).await?;
    let mut targets = Vec::new();
    let mut dead = Vec::new();
    let mut seen: Option<(String, String)> = None;
    for held in held {
        let names = (held.namespace.clone(), held.name.clone());
        let is_dead = !alive.contains(&held.holder) || planted!(PostgresClaimTakesWhatIsHeld);
        if held.holder != FREE && is_dead {
            dead.push(held);
        }
        // Nameless: messages whose topic had no subscription, parked, all of them.
        if names.1.is_empty() || seen.as_ref() == Some(&names) {
            continue;
        }
        let (Ok(namespace), Ok(name)) = (names.0.parse(), names.1.parse()) else {
            return Err(StoreError::Corrupt(format!(
                "work of `{}`, `{}`: not a name",
                names.0, names.1
            )));
        };
        seen = Some(names);
        let target = (queue.target)(namespace, name);
        let is_open = match &target {
            Target::Initiator(..) => true,
            Target::Subscription(namespace, name) => {
                open.contains_key(&(namespace.clone(), name.clone()))
            }
        };
        targets.extend(is_open.then_some(target));
    }
    held::free(db, queue, dead).await?;
    Ok(targets)
}

/// Gives each target an equal share; what some don't need is shared among the others in the next round.
async fn round(
    db: &mut PgConnection,
    hungry: &mut Vec<Hungry>,
    epoch: NodeEpoch,
    now: Timestamp,
    open: &Open,
    left: usize,
    work: &mut Vec<Work>,
) -> Result<usize, StoreError> {
    let share = (left / hungry.len()).max(1);
    let mut asked = Vec::new();
    let mut sum = 0;
    for target in hungry.iter() {
        let wanted = share.min(target.room).min(left - sum);
        sum += wanted;
        asked.push(wanted);
    }
    let mut found: HashMap<Target, usize> = HashMap::new();
    for queue in &QUEUES {
        let of = hungry.iter().zip(&asked);
        let of = of.filter(|(target, wanted)| std::ptr::eq(target.queue, queue) && **wanted > 0);
        let of: Vec<(&Target, i64)> = of
            .map(|(target, wanted)| (&target.target, limit(*wanted)))
            .collect();
        let Some((first, _)) = of.first() else {
            continue;
        };
        let rows = take(db, queue, &of, epoch, now).await?;
        match first {
            Target::Initiator(..) => check_backs(&rows, &mut found, work)?,
            Target::Subscription(..) => deliveries(db, &rows, open, &mut found, work).await?,
        }
    }
    let mut taken = 0;
    for (target, wanted) in hungry.iter_mut().zip(asked) {
        let found = found.get(&target.target).copied().unwrap_or(0);
        taken += found;
        // Less than was asked for: there is no more. (Or somebody else has it in hand.)
        target.room = if found < wanted {
            0
        } else {
            target.room - found
        };
    }
    hungry.retain(|target| target.room > 0);
    Ok(taken)
}

async fn take(
    db: &mut PgConnection,
    queue: &Queue,
    of: &[(&Target, i64)],
    epoch: NodeEpoch,
    now: Timestamp,
) -> Result<Vec<PgRow>, StoreError> {
    let (namespaces, names): (Vec<&str>, Vec<&str>) =
        of.iter().map(|(target, _)| held::names(target)).unzip();
    let wanted: Vec<i64> = of.iter().map(|(_, wanted)| *wanted).collect();
    sqlx::query(queue.take)
        .bind(epoch.0)
        .bind(now.as_micros())
        .bind(namespaces)
        .bind(names)
        .bind(wanted)
        .bind(FORMAT)
        .fetch_all(db)
        .await
        .context("lease due work")
}

/// `None` for damage, which is logged: it must not hold up all others. It stays leased, and so isn't found anew at once.
fn passed_over<T>(read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::Corrupt(why)) => {
            tracing::error!(why, "due work can't be read and is left alone");
            Ok(None)
        }
        Err(StoreError::Newer(why)) => {
            tracing::warn!(why, "due work is left to a newer version");
            Ok(None)
        }
        Err(other) => Err(other),
    }
}

fn check_backs(
    rows: &[PgRow],
    found: &mut HashMap<Target, usize>,
    work: &mut Vec<Work>,
) -> Result<(), StoreError> {
    let mut due = Vec::new();
    for row in rows {
        due.extend(passed_over(read_row(
            "transactions",
            row,
            transaction::read,
        ))?);
    }
    due.sort_unstable_by_key(|row| (row.check_due, row.id));
    for row in due {
        let Some(initiator) = row.initiator else {
            continue;
        };
        let target = Target::Initiator(row.namespace.clone(), initiator.clone());
        *found.entry(target).or_default() += 1;
        work.push(Work::CheckBack(Box::new(CheckBackWork {
            id: row.id,
            token: row.token,
            namespace: row.namespace,
            initiator,
            resource_id: row.resource_id,
            created_at: row.created_at,
            attempt: row.check_attempts + 1,
            options: row.state.options,
            traceparent: row.traceparent,
        })));
    }
    Ok(())
}

async fn deliveries(
    db: &mut PgConnection,
    rows: &[PgRow],
    open: &Open,
    found: &mut HashMap<Target, usize>,
    work: &mut Vec<Work>,
) -> Result<(), StoreError> {
    let mut due: Vec<DeliveryRow> = Vec::new();
    for row in rows {
        due.extend(passed_over(read_row("deliveries", row, delivery::read))?);
    }
    due.sort_unstable_by(|a, b| (a.due, &a.key).cmp(&(b.due, &b.key)));
    let ids: BTreeSet<TransactionId> = due.iter().map(|row| row.key.transaction).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let rows = fetch::transactions(db, &ids, false).await?;
    let rows: HashMap<TransactionId, TransactionRow> =
        rows.into_iter().map(|row| (row.id, row)).collect();
    let mut messages: HashMap<TransactionId, Vec<Message>> = HashMap::new();
    for (id, message) in fetch::messages(db, &ids).await? {
        messages.entry(id).or_default().push(message);
    }
    for delivery in due {
        let Some(name) = delivery.key.subscription.clone() else {
            continue;
        };
        let of = (delivery.namespace.clone(), name);
        *found
            .entry(Target::Subscription(of.0.clone(), of.1.clone()))
            .or_default() += 1;
        let id = delivery.key.transaction;
        let message = messages
            .get(&id)
            .and_then(|messages| messages.get(delivery.key.ordinal.0 as usize));
        let (Some(row), Some(message), Some(subscription)) =
            (rows.get(&id), message, open.get(&of))
        else {
            tracing::error!(delivery = %delivery.key, "a due delivery lacks its transaction or message");
            continue;
        };
        let leased = delivery_work(row, &delivery, message.clone(), Arc::clone(subscription));
        work.extend(leased.map(Work::from));
    }
    Ok(())
}
