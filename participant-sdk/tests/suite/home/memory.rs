//! The database in memory.

use std::sync::{
    Mutex,
    atomic::{AtomicU32, Ordering},
};
use std::time::Duration;

use earnest::{
    memory::{Connection, Database, Fault, Memory, Operation},
    sqlx,
};
use earnest_proto::v1::CheckBackResult;

use super::{Cut, Home};
use crate::common;

/// Lets the next operation of this kind fail, and no other.
fn once(database: &Database, operation: Operation, fault: Fault) {
    let fault = Mutex::new(Some(fault));
    database.inject(move |next| {
        let mut fault = fault.lock().unwrap();
        if next == operation {
            fault.take()
        } else {
            None
        }
    });
}

impl Home for Memory {
    type Fixture = Database;

    const OPEN_ELSEWHERE: CheckBackResult = CheckBackResult::InProgress;

    async fn create() -> Database {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let database = Database::new(format!("database {number} in memory"));
        database.set_lock_timeout(Duration::from_millis(200));
        database
    }

    async fn pool(database: &Database) -> Database {
        database.from_elsewhere()
    }

    async fn insert_order(connection: &mut Connection, id: i64) -> Result<(), sqlx::Error> {
        let key = format!("orders/{id}");
        if connection.get(&key).await?.is_some() {
            return Err(sqlx::Error::Protocol("UNIQUE order".to_owned()));
        }
        connection.put(&key, "100").await
    }

    async fn orders(database: &Database) -> usize {
        database.rows().len()
    }

    async fn outcome(database: &Database, id: &str) -> Option<String> {
        let committed = database.committed(id.parse().unwrap())?;
        Some(
            if committed {
                "committed"
            } else {
                "rolled_back"
            }
            .to_owned(),
        )
    }

    async fn inbox_rows(database: &Database) -> usize {
        database.inbox().len()
    }

    async fn cut(database: &Database, _: &mut Connection, cut: Cut) {
        let fault = match cut {
            Cut::Before => Fault::Lost,
            Cut::After => Fault::Unanswered,
        };
        once(database, Operation::Commit, fault);
    }

    async fn lose(database: &Database, connection: &mut Connection) {
        once(database, Operation::Statement, Fault::TransactionLost);
        assert_eq!(connection.get("no such row").await.unwrap(), None);
    }

    async fn mute(database: &Database) {
        database.set_available(false);
    }

    async fn horizon_us(database: &Database) -> i64 {
        database.horizon_us()
    }

    async fn insert_old_outcomes(database: &Database, count: i64) {
        for at in 1..=count {
            let id = common::id_of_1973(at).parse().unwrap();
            database.insert_outcome(id, true, common::TIME_OF_1973_US + at);
        }
    }
}
