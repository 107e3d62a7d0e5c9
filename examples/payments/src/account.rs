//! Accounts: a balance, a part of which may be frozen for payments that are not decided yet.
//!
//! Debit and credit are reservations in three steps. The fence around them is Earnest's: none of the steps asks whether it ran before,
//! or whether another one did.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::get,
};
use clap::Parser;
use earnest::{
    Tcc, TryError, refuse,
    sqlite::{Earnest, Tx},
    sqlx::{self, Sqlite, SqlitePool},
};
use payments::{Amount, Args, Service, money};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS account (
        name        TEXT    NOT NULL PRIMARY KEY,
        opened_with INTEGER NOT NULL,
        free        INTEGER NOT NULL CHECK (free >= 0),
        frozen      INTEGER NOT NULL CHECK (frozen >= 0),
        is_open     INTEGER NOT NULL
    ) STRICT;";

/// Keeps accounts: what is in them, and what of it is frozen.
#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    common: Args,
    /// An account to open where it is missing, and the cents in it; may be repeated.
    #[arg(long, value_name = "NAME=CENTS", value_parser = money)]
    account: Vec<(String, i64)>,
    /// An account that is there and closed; may be repeated.
    #[arg(long, value_name = "NAME")]
    closed: Vec<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let service = Service::open(&flags.common, SCHEMA).await?;
    let open = flags
        .account
        .into_iter()
        .map(|(name, cents)| (name, cents, true));
    let closed = flags.closed.into_iter().map(|name| (name, 0, false));
    for (name, cents, is_open) in open.chain(closed) {
        sqlx::query("INSERT INTO account VALUES ($1, $2, $2, 0, $3) ON CONFLICT DO NOTHING")
            .bind(name)
            .bind(cents)
            .bind(is_open)
            .execute(&service.pool)
            .await?;
    }
    let earnest = Earnest::service("account")
        .pool(service.pool.clone())
        .advertise(&service.url)
        .tcc("debit", Debit)
        .tcc("credit", Credit)
        .migrate()
        .connect(&flags.common.coordinator)
        .await?;
    let app = Router::new()
        .route("/accounts/{name}", get(balance))
        .with_state(service.pool.clone())
        .merge(earnest.router());
    service.serve(app).await
}

/// Takes money out: free → frozen, and then gone, or free again.
struct Debit;

impl Tcc<Sqlite> for Debit {
    type Payload = Amount;

    async fn try_(&self, tx: &mut Tx, debit: &Amount) -> Result<(), TryError> {
        must_be_open(tx, debit).await?;
        let frozen = sqlx::query(
            "UPDATE account SET free = free - $2, frozen = frozen + $2 WHERE name = $1 AND free >= $2",
        )
        .bind(&debit.of)
        .bind(debit.cents)
        .execute(&mut **tx)
        .await?;
        if frozen.rows_affected() == 1 {
            Ok(())
        } else {
            refuse("insufficient balance")
        }
    }

    async fn confirm(&self, tx: &mut Tx, debit: &Amount) -> Result<(), sqlx::Error> {
        change(
            tx,
            "UPDATE account SET frozen = frozen - $2 WHERE name = $1",
            debit,
        )
        .await
    }

    async fn cancel(&self, tx: &mut Tx, debit: &Amount) -> Result<(), sqlx::Error> {
        let back = "UPDATE account SET free = free + $2, frozen = frozen - $2 WHERE name = $1";
        change(tx, back, debit).await
    }

    async fn cancel_without_try(&self, _: &mut Tx, _: &Amount) -> Result<(), sqlx::Error> {
        tracing::info!("cancelled, and never tried"); // nothing to do; the demo counts these
        Ok(())
    }
}

/// Puts money in. Nothing is to be reserved for that, so Try only sees to it that Confirm can't fail.
struct Credit;

impl Tcc<Sqlite> for Credit {
    type Payload = Amount;

    async fn try_(&self, tx: &mut Tx, credit: &Amount) -> Result<(), TryError> {
        must_be_open(tx, credit).await
    }

    async fn confirm(&self, tx: &mut Tx, credit: &Amount) -> Result<(), sqlx::Error> {
        change(
            tx,
            "UPDATE account SET free = free + $2 WHERE name = $1",
            credit,
        )
        .await
    }

    async fn cancel(&self, _: &mut Tx, _: &Amount) -> Result<(), sqlx::Error> {
        Ok(())
    }
}

async fn must_be_open(tx: &mut Tx, amount: &Amount) -> Result<(), TryError> {
    let is_open = sqlx::query_scalar("SELECT is_open FROM account WHERE name = $1")
        .bind(&amount.of)
        .fetch_optional(&mut **tx)
        .await?;
    match is_open {
        Some(true) => Ok(()),
        Some(false) => refuse("the account is closed"),
        None => refuse("there is no such account"),
    }
}

async fn change(tx: &mut Tx, how: &'static str, amount: &Amount) -> Result<(), sqlx::Error> {
    sqlx::query(how)
        .bind(&amount.of)
        .bind(amount.cents)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn balance(
    State(pool): State<SqlitePool>,
    Path(name): Path<String>,
) -> Result<Json<[i64; 2]>, StatusCode> {
    let row = sqlx::query_as("SELECT free, frozen FROM account WHERE name = $1")
        .bind(name)
        .fetch_optional(&pool)
        .await;
    match row {
        Ok(Some((free, frozen))) => Ok(Json([free, frozen])),
        Ok(None) => Err(StatusCode::NOT_FOUND),
        Err(_) => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}
