//! The cashier takes payments and gives them back. The money is with others: it reserves every part of a payment there, writes the payment
//! into its own database, and says to the ledger and the rewards that it was made. All of it happens, or nothing.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use clap::Parser;
use earnest::{
    Branch, Error, branch,
    sqlite::{Earnest, Tx},
    sqlx::{self, SqliteConnection, SqlitePool},
};
use payments::{
    Amount, Args, PAYMENT_MADE, PAYMENT_REFUNDED, Payment, Refund, RefundRequest, Service, Shown,
};

/// A request has one answer for ever: it is in `done` or in `refused`, and in one of them only.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS done (
        id             TEXT NOT NULL PRIMARY KEY, -- the customer's
        payment        TEXT NOT NULL,             -- as JSON
        refunds        TEXT UNIQUE,               -- which payment it gives back; NULL: it is a payment
        transaction_id TEXT NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS refused (
        id     TEXT NOT NULL PRIMARY KEY,
        reason TEXT NOT NULL
    ) STRICT;";

/// Takes payments: POST /payments {"id": …, "payer": …, "payee": …, "cents": …, "coupon": …, "credit_cents": …}, and gives them
/// back: POST /refunds {"id": …, "payment": …}.
#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    common: Args,
    /// How long after a payment was prepared the coordinator asks what became of it, when nobody told it.
    #[arg(long, default_value_t = 10_000)]
    check_after_ms: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let service = Service::open(&flags.common, SCHEMA).await?;
    let earnest = Earnest::service("cashier")
        .pool(service.pool.clone())
        .advertise(&service.url)
        .check_after(Duration::from_millis(flags.check_after_ms))
        .migrate()
        .connect(&flags.common.coordinator)
        .await?;
    let cashier = Cashier {
        earnest: earnest.clone(),
        pool: service.pool.clone(),
    };
    let app = Router::new()
        .route("/payments", post(pay))
        .route("/payments/{id}", get(what_became_of))
        .route("/refunds", post(refund))
        .with_state(cashier)
        .merge(earnest.router());
    service.serve(app).await
}

#[derive(Clone)]
struct Cashier {
    earnest: Earnest,
    pool: SqlitePool,
}

async fn pay(
    State(cashier): State<Cashier>,
    Json(payment): Json<Payment>,
) -> Result<Response, Error> {
    if !payment.is_sound() {
        return Ok(no(
            "the parts of a payment are not negative, and not more than all of it",
        ));
    }
    if let Some(answer) = answered(&mut *cashier.pool.acquire().await?, &payment.id).await? {
        return Ok(answer); // asked before: not paid again
    }
    let mut tx = match cashier.reserve(&payment.id, parts(&payment)?).await {
        Ok(tx) => tx,
        Err(Error::Refused { reason, .. }) => return cashier.refuse(&payment.id, &reason).await,
        Err(error) => return Err(error), // what was reserved is cancelled
    };
    if let Some(answer) = answered(&mut tx, &payment.id).await? {
        return Ok(answer); // somebody was faster: tx is dropped, and what it reserved is cancelled
    }
    write(&mut tx, &payment.id, &payment, None).await?;
    tx.send(PAYMENT_MADE, &payment.payer, &payment)?;
    let transaction = tx.commit().await?; // from here on all of it happens
    Ok((StatusCode::CREATED, transaction.to_string()).into_response())
}

async fn refund(
    State(cashier): State<Cashier>,
    Json(request): Json<RefundRequest>,
) -> Result<Response, Error> {
    let mut db = cashier.pool.acquire().await?;
    if let Some(answer) = answered(&mut db, &request.id).await? {
        return Ok(answer);
    }
    let payment = match refundable(&mut db, &request.payment).await? {
        Ok(payment) => payment,
        Err(reason) => return cashier.refuse(&request.id, reason).await,
    };
    drop(db);
    let mut tx = match cashier.reserve(&request.id, parts_back(&payment)?).await {
        Ok(tx) => tx,
        Err(Error::Refused { reason, .. }) => return cashier.refuse(&request.id, &reason).await,
        Err(error) => return Err(error),
    };
    if let Some(answer) = answered(&mut tx, &request.id).await? {
        return Ok(answer);
    }
    // Others may have asked for the same money meanwhile.
    if let Err(reason) = refundable(&mut tx, &request.payment).await? {
        tx.rollback().await?;
        return cashier.refuse(&request.id, reason).await;
    }
    write(&mut tx, &request.id, &payment, Some(&request.payment)).await?;
    let refund = Refund {
        id: request.id,
        payment,
    };
    tx.send(PAYMENT_REFUNDED, &refund.payment.payer, &refund)?;
    let transaction = tx.commit().await?; // from here on all of it happens
    Ok((StatusCode::CREATED, transaction.to_string()).into_response())
}

