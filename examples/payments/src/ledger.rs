//! The ledger keeps the books: for every payment that was made or given back some lines, which add up to nothing; and of each day what
//! each account's lines come to.
//!
//! There is no rule in its tables that forbids writing a payment twice. That it never happens is the inbox's work.

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use clap::Parser;
use earnest::{
    HandlerError,
    sqlite::{Earnest, Tx},
    sqlx::{self, SqlitePool},
};
use payments::{
    Args, COUPON_FUND, PAYMENT_MADE, PAYMENT_REFUNDED, Payment, RECEIVABLE, Refund, Service,
};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS line (
        number   INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        day      TEXT    NOT NULL,
        document TEXT    NOT NULL, -- the id of the payment or of the refund
        account  TEXT    NOT NULL,
        cents    INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS line_day ON line (day, account, cents);
    CREATE TABLE IF NOT EXISTS roll_up (
        day     TEXT    NOT NULL,
        account TEXT    NOT NULL,
        lines   INTEGER NOT NULL,
        cents   INTEGER NOT NULL,
        PRIMARY KEY (day, account)
    ) STRICT;";

/// Keeps the books of the payments that were made.
#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    common: Args,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let service = Service::open(&flags.common, SCHEMA).await?;
    let earnest = Earnest::service("ledger")
        .pool(service.pool.clone())
        .advertise(&service.url)
        .on(PAYMENT_MADE, |mut tx, payment: Payment| async move {
            write(&mut tx, &payment.id, lines(&payment, 1)).await
        })
        .on(PAYMENT_REFUNDED, |mut tx, refund: Refund| async move {
            write(&mut tx, &refund.id, lines(&refund.payment, -1)).await
        })
        .migrate()
        .connect(&flags.common.coordinator)
        .await?;
    let app = Router::new()
        .route("/roll-up", post(roll_up))
        .with_state(service.pool.clone())
        .merge(earnest.router());
    service.serve(app).await
}

/// `sign`: 1 when it is made, -1 when it is given back.
fn lines(payment: &Payment, sign: i64) -> [(String, i64); 4] {
    [
        (payment.payee.clone(), sign * payment.cents),
        (payment.payer.clone(), -sign * payment.balance_cents()),
        (COUPON_FUND.to_owned(), -sign * payment.coupon_cents()),
        (RECEIVABLE.to_owned(), -sign * payment.credit_cents),
    ]
}

async fn write(tx: &mut Tx, document: &str, lines: [(String, i64); 4]) -> Result<(), HandlerError> {
    for (account, cents) in lines.into_iter().filter(|(_, cents)| *cents != 0) {
        sqlx::query("INSERT INTO line (day, document, account, cents) VALUES (date(), $1, $2, $3)")
            .bind(document)
            .bind(account)
            .bind(cents)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// POST /roll-up: every day up to now, as often as one likes; tells how many sums there are. In one statement, so that no line is
/// in between.
async fn roll_up(State(pool): State<SqlitePool>) -> Result<Json<u64>, StatusCode> {
    let rolled = sqlx::query(
        "INSERT INTO roll_up SELECT day, account, count(*), sum(cents) FROM line WHERE true GROUP BY day, account \
         ON CONFLICT DO UPDATE SET lines = excluded.lines, cents = excluded.cents",
    )
    .execute(&pool)
    .await
    .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(Json(rolled.rows_affected()))
}
