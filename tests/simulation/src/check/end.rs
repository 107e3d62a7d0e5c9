//! What must hold once nothing moves any more.

use std::collections::BTreeMap;

use earnest_protocol::{
    BranchState, Decision, DeliveryState, InitiatorOutcome, Name, Phase, TransactionId,
};
use earnest_store::{Cursor, DeliveryRow, Store, StoreError, TransactionFilter, TransactionRow};

use super::{
    book::{Book, Local, Owed, Page},
    branches::converged,
};

/// What is neither final nor parked, and how many rows wait for a person.
pub(crate) struct Left {
    pub(crate) owed: Vec<TransactionRow>,
    pub(crate) parked: Vec<TransactionId>,
}

/// Subscription and key, and where the first parked delivery of it stands.
type Blocked = BTreeMap<(Name, String), i64>;

/// Looks for what is left to do, but for what is owed to the subscription `away`. What waits behind a parked message of its
/// key waits for a person too (P9).
pub(crate) async fn at_rest(store: &dyn Store, away: Option<&Name>) -> Result<Left, StoreError> {
    let (mut owed, mut parked, mut blocked) = (vec![], vec![], Blocked::new());
    for row in all(store, &TransactionFilter::default()).await? {
        let state = &row.state;
        if state.parked.is_some() || state.parked_effects > 0 {
            parked.push(row.id);
        }
        if state.parked_effects > 0 {
            block(&mut blocked, &deliveries(store, row.id).await?);
        }
        let waits = match state.phase {
            Phase::Prepared => state.parked.is_none(),
            Phase::Confirming | Phase::Cancelling => state.open_effects > 0,
            Phase::Confirmed | Phase::Cancelled => false,
        };
        if waits {
            owed.push(row);
        }
    }
    let mut left = Left {
        owed: vec![],
        parked,
    };
    for row in owed {
        let detail = store.detail(row.id).await?;
        let (pending, branches) = detail.map_or_else(Default::default, |detail| {
            (detail.deliveries, detail.branches)
        });
        let calls = branches
            .iter()
            .any(|(row, _)| row.state == BranchState::Pending);
        let mut pending = pending.into_iter().filter(|row| {
            let is_away = away.is_some() && row.key.subscription.as_ref() == away;
            row.state == DeliveryState::Pending && !is_away
        });
        let is_prepared = row.state.phase == Phase::Prepared;
        if is_prepared || calls || pending.any(|row| !is_behind(&blocked, &row)) {
            left.owed.push(row);
        }
    }
    Ok(left)
}

async fn deliveries(store: &dyn Store, id: TransactionId) -> Result<Vec<DeliveryRow>, StoreError> {
    let detail = store.detail(id).await?;
    Ok(detail.map(|detail| detail.deliveries).unwrap_or_default())
}

fn block(blocked: &mut Blocked, rows: &[DeliveryRow]) {
    for row in rows.iter().filter(|row| row.state == DeliveryState::Parked) {
        if let (Some((key, place)), Some(name)) = (&row.order, &row.key.subscription) {
            let first = blocked.entry((name.clone(), key.clone())).or_insert(*place);
            *first = (*first).min(*place);
        }
    }
}

fn is_behind(blocked: &Blocked, row: &DeliveryRow) -> bool {
    let (Some((key, place)), Some(name)) = (&row.order, &row.key.subscription) else {
        return false;
    };
    blocked
        .get(&(name.clone(), key.clone()))
        .is_some_and(|first| first < place)
}

/// Every transaction that the filter lets through.
pub(crate) async fn all(
    store: &dyn Store,
    filter: &TransactionFilter,
) -> Result<Vec<TransactionRow>, StoreError> {
    let (mut rows, mut after): (Vec<_>, Option<Cursor>) = (vec![], None);
    loop {
        let page = store.transactions(filter, after, 1_000).await?;
        rows.extend(page.rows);
        after = page.next;
        if after.is_none() {
            return Ok(rows);
        }
    }
}

