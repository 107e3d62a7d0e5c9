//! What a [`Tx`](crate::Tx) on a database in memory derefs to: a service's own rows, by key.

use super::{
    session::Session,
    state::{Key, Row},
};

/// The service's own rows inside of an open local transaction. They become visible with its COMMIT.
pub struct Connection {
    pub(super) session: Session,
}

impl Connection {
    /// The row as this transaction sees it: its own, or the last one committed.
    pub async fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, sqlx::Error> {
        self.session.statement().await?;
        Ok(own(self.session.read(&Key::Own(key.to_owned()))))
    }

    /// Writes a row. Waits while another transaction has it.
    pub async fn put(&mut self, key: &str, value: impl Into<Vec<u8>>) -> Result<(), sqlx::Error> {
        let value = value.into();
        self.update(key, |_| Some(value)).await
    }

    /// Deletes a row. Waits while another transaction has it.
    pub async fn delete(&mut self, key: &str) -> Result<(), sqlx::Error> {
        self.update(key, |_| None).await
    }

    /// Reads a row and writes it anew, with nobody in between. `None` is: no row.
    pub async fn update(
        &mut self,
        key: &str,
        change: impl FnOnce(Option<Vec<u8>>) -> Option<Vec<u8>>,
    ) -> Result<(), sqlx::Error> {
        self.session.statement().await?;
        let key = Key::Own(key.to_owned());
        self.session.lock(&key).await?;
        let row = change(own(self.session.read(&key))).map(Row::Own);
        self.session.write(key, row);
        Ok(())
    }
}

fn own(row: Option<Row>) -> Option<Vec<u8>> {
    match row {
        Some(Row::Own(value)) => Some(value),
        _ => None,
    }
}
