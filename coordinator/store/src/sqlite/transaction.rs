//! The table of transactions: one row to a [`TransactionRow`] and back.

use earnest_protocol::{
    CONTENT_HASH_VERSION, ContentHash, Decider, InitiatorOutcome, Name, NodeEpoch, OnBudgetSpent,
    Options, ParkReason, Phase, State, Timestamp, TransactionId,
};
use rusqlite::{Connection, OptionalExtension, Params, Row, ToSql, params};

use super::{
    column::{Columns, FORMAT, Read, corrupt, micros, readable},
    error::{Context, unavailable},
};
use crate::{StoreError, TransactionRow};

/// The columns that [`read`] expects, in order.
macro_rules! columns {
    () => {
        "id, format, namespace, initiator, resource_id, business_key, content, message_count, traceparent, \
         created_at, check_after, outcome, on_budget_spent, check_back_budget, allow_no_subscription, phase, \
         parked, in_progress_answers, unanswered, open_effects, parked_effects, decided_at, decided_by, \
         finished_at, check_due, check_attempts, holder, token, revision, branches, untried"
    };
}
pub(super) use columns;

const SELECT: &str = concat!("SELECT ", columns!(), " FROM transactions WHERE id = ?1");
const INSERT: &str = concat!(
    "INSERT INTO transactions (",
    columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, \
     ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31)"
);
const UPDATE: &str = "UPDATE transactions SET phase = ?3, parked = ?4, in_progress_answers = ?5, unanswered = ?6, \
     open_effects = ?7, parked_effects = ?8, decided_at = ?9, decided_by = ?10, finished_at = ?11, check_due = ?12, \
     check_attempts = ?13, holder = ?14, token = ?15, branches = ?16, untried = ?17, message_count = ?18, revision = revision + 1 \
     WHERE id = ?1 AND revision = ?2";

pub(super) fn select(
    db: &Connection,
    id: TransactionId,
) -> Result<Option<TransactionRow>, StoreError> {
    let context = "read a transaction";
    let mut statement = db.prepare_cached(SELECT).context(context)?;
    let row = statement
        .query_row([id.as_bytes()], |row| Ok(read(row)))
        .optional()
        .context(context)?;
    row.transpose()
}

/// What a query gives that names the columns of a transaction; what can't be read is passed over.
pub(super) fn all(
    db: &Connection,
    sql: &str,
    values: impl Params,
) -> Result<Vec<TransactionRow>, StoreError> {
    let context = "read transactions";
    let mut statement = db.prepare_cached(sql).context(context)?;
    let mut rows = statement.query(values).context(context)?;
    let mut transactions = Vec::new();
    while let Some(row) = rows.next().context(context)? {
        transactions.extend(readable(read(row))?);
    }
    Ok(transactions)
}

pub(super) fn insert(db: &Connection, row: &TransactionRow) -> Result<(), StoreError> {
    let context = "record a transaction";
    let state = &row.state;
    let options = &state.options;
    let content = row.content.map(|ContentHash(hash)| {
        let mut content = [CONTENT_HASH_VERSION; 33];
        content[1..].copy_from_slice(&hash);
        content
    });
    let (decided_at, decided_by) = decided_columns(row);
    let outcome = match options.outcome {
        InitiatorOutcome::Local => 1,
        InitiatorOutcome::Asked => 2,
        InitiatorOutcome::None => 3,
        InitiatorOutcome::Executed => 4,
    };
    let on_budget_spent = match options.on_budget_spent {
        OnBudgetSpent::Park => 1,
        OnBudgetSpent::Cancel => 2,
    };
    let values: &[&dyn ToSql] = params![
        row.id.as_bytes(),
        FORMAT,
        row.namespace.as_str(),
        row.initiator.as_ref().map(Name::as_str),
        row.resource_id,
        row.business_key,
        content,
        row.message_count,
        row.traceparent,
        row.created_at.as_micros(),
        micros(options.check_after),
        outcome,
        on_budget_spent,
        options.check_back_budget,
        options.allow_no_subscription,
        phase_number(state.phase),
        state.parked.as_ref().map(ParkReason::as_str),
        state.in_progress_answers,
        state.unanswered,
        state.open_effects,
        state.parked_effects,
        decided_at,
        decided_by,
        row.finished_at.map(Timestamp::as_micros),
        row.check_due.map(Timestamp::as_micros),
        row.check_attempts,
        row.holder.map(|NodeEpoch(epoch)| epoch),
        row.token.0,
        row.revision,
        state.branches,
        state.untried,
    ];
    db.prepare_cached(INSERT)
        .context(context)?
        .execute(values)
        .context(context)?;
    Ok(())
}

/// Rewrites the row where its revision is still the one that was read.
pub(super) fn update(db: &Connection, row: &mut TransactionRow) -> Result<(), StoreError> {
    let context = "step a transaction";
    let state = &row.state;
    let (decided_at, decided_by) = decided_columns(row);
    let values: &[&dyn ToSql] = params![
        row.id.as_bytes(),
        row.revision,
        phase_number(state.phase),
        state.parked.as_ref().map(ParkReason::as_str),
        state.in_progress_answers,
        state.unanswered,
        state.open_effects,
        state.parked_effects,
        decided_at,
        decided_by,
        row.finished_at.map(Timestamp::as_micros),
        row.check_due.map(Timestamp::as_micros),
        row.check_attempts,
        row.holder.map(|NodeEpoch(epoch)| epoch),
        row.token.0,
        state.branches,
        state.untried,
        row.message_count,
    ];
    let changed = db
        .prepare_cached(UPDATE)
        .context(context)?
        .execute(values)
        .context(context)?;
    if changed != 1 {
        let (id, revision) = (row.id, row.revision);
        return Err(unavailable(format!(
            "transaction {id} was not written: it is not at revision {revision} any more"
        )));
    }
    row.revision += 1;
    Ok(())
}