/// Everything is final: nothing told is gone, nothing is missing, nothing is there twice or against the truth.
pub(crate) async fn everything_done(store: &dyn Store, book: &Book) -> Result<(), StoreError> {
    let rows: BTreeMap<_, _> = all(store, &TransactionFilter::default())
        .await?
        .into_iter()
        .map(|row| (row.id, row))
        .collect();
    let mut open_deliveries = Vec::new();
    for id in rows.keys() {
        if let Some(detail) = store.detail(*id).await? {
            let open = detail
                .deliveries
                .iter()
                .filter(|row| row.state != DeliveryState::Done);
            open_deliveries.extend(open.map(|row| row.key.to_string()));
            let branches = detail.branches.iter().map(|(row, _)| row);
            let open = branches.filter(|row| row.state != BranchState::Done);
            open_deliveries.extend(open.map(|row| row.key.to_string()));
        }
    }
    let violations = &book.violations;
    violations.unless(open_deliveries.is_empty(), "K3", || {
        format!("still owed at the end: {open_deliveries:?}")
    });
    book.read(|pages| {
        for (id, page) in &pages.by_id {
            let row = rows.get(id);
            told(book, *id, page, row);
            truth(book, *id, page, row);
            converged(book, *id, page);
            for (key, owed) in &page.owed {
                effect(book, key, page, owed);
            }
        }
    });
    Ok(())
}

/// The decision, also of what was purged when it was final.
fn stands(page: &Page, row: Option<&TransactionRow>) -> Option<Decision> {
    match row {
        Some(row) => row.state.phase.decision(),
        None => page.decided.filter(|_| page.purged),
    }
}

/// M5, M3: what callers were told stands.
fn told(book: &Book, id: TransactionId, page: &Page, row: Option<&TransactionRow>) {
    let violations = &book.violations;
    let kept = row.is_some() || page.purged;
    violations.unless(!page.recorded || kept, "M5", || {
        format!("{id} was acknowledged and is gone")
    });
    let stands = stands(page, row);
    violations.unless(page.told.is_none() || page.told == stands, "M3", || {
        format!(
            "{id}: callers were told {:?}, and {stands:?} stands",
            page.told
        )
    });
    violations.unless(
        page.decided.is_none() || page.decided == stands,
        "M3",
        || {
            format!(
                "{id}: {:?} was decided, and {stands:?} stands",
                page.decided
            )
        },
    );
}

/// M1, M2: the decision is the initiator's own outcome.
fn truth(book: &Book, id: TransactionId, page: &Page, row: Option<&TransactionRow>) {
    let violations = &book.violations;
    if page.outcome != InitiatorOutcome::Local || page.overruled {
        return;
    }
    let stands = stands(page, row);
    if page.local == Local::Committed {
        violations.unless(stands == Some(Decision::Confirm), "M2", || {
            format!("{id} committed locally, and {stands:?} stands")
        });
    } else {
        violations.unless(stands != Some(Decision::Confirm), "M1", || {
            format!("{id} is confirmed, and never committed locally")
        });
    }
}

/// M2, K2: each delivery that is owed had its effect once.
fn effect(book: &Book, key: &earnest_store::DeliveryKey, page: &Page, owed: &Owed) {
    if key.subscription.is_none() {
        return;
    }
    let due = u32::from(page.decided == Some(Decision::Confirm));
    let named = match due {
        0 => "M1",
        _ if owed.effects < due => "M2",
        _ => "K2",
    };
    book.violations.unless(owed.effects == due, named, || {
        format!("{key} had {} effects in place of {due}", owed.effects)
    });
    book.violations
        .unless(owed.handed <= MOST_ATTEMPTS, "V3", || {
            format!("{key} was handed over {} times", owed.handed)
        });
}

/// More attempts of one delivery than the back-off allows for in a run of this length, with every fault that there is.
const MOST_ATTEMPTS: u32 = 200;
