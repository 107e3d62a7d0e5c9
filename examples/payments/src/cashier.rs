//! The cashier takes payments. It moves money between the accounts in its own database, and in the same transaction says
//! that the payment was made: the others hear of it if, and only if, the money has moved.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use clap::Parser;
use earnest::{
    Error, TransactionId,
    sqlite::Earnest,
    sqlx::{self},
};
use payments::{Args, PAYMENT_MADE, Payment, Service};
use serde::Deserialize;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS account (
        name        TEXT    NOT NULL PRIMARY KEY,
        opened_with INTEGER NOT NULL,
        balance     INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS payment (
        id             TEXT    NOT NULL PRIMARY KEY,
        payer          TEXT    NOT NULL REFERENCES account,
        -- Looked at only when the transaction commits.
        payee          TEXT    NOT NULL REFERENCES account DEFERRABLE INITIALLY DEFERRED,
        cents          INTEGER NOT NULL,
        transaction_id TEXT    NOT NULL
    ) STRICT;";

/// Takes payments: POST /accounts {name, cents}, POST /payments {id, payer, payee, cents}.
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
    let app = Router::new()
        .route("/accounts", post(open_account))
        .route("/payments", post(pay))
        .with_state(earnest.clone())
        .merge(earnest.router());
    service.serve(app).await
}

async fn pay(
    State(earnest): State<Earnest>,
    Json(payment): Json<Payment>,
) -> Result<Paid, Refused> {
    if payment.cents <= 0 {
        return Err(Refused::NothingToPay);
    }
    let mut tx = earnest.begin().await?;
    let before = sqlx::query_scalar("SELECT transaction_id FROM payment WHERE id = $1")
        .bind(&payment.id)
        .fetch_optional(&mut *tx)
        .await?;
    if let Some(transaction) = before {
        return Ok(Paid::Before(transaction));
    }
    let debited =
        sqlx::query("UPDATE account SET balance = balance - $1 WHERE name = $2 AND balance >= $1")
            .bind(payment.cents)
            .bind(&payment.payer)
            .execute(&mut *tx)
            .await?;
    if debited.rows_affected() == 0 {
        return Err(Refused::NotEnoughMoney); // tx is dropped, so it rolls back
    }
    sqlx::query("UPDATE account SET balance = balance + $1 WHERE name = $2")
        .bind(payment.cents)
        .bind(&payment.payee)
        .execute(&mut *tx)
        .await?;
    sqlx::query("INSERT INTO payment VALUES ($1, $2, $3, $4, $5)")
        .bind(&payment.id)
        .bind(&payment.payer)
        .bind(&payment.payee)
        .bind(payment.cents)
        .bind(tx.id().to_string())
        .execute(&mut *tx)
        .await?;
    tx.business_key(&payment.id)?;
    tx.send(PAYMENT_MADE, &payment.payer, &payment)?;
    Ok(Paid::Now(tx.commit().await?))
}

#[derive(Deserialize)]
struct Account {
    name: String,
    cents: i64,
}

async fn open_account(
    State(earnest): State<Earnest>,
    Json(account): Json<Account>,
) -> Result<(), Refused> {
    let mut tx = earnest.begin().await?;
    sqlx::query("INSERT INTO account VALUES ($1, $2, $2) ON CONFLICT DO NOTHING")
        .bind(&account.name)
        .bind(account.cents)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?; // sends nothing, so the coordinator is not asked
    Ok(())
}

enum Paid {
    Now(TransactionId),
    Before(String),
}

impl IntoResponse for Paid {
    fn into_response(self) -> Response {
        match self {
            Self::Now(transaction) => {
                (StatusCode::CREATED, transaction.to_string()).into_response()
            }
            Self::Before(transaction) => (StatusCode::OK, transaction).into_response(),
        }
    }
}

enum Refused {
    NothingToPay,
    NotEnoughMoney,
    NoSuchPayee,
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Refused {
    fn from(error: E) -> Self {
        match error.into() {
            Error::Database(sqlx::Error::Database(e)) if e.is_foreign_key_violation() => {
                Self::NoSuchPayee
            }
            error => Self::Failed(error),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let reason = match self {
            Self::NothingToPay => "a payment is of more than 0 cents",
            Self::NotEnoughMoney => "the payer has not enough money",
            Self::NoSuchPayee => "the payee has no account here",
            Self::Failed(error) => return error.into_response(),
        };
        (StatusCode::UNPROCESSABLE_ENTITY, reason).into_response()
    }
}
