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
use earnest::{Error, sqlite::Earnest, sqlx};
use payments::{Args, PAYMENT_MADE, Payment, Service};

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

/// Takes payments: POST /payments {"id": …, "payer": …, "payee": …, "cents": …}.
#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    common: Args,
    /// How long after a payment was prepared the coordinator asks what became of it, when nobody told it.
    #[arg(long, default_value_t = 10_000)]
    check_after_ms: u64,
    /// An account to open where it is missing, and the cents in it; may be repeated.
    #[arg(long, value_name = "NAME=CENTS", value_parser = account)]
    account: Vec<(String, i64)>,
}

fn account(text: &str) -> Result<(String, i64), String> {
    let parsed = text
        .split_once('=')
        .and_then(|(name, cents)| Some((name.to_owned(), cents.parse().ok()?)));
    parsed.ok_or_else(|| "write it as name=cents, such as ada=5000".to_owned())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let service = Service::open(&flags.common, SCHEMA).await?;
    for (name, cents) in flags.account {
        sqlx::query("INSERT INTO account VALUES ($1, $2, $2) ON CONFLICT DO NOTHING")
            .bind(name)
            .bind(cents)
            .execute(&service.pool)
            .await?;
    }
    let earnest = Earnest::service("cashier")
        .pool(service.pool.clone())
        .advertise(&service.url)
        .check_after(Duration::from_millis(flags.check_after_ms))
        .migrate()
        .connect(&flags.common.coordinator)
        .await?;
    let app = Router::new()
        .route("/payments", post(pay))
        .with_state(earnest.clone())
        .merge(earnest.router());
    service.serve(app).await
}

async fn pay(
    State(earnest): State<Earnest>,
    Json(payment): Json<Payment>,
) -> Result<(StatusCode, String), Refused> {
    if payment.cents <= 0 {
        return Err(Refused::NothingToPay);
    }
    let mut tx = earnest.begin().await?;
    let before = sqlx::query_scalar("SELECT transaction_id FROM payment WHERE id = $1")
        .bind(&payment.id)
        .fetch_optional(&mut *tx)
        .await?;
    if let Some(transaction) = before {
        return Ok((StatusCode::OK, transaction)); // asked before: not paid again
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
    let transaction = tx.commit().await?;
    Ok((StatusCode::CREATED, transaction.to_string()))
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
