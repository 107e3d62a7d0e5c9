//! Rewards gives cashback for every payment, and something more for every tenth of a payer's, for as long as there is budget. A
//! refund takes the cashback back; the reward for the task stays.
//!
//! A payment that comes when the budget can't cover its cashback gets none; that is an answer, not a failure. Everything is written into
//! one journal, also what was not given, and why the budget is what it is can be read there. A payment and its refund come under
//! different topics, so either may come first.

use clap::Parser;
use earnest::{
    HandlerError,
    sqlite::{Earnest, Tx},
    sqlx,
};
use payments::{
    Args, PAYMENT_MADE, PAYMENT_REFUNDED, Payment, Refund, Service, TASK, TASK_REWARD, cashback,
};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS budget (
        id        INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
        total     INTEGER NOT NULL,
        remaining INTEGER NOT NULL CHECK (remaining >= 0)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS journal (
        number  INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        payment TEXT    NOT NULL,
        payer   TEXT    NOT NULL,
        why     TEXT    NOT NULL, -- cashback, task, refund
        cents   INTEGER NOT NULL  -- given; negative: taken back
    ) STRICT;
    CREATE INDEX IF NOT EXISTS journal_payment ON journal (payment);
    CREATE INDEX IF NOT EXISTS journal_payer ON journal (payer, why);";

/// Gives cashback and rewards for the payments that were made.
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
            made(&mut tx, &payment).await
        })
        .on(PAYMENT_REFUNDED, |mut tx, refund: Refund| async move {
            let given = of_payment(&mut tx, &refund.payment.id, "cashback").await?;
            enter(&mut tx, &refund.payment, "refund", -given.unwrap_or(0)).await
        })
        .migrate()
        .connect(&flags.common.coordinator)
        .await?;
    service.serve(earnest.router()).await
}

async fn made(tx: &mut Tx, payment: &Payment) -> Result<(), HandlerError> {
    let refunded = of_payment(tx, &payment.id, "refund").await?.is_some();
    let earned = if refunded { 0 } else { cashback(payment) };
    let given = covered(tx, earned).await?;
    enter(tx, payment, "cashback", given).await?;
    let count = "SELECT count(*) FROM journal WHERE payer = $1 AND why = 'cashback'";
    let made: i64 = sqlx::query_scalar(count)
        .bind(&payment.payer)
        .fetch_one(&mut **tx)
        .await?;
    if made % TASK == 0 {
        let given = covered(tx, TASK_REWARD).await?;
        enter(tx, payment, "task", given).await?;
    }
    Ok(())
}

/// `cents`, or nothing if the budget does not cover them.
async fn covered(tx: &mut Tx, cents: i64) -> Result<i64, HandlerError> {
    let remaining: i64 = sqlx::query_scalar("SELECT remaining FROM budget")
        .fetch_one(&mut **tx)
        .await?;
    Ok(if cents <= remaining { cents } else { 0 })
}

/// What was given or taken back for a payment; none: it was not heard of.
async fn of_payment(tx: &mut Tx, payment: &str, why: &str) -> Result<Option<i64>, HandlerError> {
    let cents = sqlx::query_scalar("SELECT cents FROM journal WHERE payment = $1 AND why = $2")
        .bind(payment)
        .bind(why)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(cents)
}

async fn enter(tx: &mut Tx, payment: &Payment, why: &str, cents: i64) -> Result<(), HandlerError> {
    sqlx::query("UPDATE budget SET remaining = remaining - $1")
        .bind(cents)
        .execute(&mut **tx)
        .await?;
    sqlx::query("INSERT INTO journal (payment, payer, why, cents) VALUES ($1, $2, $3, $4)")
        .bind(&payment.id)
        .bind(&payment.payer)
        .bind(why)
        .bind(cents)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
