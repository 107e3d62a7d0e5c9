//! MySQL: what a local transaction changes in a session, and gives back with it.

use earnest::sqlx::{self, MySql, MySqlPool, mysql::MySqlPoolOptions};
use earnest_proto::v1::CheckBackResult;

use crate::{
    common::{SERVICE, check_back, check_back_about},
    home::{Home, World, placed},
};

const UNKNOWN_ID: &str = "01890000-0000-7000-8000-000000000001";

/// What the service does without Earnest commits by itself, and waits for locks as long as it did.
async fn is_as_it_was(pool: &MySqlPool, order: i64) {
    let mut connection = pool.acquire().await.unwrap();
    MySql::insert_order(&mut connection, order).await.unwrap();
    let settings: (i64, i64) = sqlx::query_as(
        "SELECT CAST(@@SESSION.autocommit AS SIGNED), CAST(@@SESSION.innodb_lock_wait_timeout AS SIGNED)",
    )
    .fetch_one(&mut *connection)
    .await
    .unwrap();
    assert_eq!(settings, (1, 7));
}

#[tokio::test]
async fn a_session_goes_back_as_the_service_had_it() {
    let world = World::<MySql>::create().await;
    // One connection, so that it is the same one each time.
    let pool = MySqlPoolOptions::new()
        .max_connections(1)
        .after_connect(|connection, _| {
            Box::pin(async move {
                let set = sqlx::raw_sql("SET SESSION innodb_lock_wait_timeout = 7");
                set.execute(connection).await?;
                Ok(())
            })
        })
        .connect(world.database.database.url())
        .await
        .unwrap();
    let service = earnest::Earnest::<MySql>::service(SERVICE).pool(pool.clone());
    let earnest = world.connect(service).await;

    placed(&earnest).await.commit().await.unwrap();
    is_as_it_was(&pool, 2).await;
    earnest.begin().await.unwrap().rollback().await.unwrap();
    is_as_it_was(&pool, 3).await;
    drop(earnest.begin().await.unwrap());
    is_as_it_was(&pool, 4).await;
    let answer = check_back(&earnest, check_back_about(&earnest, UNKNOWN_ID)).await;
    assert_eq!(answer.result(), CheckBackResult::RolledBack);
    is_as_it_was(&pool, 5).await;
    assert_eq!(world.orders().await, 5);
}
