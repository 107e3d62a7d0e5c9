//! Claims over a network: due work, leased in batches, bounded per target and shared fairly between targets.
//!
//! The order of the steps, the shares and the work's making, once for all databases; each brings its statements as a
//! [`Queues`]. Rows that another node has in hand are passed over there, so that nodes share work without waiting. This
//! module must never know SQL.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use earnest_protocol::{Name, NodeEpoch, Timestamp, TransactionId};

use crate::{
    BranchKey, BranchRow, CheckBackWork, ClaimRequest, Claimed, DeliveryRow, Message, StoreError,
    SubscriptionRow, Target, TransactionRow, Work,
    engine::{branch_work, delivery_work},
    planted::planted,
    sql::{
        branch::Content,
        column::{FREE, Readable},
    },
};

/// A kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    CheckBacks,
    Deliveries,
    Branches,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::CheckBacks, Self::Deliveries, Self::Branches];

    fn target(self, namespace: Name, name: Name) -> Target {
        match self {
            Self::CheckBacks => Target::Initiator(namespace, name),
            Self::Deliveries => Target::Subscription(namespace, name),
            Self::Branches => Target::Participant(namespace, name),
        }
    }
}

/// Somebody's work of one target; holder -1: nobody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) holder: i64,
}

/// What one step leases.
pub(crate) struct Take<'a> {
    /// At most so many of each.
    pub(crate) of: Vec<(&'a Target, usize)>,
    /// For whom.
    pub(crate) epoch: NodeEpoch,
    /// Due by then.
    pub(crate) now: Timestamp,
}

