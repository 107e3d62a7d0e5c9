//! The locks of ordered keys that nothing is left of. (Whoever wants one that goes just now makes it anew.)

use sqlx::PgConnection;

use super::{
    super::{PostgresStore, connection::within, error::Context},
    PURGE,
    progress::Progress,
};
use crate::{StoreError, sql::column::limit};

/// Namespace, subscription, key.
pub(super) type Key = (String, String, String);

/// Keys that are looked at in one database transaction, at most.
const STEP: usize = 500;

const FORGET: &str = "DELETE FROM ordered_keys WHERE (namespace, subscription, order_key) IN \
     (SELECT o.namespace, o.subscription, o.order_key FROM ordered_keys o \
     JOIN unnest($1::text[], $2::text[], $3::text[]) AS k (a, b, c) \
     ON o.namespace = k.a AND o.subscription = k.b AND o.order_key = k.c \
     WHERE NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.order_key IS NOT NULL AND d.namespace = k.a \
     AND d.subscription = k.b AND d.order_key = k.c) FOR UPDATE OF o SKIP LOCKED)";

/// Those of these that nothing is left of.
pub(super) async fn forget(
    db: &mut PgConnection,
    [namespaces, names, order_keys]: [Vec<String>; 3],
) -> Result<(), StoreError> {
    sqlx::query(FORGET)
        .bind(namespaces)
        .bind(names)
        .bind(order_keys)
        .execute(db)
        .await
        .context(PURGE)
        .map(drop)
}

impl PostgresStore {
    /// After a range was dropped, whose keys were not listed: looks through all. True: there are more.
    pub(super) async fn forget_keys(
        &self,
        progress: &mut Progress,
        budget: &mut usize,
    ) -> Result<bool, StoreError> {
        const NEXT: &str = "SELECT namespace, subscription, order_key FROM ordered_keys \
             WHERE (namespace, subscription, order_key) > ($1, $2, $3) \
             ORDER BY namespace, subscription, order_key LIMIT $4";
        while let Some((namespace, name, order_key)) = progress.forgetting.take() {
            let count = STEP.min(*budget);
            if count == 0 {
                progress.forgetting = Some((namespace, name, order_key));
                return Ok(true);
            }
            let mut transaction = self.writers.begin(PURGE).await?;
            let work = async {
                let keys: Vec<Key> = sqlx::query_as(NEXT)
                    .bind(namespace)
                    .bind(name)
                    .bind(order_key)
                    .bind(limit(count))
                    .fetch_all(&mut *transaction)
                    .await
                    .context(PURGE)?;
                let last = keys.last().filter(|_| keys.len() == count).cloned();
                let found = keys.len();
                let mut columns: [Vec<String>; 3] = Default::default();
                for (namespace, name, order_key) in keys {
                    columns[0].push(namespace);
                    columns[1].push(name);
                    columns[2].push(order_key);
                }
                forget(&mut transaction, columns).await?;
                Ok::<_, StoreError>((last, found))
            };
            let (last, found) = within(PURGE, work).await?;
            transaction.commit().await?;
            *budget = budget.saturating_sub(found);
            progress.forgetting = last;
        }
        Ok(false)
    }
}
