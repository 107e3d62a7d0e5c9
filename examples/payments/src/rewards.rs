//! Rewards gives cashback, one percent of every payment, for as long as there is budget for it.
//!
//! A payment that comes when the budget can't cover its cashback gets none; that is an answer, not a failure.

use clap::Parser;
use earnest::{sqlite::Earnest, sqlx};
use payments::{Args, PAYMENT_MADE, Payment, Service};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS budget (
        id        INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
        total     INTEGER NOT NULL,
        remaining INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS cashback (
        number  INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        payment TEXT    NOT NULL,
        payer   TEXT    NOT NULL,
        cents   INTEGER NOT NULL
    ) STRICT;";

/// Gives cashback for the payments that were made.
#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    common: Args,
    /// What there is to give away, in cents; counts only when the database is new.
    #[arg(long, default_value_t = 100_000)]
    budget: i64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let service = Service::open(&flags.common, SCHEMA).await?;
    sqlx::query("INSERT INTO budget VALUES (1, $1, $1) ON CONFLICT DO NOTHING")
        .bind(flags.budget)
        .execute(&service.pool)
        .await?;
    let earnest = Earnest::service("rewards")
        .pool(service.pool.clone())
        .advertise(&service.url)
        .on(PAYMENT_MADE, |mut tx, payment: Payment| async move {
            let cashback = payment.cents / 100;
            let spent =
                sqlx::query("UPDATE budget SET remaining = remaining - $1 WHERE remaining >= $1")
                    .bind(cashback)
                    .execute(&mut *tx)
                    .await?;
            if spent.rows_affected() == 1 {
                sqlx::query("INSERT INTO cashback (payment, payer, cents) VALUES ($1, $2, $3)")
                    .bind(payment.id)
                    .bind(payment.payer)
                    .bind(cashback)
                    .execute(&mut *tx)
                    .await?;
            }
            Ok(())
        })
        .migrate()
        .connect(&flags.common.coordinator)
        .await?;
    service.serve(earnest.router()).await
}
