//! The code that a service writes for TCC, over real sockets: a participant and an initiator, both in axum.

mod common;

use axum::{Json, Router, extract::State, routing::post};
use earnest::{
    Error, Tcc, TransactionId, TryError, refuse,
    sqlite::{Earnest, Tx},
    sqlx::{self, Sqlite, SqlitePool},
};
use earnest_proto::v1::{
    Branch, BranchCall, BranchCallKind, BranchResult, CallBranchesRequest, Phase,
    participant_client::ParticipantClient,
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use common::{
    Database,
    coordinator::{CREATED_AT_US, FakeCoordinator},
};

#[derive(Deserialize, Serialize)]
struct Debit {
    account: i64,
    cents: i64,
}

struct Account;

impl Tcc<Sqlite> for Account {
    type Payload = Debit;

    async fn try_(&self, tx: &mut Tx, d: &Debit) -> Result<(), TryError> {
        let frozen = "UPDATE account SET free = free - $2, frozen = frozen + $2 WHERE id = $1 AND free >= $2";
        let query = sqlx::query(frozen).bind(d.account).bind(d.cents);
        let done = query.execute(&mut **tx).await?;
        if done.rows_affected() == 1 {
            Ok(())
        } else {
            refuse("insufficient balance")
        }
    }

    async fn confirm(&self, tx: &mut Tx, d: &Debit) -> Result<(), sqlx::Error> {
        let used = "UPDATE account SET frozen = frozen - $2 WHERE id = $1";
        let query = sqlx::query(used).bind(d.account).bind(d.cents);
        query.execute(&mut **tx).await?;
        Ok(())
    }

    async fn cancel(&self, tx: &mut Tx, d: &Debit) -> Result<(), sqlx::Error> {
        let back = "UPDATE account SET free = free + $2, frozen = frozen - $2 WHERE id = $1";
        let query = sqlx::query(back).bind(d.account).bind(d.cents);
        query.execute(&mut **tx).await?;
        Ok(())
    }
}

async fn pay(
    State(earnest): State<Earnest>,
    Json(debit): Json<Debit>,
) -> Result<TransactionId, Error> {
    let mut tx = earnest.begin().await?;
    tx.try_("account", "debit", &debit).await?;
    sqlx::query("INSERT INTO orders VALUES ($1, $2)")
        .bind(debit.account)
        .bind(debit.cents)
        .execute(&mut *tx)
        .await?;
    tx.send("payment.made", debit.account, &debit)?;
    tx.commit().await
}

async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

/// What is free, and what is frozen.
async fn account(pool: &SqlitePool) -> (i64, i64) {
    sqlx::query_as("SELECT free, frozen FROM account")
        .fetch_one(pool)
        .await
        .unwrap()
}

/// A call of the coordinator's.
async fn settle(url: &str, kind: BranchCallKind, id: TransactionId, debit: &Debit) -> BranchResult {
    let call = BranchCall {
        kind: kind.into(),
        transaction_id: id.to_string(),
        ordinal: 0,
        namespace: "default".to_owned(),
        branch: Some(Branch {
            service: "account".to_owned(),
            action: "debit".to_owned(),
            payload: serde_json::to_vec(debit).unwrap().into(),
            ..Branch::default()
        }),
        created_at_us: CREATED_AT_US,
        attempt: 1,
        ..BranchCall::default()
    };
    let mut client = ParticipantClient::connect(url.to_owned()).await.unwrap();
    let calls = CallBranchesRequest { calls: vec![call] };
    client
        .call_branches(calls)
        .await
        .unwrap()
        .into_inner()
        .answers[0]
        .result()
}

#[tokio::test]
async fn axum_services_reserve_and_use_or_give_back() {
    let coordinator = FakeCoordinator::start().await;
    let (accounts, payments) = (Database::create().await, Database::create().await);
    sqlx::raw_sql(
        "CREATE TABLE account (id INTEGER PRIMARY KEY, free INTEGER NOT NULL, frozen INTEGER NOT NULL); \
         INSERT INTO account VALUES (1, 100, 0)",
    )
    .execute(&accounts.pool)
    .await
    .unwrap();
    let participant = Earnest::service("account")
        .pool(accounts.pool.clone())
        .tcc("debit", Account)
        .connect(&coordinator.url)
        .await
        .unwrap();
    let url = serve(Router::new().merge(participant.router())).await;
    coordinator.knows("account", &url, participant.resource_id());
    let cashier = Earnest::service("cashier")
        .pool(payments.pool.clone())
        .connect(&coordinator.url)
        .await
        .unwrap();

    let paid = |account, cents| {
        let debit = Debit { account, cents };
        pay(State(cashier.clone()), Json(debit))
    };
    let id = paid(1, 60).await.unwrap();
    assert_eq!(account(&accounts.pool).await, (40, 60));
    assert_eq!(payments.orders().await, 1);
    let names = ["Prepare", "RegisterBranches", "Confirm"];
    assert_eq!(coordinator.call_names(), names);

    // More than is free.
    let refused = paid(1, 50).await.unwrap_err();
    assert!(
        matches!(&refused, Error::Refused { reason, .. } if reason == "insufficient balance"),
        "{refused:?}"
    );
    coordinator.called("Cancel").await;
    // Reserved, and then the cashier's own database says no.
    let error = paid(1, 40).await.unwrap_err();
    assert!(matches!(error, Error::Database(_)), "{error:?}");
    coordinator.called_times("Cancel", 2).await;
    assert_eq!(account(&accounts.pool).await, (0, 100));
    let given_up = coordinator
        .calls()
        .into_iter()
        .rev()
        .find_map(|call| match call {
            common::coordinator::Call::Cancel(cancel) => cancel.id.parse().ok(),
            _ => None,
        });
    let given_up: TransactionId = given_up.expect("cancelled");
    assert_eq!(
        coordinator.phase(&given_up.to_string()),
        Some(Phase::Cancelled)
    );

    for _ in 0..2 {
        let (used, back) = (
            Debit {
                account: 1,
                cents: 60,
            },
            Debit {
                account: 1,
                cents: 40,
            },
        );
        let confirmed = settle(&url, BranchCallKind::Confirm, id, &used).await;
        let cancelled = settle(&url, BranchCallKind::Cancel, given_up, &back).await;
        assert_eq!((confirmed, cancelled), (BranchResult::Ok, BranchResult::Ok));
        assert_eq!(account(&accounts.pool).await, (40, 0));
    }

    // The route itself compiles into a service's router.
    let app = Router::new()
        .route("/pay", post(pay))
        .with_state(cashier.clone())
        .merge(cashier.router());
    serve(app).await;
}