pub(super) fn read(row: &Row<'_>) -> Result<TransactionRow, StoreError> {
    read_columns(Columns::of(row)).map_err(|why| corrupt("transactions", row, &why))
}

fn read_columns(mut c: Columns<'_, '_>) -> Read<TransactionRow> {
    let id = c.id()?;
    c.format()?;
    // Fields of a struct expression are evaluated as they are written: in the order of the columns.
    let mut row = TransactionRow {
        id,
        namespace: c.parse()?,
        initiator: c.parse_option()?,
        resource_id: c.get()?,
        business_key: c.get()?,
        content: c.bytes_option()?.map(content).transpose()?,
        message_count: c.get()?,
        traceparent: c.get()?,
        created_at: c.time()?,
        state: state(&mut c)?,
        decided: decided(&mut c)?,
        finished_at: c.time_option()?,
        check_due: c.time_option()?,
        check_attempts: c.get()?,
        holder: c.holder()?,
        token: c.token()?,
        revision: c.get()?,
    };
    row.state.branches = c.get()?;
    row.state.untried = c.get()?;
    row.state.validate()?;
    if row.state.phase.decision().is_some() != row.decided.is_some() {
        return Err("its phase and its decision don't fit together".into());
    }
    if row.state.phase.is_final() != row.finished_at.is_some() {
        return Err("its phase and the time of its end don't fit together".into());
    }
    Ok(row)
}

fn content(bytes: &[u8]) -> Read<ContentHash> {
    match bytes.split_first() {
        Some((&CONTENT_HASH_VERSION, hash)) => hash
            .try_into()
            .map(ContentHash)
            .map_err(|_| "the content hash is cut off".to_owned()),
        _ => Err("the content hash is of an unknown version".into()),
    }
}

fn state(c: &mut Columns<'_, '_>) -> Read<State> {
    let options = Options {
        check_after: c.duration()?,
        outcome: c.word(|n| match n {
            1 => Some(InitiatorOutcome::Local),
            2 => Some(InitiatorOutcome::Asked),
            3 => Some(InitiatorOutcome::None),
            4 => Some(InitiatorOutcome::Executed),
            _ => None,
        })?,
        on_budget_spent: c.word(|n| match n {
            1 => Some(OnBudgetSpent::Park),
            2 => Some(OnBudgetSpent::Cancel),
            _ => None,
        })?,
        check_back_budget: c.get()?,
        allow_no_subscription: c.get()?,
    };
    Ok(State {
        phase: c.word(phase)?,
        options,
        parked: c.get::<Option<String>>()?.map(ParkReason::new),
        in_progress_answers: c.get()?,
        unanswered: c.get()?,
        // The last columns, since they came later.
        branches: 0,
        untried: 0,
        open_effects: c.get()?,
        parked_effects: c.get()?,
    })
}

pub(super) fn phase_number(phase: Phase) -> i64 {
    match phase {
        Phase::Prepared => 1,
        Phase::Confirming => 2,
        Phase::Confirmed => 3,
        Phase::Cancelling => 4,
        Phase::Cancelled => 5,
    }
}

pub(super) fn phase(number: i64) -> Option<Phase> {
    Phase::ALL
        .into_iter()
        .find(|phase| phase_number(*phase) == number)
}

const OPERATOR: &str = "operator:";

fn decided_columns(row: &TransactionRow) -> (Option<i64>, Option<std::borrow::Cow<'_, str>>) {
    let Some((at, by)) = &row.decided else {
        return (None, None);
    };
    let by = match by {
        Decider::Initiator => "initiator".into(),
        Decider::CheckBack => "check-back".into(),
        Decider::Deadline => "deadline".into(),
        Decider::Budget => "budget".into(),
        Decider::Tries => "tries".into(),
        by @ Decider::Refusal { .. } => by.to_string().into(),
        Decider::Operator(name) => format!("{OPERATOR}{name}").into(),
    };
    (Some(at.as_micros()), Some(by))
}

fn decided(c: &mut Columns<'_, '_>) -> Read<Option<(Timestamp, Decider)>> {
    let (at, by) = (c.time_option()?, c.get::<Option<String>>()?);
    let (Some(at), Some(by)) = (at, by) else {
        return Ok(None);
    };
    let by = match by.as_str() {
        "initiator" => Decider::Initiator,
        "check-back" => Decider::CheckBack,
        "deadline" => Decider::Deadline,
        "budget" => Decider::Budget,
        "tries" => Decider::Tries,
        other => match (
            other.strip_prefix(OPERATOR),
            crate::sql::transaction::refusal(other),
        ) {
            (Some(name), _) => Decider::Operator(name.to_owned()),
            (None, Some(refusal)) => refusal,
            (None, None) => {
                return Err(format!(
                    "column decided_by: `{other}` stands for nobody that is known"
                ));
            }
        },
    };
    Ok(Some((at, by)))
}
