//! The ledger keeps the books: two lines for every payment that was made, which add up to nothing.
//!
//! There is no rule in its tables that forbids writing a payment twice. That it never happens is the inbox's work.

use clap::Parser;
use earnest::{sqlite::Earnest, sqlx};
use payments::{Args, PAYMENT_MADE, Payment, Service};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS line (
        number  INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        payment TEXT    NOT NULL,
        account TEXT    NOT NULL,
        cents   INTEGER NOT NULL
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
            let lines = [
                (payment.payer, -payment.cents),
                (payment.payee, payment.cents),
            ];
            for (account, cents) in lines {
                sqlx::query("INSERT INTO line (payment, account, cents) VALUES ($1, $2, $3)")
                    .bind(&payment.id)
                    .bind(account)
                    .bind(cents)
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
