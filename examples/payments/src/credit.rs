//! Pay-later: each customer has a limit, and a part of it is used, reserved for payments, or about to be repaid by refunds.

use clap::Parser;
use earnest::{
    Tcc, TryError, refuse,
    sqlite::{Earnest, Tx},
    sqlx::{self, Sqlite},
};
use payments::{Amount, Args, Service, money};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS line_of_credit (
        customer TEXT    NOT NULL PRIMARY KEY,
        most     INTEGER NOT NULL,
        used     INTEGER NOT NULL CHECK (used >= 0),
        reserved INTEGER NOT NULL CHECK (reserved >= 0),
        repaying INTEGER NOT NULL CHECK (repaying BETWEEN 0 AND used),
        CHECK (used + reserved <= most)
    ) STRICT;";

/// Lets customers pay later, up to a limit.
#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    common: Args,
    /// A customer where missing, and the limit in cents; may be repeated.
    #[arg(long, value_name = "NAME=CENTS", value_parser = money)]
    limit: Vec<(String, i64)>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let service = Service::open(&flags.common, SCHEMA).await?;
    for (customer, most) in flags.limit {
        sqlx::query("INSERT INTO line_of_credit VALUES ($1, $2, 0, 0, 0) ON CONFLICT DO NOTHING")
            .bind(customer)
            .bind(most)
            .execute(&service.pool)
            .await?;
    }
    let earnest = Earnest::service("credit")
        .pool(service.pool.clone())
        .advertise(&service.url)
        .tcc("reserve", Reserve)
        .tcc("repay", Repay)
        .migrate()
        .connect(&flags.common.coordinator)
        .await?;
    service.serve(earnest.router()).await
}

/// Uses credit: reserved, and then used, or free again.
struct Reserve;

impl Tcc<Sqlite> for Reserve {
    type Payload = Amount;

    async fn try_(&self, tx: &mut Tx, wanted: &Amount) -> Result<(), TryError> {
        let reserved = change(
            tx,
            "UPDATE line_of_credit SET reserved = reserved + $2 \
             WHERE customer = $1 AND used + reserved + $2 <= most",
            wanted,
        )
        .await?;
        if reserved == 1 {
            Ok(())
        } else {
            refuse("credit limit reached")
        }
    }

    async fn confirm(&self, tx: &mut Tx, wanted: &Amount) -> Result<(), sqlx::Error> {
        let used = "UPDATE line_of_credit SET reserved = reserved - $2, used = used + $2 WHERE customer = $1";
        change(tx, used, wanted).await?;
        Ok(())
    }

    async fn cancel(&self, tx: &mut Tx, wanted: &Amount) -> Result<(), sqlx::Error> {
        let free = "UPDATE line_of_credit SET reserved = reserved - $2 WHERE customer = $1";
        change(tx, free, wanted).await?;
        Ok(())
    }
}

/// Gives credit back, for a refund: what is being repaid stays used until it is confirmed.
struct Repay;

impl Tcc<Sqlite> for Repay {
    type Payload = Amount;

    async fn try_(&self, tx: &mut Tx, repaid: &Amount) -> Result<(), TryError> {
        let repaying = change(
            tx,
            "UPDATE line_of_credit SET repaying = repaying + $2 WHERE customer = $1 AND repaying + $2 <= used",
            repaid,
        )
        .await?;
        if repaying == 1 {
            Ok(())
        } else {
            refuse("so much was never used")
        }
    }

    async fn confirm(&self, tx: &mut Tx, repaid: &Amount) -> Result<(), sqlx::Error> {
        let gone = "UPDATE line_of_credit SET repaying = repaying - $2, used = used - $2 WHERE customer = $1";
        change(tx, gone, repaid).await?;
        Ok(())
    }

    async fn cancel(&self, tx: &mut Tx, repaid: &Amount) -> Result<(), sqlx::Error> {
        let as_before = "UPDATE line_of_credit SET repaying = repaying - $2 WHERE customer = $1";
        change(tx, as_before, repaid).await?;
        Ok(())
    }
}

async fn change(tx: &mut Tx, how: &'static str, amount: &Amount) -> Result<u64, sqlx::Error> {
    let changed = sqlx::query(how)
        .bind(&amount.of)
        .bind(amount.cents)
        .execute(&mut **tx)
        .await?;
    Ok(changed.rows_affected())
}