/// A claim's statements, in one database transaction. Rows that can't be read are logged, left out and counted
/// ([`Readable`]): one damaged row must not hold up all others.
#[async_trait]
pub(crate) trait Queues: Send {
    /// Takes nodes that went silent for dead, and says which are alive.
    async fn alive(&mut self) -> Result<HashSet<i64>, StoreError>;
    /// The database's time.
    async fn time(&mut self) -> Result<Timestamp, StoreError>;
    /// Subscriptions that are not paused. There are few, and a claim is no message's way.
    async fn open(&mut self) -> Result<Readable<SubscriptionRow>, StoreError>;
    /// Each (namespace, name, holder) that has work, due or not, in this order.
    async fn held(&mut self, kind: Kind) -> Result<Vec<Held>, StoreError>;
    /// Lets go of what these hold, as far as nobody else is writing it. The tokens stay: only another claim makes
    /// them stale.
    async fn free(&mut self, kind: Kind, held: &[Held]) -> Result<(), StoreError>;
    /// When the next thing of these targets that is free and not yet due will be.
    async fn later(
        &mut self,
        kind: Kind,
        targets: &[&Target],
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError>;
    /// Leases check-backs that are free and due, the longest due first.
    async fn take_check_backs(
        &mut self,
        take: &Take<'_>,
    ) -> Result<Readable<TransactionRow>, StoreError>;
    /// Leases deliveries likewise.
    async fn take_deliveries(
        &mut self,
        take: &Take<'_>,
    ) -> Result<Readable<DeliveryRow>, StoreError>;
    /// Leases calls of branches likewise.
    async fn take_branches(&mut self, take: &Take<'_>) -> Result<Readable<BranchRow>, StoreError>;
    /// For what never changes of them, and the decision: no lock.
    async fn transactions(
        &mut self,
        ids: &BTreeSet<TransactionId>,
    ) -> Result<Readable<TransactionRow>, StoreError>;
    /// What all branches of `ids` say.
    async fn branch_contents(
        &mut self,
        ids: &BTreeSet<TransactionId>,
    ) -> Result<Readable<(BranchKey, Content)>, StoreError>;
    /// All messages of `ids`, in order; all or none of one transaction.
    async fn messages(
        &mut self,
        ids: &BTreeSet<TransactionId>,
    ) -> Result<Readable<(TransactionId, Message)>, StoreError>;
}

/// A target that still has room, and perhaps work.
struct Hungry {
    kind: Kind,
    target: Target,
    room: usize,
}

/// The subscriptions whose deliveries are attempted, by namespace and name.
type Open = HashMap<(Name, Name), Arc<SubscriptionRow>>;

/// Frees what dead nodes held and leases what is due; `turn` says with which target to begin.
pub(crate) async fn claim<Q: Queues>(
    db: &mut Q,
    request: &ClaimRequest,
    turn: &AtomicUsize,
) -> Result<Claimed, StoreError> {
    let alive = db.alive().await?;
    // Whoever was taken for dead leases nothing: the next claim of anybody would free it.
    let lives = alive.contains(&request.epoch.0);
    let now = db.time().await?;
    let mut claimed = Claimed::default();
    let open = claimed.readable(db.open().await?).into_iter().map(|row| {
        let name = (row.namespace.clone(), row.name.clone());
        (name, Arc::new(row))
    });
    let open: Open = open.collect();
    let mut next_due: Option<Timestamp> = None;
    let mut hungry = Vec::new();
    for kind in Kind::ALL {
        let targets = targets(db, kind, &alive, &open).await?;
        if targets.is_empty() {
            continue;
        }
        let of: Vec<&Target> = targets.iter().collect();
        let later = db.later(kind, &of, now).await?;
        next_due = next_due.into_iter().chain(later).min();
        for target in targets {
            let room = request.room.get(&target).copied();
            hungry.push(Hungry {
                kind,
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
    let mut left = request.total;
    while left > 0 && !hungry.is_empty() {
        let limits = (request.epoch, now, left);
        left -= round(db, &mut hungry, limits, &open, &mut claimed).await?;
    }
    if left == 0 {
        // Not all were served: the next claim begins with another one.
        turn.fetch_add(1, Ordering::Relaxed);
    }
    claimed.next_due = next_due.map(|due| due.since(now));
    Ok(claimed)
}

impl Claimed {
    /// Counts what could not be read, and goes on with the rest.
    fn readable<T>(&mut self, (rows, damaged): Readable<T>) -> Vec<T> {
        self.damaged += damaged;
        rows
    }
}

/// Frees what no living node holds, and returns the targets whose work is attempted. (A node that is dead without
/// knowing it may still lease what its own batches make due.)
async fn targets<Q: Queues>(
    db: &mut Q,
    kind: Kind,
    alive: &HashSet<i64>,
    open: &Open,
) -> Result<Vec<Target>, StoreError> {
    let mut targets = Vec::new();
    let mut dead = Vec::new();
    let mut seen: Option<(String, String)> = None;
    for held in db.held(kind).await? {
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
            tracing::error!(
                namespace = names.0,
                name = names.1,
                "work of what is no name is left alone"
            );
            seen = Some(names);
            continue;
        };
        seen = Some(names);
        let target = kind.target(namespace, name);
        let is_open = match &target {
            Target::Initiator(..) | Target::Participant(..) => true,
            Target::Subscription(namespace, name) => {
                open.contains_key(&(namespace.clone(), name.clone()))
            }
        };
        targets.extend(is_open.then_some(target));
    }
    if !dead.is_empty() {
        db.free(kind, &dead).await?;
    }
    Ok(targets)
}

/// Gives each target an equal share; what some don't need is shared among the others in the next round.
async fn round<Q: Queues>(
    db: &mut Q,
    hungry: &mut Vec<Hungry>,
    (epoch, now, left): (NodeEpoch, Timestamp, usize),
    open: &Open,
    claimed: &mut Claimed,
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
    for kind in Kind::ALL {
        let of = hungry.iter().zip(&asked);
        let of = of.filter(|(target, wanted)| target.kind == kind && **wanted > 0);
        let of: Vec<_> = of
            .map(|(hungry, wanted)| (&hungry.target, *wanted))
            .collect();
        if of.is_empty() {
            continue;
        }
        let take = Take { of, epoch, now };
        match kind {
            Kind::CheckBacks => {
                let due = claimed.readable(db.take_check_backs(&take).await?);
                check_backs(due, &mut found, &mut claimed.work);
            }
            Kind::Deliveries => {
                let due = claimed.readable(db.take_deliveries(&take).await?);
                deliveries(db, due, open, &mut found, claimed).await?;
            }
            Kind::Branches => {
                let due = claimed.readable(db.take_branches(&take).await?);
                branches(db, due, &mut found, claimed).await?;
            }
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

fn check_backs(
    mut due: Vec<TransactionRow>,
    found: &mut HashMap<Target, usize>,
    work: &mut Vec<Work>,
) {
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
}

async fn deliveries<Q: Queues>(
    db: &mut Q,
    mut due: Vec<DeliveryRow>,
    open: &Open,
    found: &mut HashMap<Target, usize>,
    claimed: &mut Claimed,
) -> Result<(), StoreError> {
    due.sort_unstable_by(|a, b| (a.due, &a.key).cmp(&(b.due, &b.key)));
    let ids: BTreeSet<TransactionId> = due.iter().map(|row| row.key.transaction).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let rows = claimed.readable(db.transactions(&ids).await?);
    let rows: HashMap<TransactionId, TransactionRow> =
        rows.into_iter().map(|row| (row.id, row)).collect();
    let mut messages: HashMap<TransactionId, Vec<Message>> = HashMap::new();
    for (id, message) in claimed.readable(db.messages(&ids).await?) {
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
            tracing::error!(delivery = %delivery.key, "a due delivery lacks its transaction or message, or they can't be read");
            continue;
        };
        let leased = delivery_work(row, &delivery, message.clone(), Arc::clone(subscription));
        claimed.work.extend(leased.map(Work::from));
    }
    Ok(())
}

async fn branches<Q: Queues>(
    db: &mut Q,
    mut due: Vec<BranchRow>,
    found: &mut HashMap<Target, usize>,
    claimed: &mut Claimed,
) -> Result<(), StoreError> {
    due.sort_unstable_by_key(|row| (row.due, row.key));
    let ids: BTreeSet<TransactionId> = due.iter().map(|row| row.key.transaction).collect();
    if ids.is_empty() {
        return Ok(());
    }
    // Read after the lease: a decision that is not seen here takes the lease with it.
    let rows = claimed.readable(db.transactions(&ids).await?);
    let rows: HashMap<TransactionId, TransactionRow> =
        rows.into_iter().map(|row| (row.id, row)).collect();
    let contents = claimed.readable(db.branch_contents(&ids).await?);
    let mut contents: HashMap<BranchKey, Content> = contents.into_iter().collect();
    for branch in due {
        let target = Target::Participant(branch.namespace.clone(), branch.service.clone());
        *found.entry(target).or_default() += 1;
        let row = rows.get(&branch.key.transaction);
        let (Some(row), Some(content)) = (row, contents.remove(&branch.key)) else {
            tracing::error!(branch = %branch.key, "a due branch lacks its transaction or what it says, or they can't be read");
            continue;
        };
        let content = content.of(&branch);
        let work = branch_work(row, &branch, content);
        claimed.work.extend(work.map(Work::from));
    }
    Ok(())
}

/// Namespace and name.
pub(crate) fn names(target: &Target) -> (&str, &str) {
    match target {
        Target::Initiator(namespace, name)
        | Target::Subscription(namespace, name)
        | Target::Participant(namespace, name) => (namespace.as_str(), name.as_str()),
    }
}