/// The payment, if it was made and its money is still there to be given back; or why not.
async fn refundable(
    db: &mut SqliteConnection,
    payment: &str,
) -> Result<Result<Payment, &'static str>, Error> {
    let made = "SELECT payment, EXISTS (SELECT 1 FROM done r WHERE r.refunds = p.id) FROM done p \
                WHERE id = $1 AND refunds IS NULL";
    let made: Option<(String, bool)> = sqlx::query_as(made)
        .bind(payment)
        .fetch_optional(db)
        .await?;
    Ok(match made {
        None => Err("there is no such payment"),
        Some((_, true)) => Err("the payment was refunded before"),
        Some((payment, false)) => {
            Ok(serde_json::from_str(&payment).map_err(|e| sqlx::Error::Decode(e.into()))?)
        }
    })
}

/// What a payment needs from others.
fn parts(payment: &Payment) -> Result<Vec<Branch>, Error> {
    let of = |of: &str, cents| Amount {
        of: of.to_owned(),
        cents,
    };
    let mut parts = vec![branch(
        "account",
        "credit",
        &of(&payment.payee, payment.cents),
    )?];
    if payment.balance_cents() > 0 {
        parts.push(branch(
            "account",
            "debit",
            &of(&payment.payer, payment.balance_cents()),
        )?);
    }
    if payment.credit_cents > 0 {
        parts.push(branch(
            "credit",
            "reserve",
            &of(&payment.payer, payment.credit_cents),
        )?);
    }
    if let Some(shown) = shown(payment) {
        parts.push(branch("coupon", "redeem", &shown)?);
    }
    Ok(parts)
}

/// The same, the other way round.
fn parts_back(payment: &Payment) -> Result<Vec<Branch>, Error> {
    let of = |of: &str, cents| Amount {
        of: of.to_owned(),
        cents,
    };
    let mut parts = vec![branch(
        "account",
        "debit",
        &of(&payment.payee, payment.cents),
    )?];
    if payment.balance_cents() > 0 {
        parts.push(branch(
            "account",
            "credit",
            &of(&payment.payer, payment.balance_cents()),
        )?);
    }
    if payment.credit_cents > 0 {
        parts.push(branch(
            "credit",
            "repay",
            &of(&payment.payer, payment.credit_cents),
        )?);
    }
    if let Some(shown) = shown(payment) {
        parts.push(branch("coupon", "restore", &shown)?);
    }
    Ok(parts)
}

fn shown(payment: &Payment) -> Option<Shown> {
    let coupon = payment.coupon.clone()?;
    Some(Shown {
        code: coupon.code,
        owner: payment.payer.clone(),
        cents: coupon.cents,
    })
}

async fn write(
    tx: &mut Tx,
    id: &str,
    payment: &Payment,
    refunds: Option<&str>,
) -> Result<(), Error> {
    let payment = serde_json::to_string(payment).map_err(|e| sqlx::Error::Encode(e.into()))?;
    let transaction = tx.id().to_string();
    sqlx::query("INSERT INTO done VALUES ($1, $2, $3, $4)")
        .bind(id)
        .bind(payment)
        .bind(refunds)
        .bind(transaction)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

impl Cashier {
    /// Reserves everything, in parallel; then begins to write. Nothing of the cashier's is locked meanwhile.
    async fn reserve(&self, id: &str, parts: Vec<Branch>) -> Result<Tx, Error> {
        let reserving = self.earnest.reserve().branches(parts);
        reserving.business_key(id)?.begin().await
    }

    /// A refusal is for good, unless the same request was taken meanwhile.
    async fn refuse(&self, id: &str, reason: &str) -> Result<Response, Error> {
        sqlx::query(
            "INSERT INTO refused SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM done WHERE id = $1) \
             ON CONFLICT DO NOTHING",
        )
        .bind(id)
        .bind(reason)
        .execute(&self.pool)
        .await?;
        let answer = answered(&mut *self.pool.acquire().await?, id).await?;
        Ok(answer.unwrap_or_else(|| no(reason)))
    }
}

async fn what_became_of(
    State(cashier): State<Cashier>,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let answer = answered(&mut *cashier.pool.acquire().await?, &id).await?;
    Ok(answer.unwrap_or_else(|| StatusCode::NOT_FOUND.into_response()))
}

/// The answer that this request had before.
async fn answered(db: &mut SqliteConnection, id: &str) -> Result<Option<Response>, Error> {
    let found: Option<(bool, String)> = sqlx::query_as(
        "SELECT true, transaction_id FROM done WHERE id = $1 \
         UNION ALL SELECT false, reason FROM refused WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(db)
    .await?;
    Ok(found.map(|(done, text)| {
        if done {
            (StatusCode::OK, text).into_response()
        } else {
            no(&text)
        }
    }))
}

fn no(reason: &str) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, reason.to_owned()).into_response()
}
