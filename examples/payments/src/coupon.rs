//! Red packets: each is fresh, frozen for a payment, or used; a refund makes it fresh again. What the time is, the database says.

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use clap::Parser;
use earnest::{
    Tcc, TryError, refuse,
    sqlite::{Earnest, Tx},
    sqlx::{self, Sqlite, SqlitePool},
};
use payments::{Args, Gift, Service, Shown};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS coupon (
        code       TEXT    NOT NULL PRIMARY KEY,
        owner      TEXT    NOT NULL,
        cents      INTEGER NOT NULL,
        expires_at INTEGER NOT NULL, -- seconds since 1970
        state      TEXT    NOT NULL CHECK (state IN ('fresh', 'frozen', 'used', 'returning'))
    ) STRICT;";

/// Gives out red packets and takes them for payments.
#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    common: Args,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let service = Service::open(&flags.common, SCHEMA).await?;
    let earnest = Earnest::service("coupon")
        .pool(service.pool.clone())
        .advertise(&service.url)
        .tcc("redeem", Redeem)
        .tcc("restore", Restore)
        .migrate()
        .connect(&flags.common.coordinator)
        .await?;
    let app = Router::new()
        .route("/coupons", post(give))
        .with_state(service.pool.clone())
        .merge(earnest.router());
    service.serve(app).await
}

/// Uses a red packet: fresh → frozen, and then used, or fresh again.
struct Redeem;

impl Tcc<Sqlite> for Redeem {
    type Payload = Shown;

    async fn try_(&self, tx: &mut Tx, shown: &Shown) -> Result<(), TryError> {
        let coupon: Option<(String, i64, bool, String)> = sqlx::query_as(
            "SELECT owner, cents, expires_at > unixepoch(), state FROM coupon WHERE code = $1",
        )
        .bind(&shown.code)
        .fetch_optional(&mut **tx)
        .await?;
        let Some((owner, cents, still_good, state)) = coupon else {
            return refuse("there is no such coupon");
        };
        if owner != shown.owner {
            refuse("the coupon is somebody else's")
        } else if cents != shown.cents {
            refuse("the coupon is not worth that")
        } else if state != "fresh" {
            refuse("the coupon is used")
        } else if !still_good {
            refuse("the coupon has expired")
        } else {
            Ok(become_(tx, shown, "frozen").await?)
        }
    }

    async fn confirm(&self, tx: &mut Tx, shown: &Shown) -> Result<(), sqlx::Error> {
        become_(tx, shown, "used").await
    }

    async fn cancel(&self, tx: &mut Tx, shown: &Shown) -> Result<(), sqlx::Error> {
        become_(tx, shown, "fresh").await
    }
}

/// Gives a red packet back, for a refund: used → returning, and then fresh, or used as before.
struct Restore;

impl Tcc<Sqlite> for Restore {
    type Payload = Shown;

    async fn try_(&self, tx: &mut Tx, shown: &Shown) -> Result<(), TryError> {
        let state: Option<String> = sqlx::query_scalar("SELECT state FROM coupon WHERE code = $1")
            .bind(&shown.code)
            .fetch_optional(&mut **tx)
            .await?;
        match state.as_deref() {
            Some("used") => Ok(become_(tx, shown, "returning").await?),
            _ => refuse("the coupon was not used"),
        }
    }

    async fn confirm(&self, tx: &mut Tx, shown: &Shown) -> Result<(), sqlx::Error> {
        become_(tx, shown, "fresh").await
    }

    async fn cancel(&self, tx: &mut Tx, shown: &Shown) -> Result<(), sqlx::Error> {
        become_(tx, shown, "used").await
    }
}

async fn become_(tx: &mut Tx, shown: &Shown, state: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE coupon SET state = $2 WHERE code = $1")
        .bind(&shown.code)
        .bind(state)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// POST /coupons: the same code again changes nothing.
async fn give(State(pool): State<SqlitePool>, Json(gift): Json<Gift>) -> StatusCode {
    let given = sqlx::query(
        "INSERT INTO coupon VALUES ($1, $2, $3, unixepoch() + $4, 'fresh') ON CONFLICT DO NOTHING",
    )
    .bind(gift.coupon.code)
    .bind(gift.coupon.owner)
    .bind(gift.coupon.cents)
    .bind(gift.valid_seconds)
    .execute(&pool)
    .await;
    match given {
        Ok(_) => StatusCode::CREATED,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
