//! Columns to values and back. A value that this program would not have written is damage, and is said to be.

use std::{fmt::Display, str::FromStr, time::Duration};

use earnest_protocol::{LeaseToken, NodeEpoch, Timestamp, TransactionId};
use rusqlite::{Row, types::FromSql};

use crate::StoreError;

/// What is wrong with a column, for people.
pub(super) type Read<T> = Result<T, String>;

/// `None` for a row that is damaged, which is logged: it must not hold up what has nothing to do with it.
pub(super) fn readable<T>(read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::Corrupt(why)) => {
            tracing::error!(why, "a row can't be read and is left alone");
            Ok(None)
        }
        Err(other) => Err(other),
    }
}

/// Reads a row's columns from left to right.
pub(super) struct Columns<'r, 's> {
    row: &'r Row<'s>,
    next: usize,
}

impl<'r, 's> Columns<'r, 's> {
    pub(super) fn of(row: &'r Row<'s>) -> Self {
        Self { row, next: 0 }
    }

    fn advance(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }

    fn bad(&self, at: usize, why: &dyn Display) -> String {
        let name = self.row.as_ref().column_name(at).unwrap_or("?");
        format!("column {name}: {why}")
    }

    /// A plain value.
    pub(super) fn get<T: FromSql>(&mut self) -> Read<T> {
        let at = self.advance();
        self.row.get(at).map_err(|e| self.bad(at, &e))
    }

    /// A text that is parsed without being copied first.
    pub(super) fn parse<T: FromStr<Err: Display>>(&mut self) -> Read<T> {
        let at = self.advance();
        let text = self.row.get_ref(at).map_err(|e| self.bad(at, &e))?;
        let text = text.as_str().map_err(|e| self.bad(at, &e))?;
        text.parse().map_err(|e| self.bad(at, &e))
    }

    /// The same, or NULL.
    pub(super) fn parse_option<T: FromStr<Err: Display>>(&mut self) -> Read<Option<T>> {
        let at = self.next;
        let text = self.row.get_ref(at).map_err(|e| self.bad(at, &e))?;
        if text.as_str_or_null().is_ok_and(|text| text.is_none()) {
            self.next += 1;
            return Ok(None);
        }
        self.parse().map(Some)
    }

    /// The same, where an empty text stands for nothing.
    pub(super) fn parse_filled<T: FromStr<Err: Display>>(&mut self) -> Read<Option<T>> {
        let at = self.next;
        let text = self.row.get_ref(at).map_err(|e| self.bad(at, &e))?;
        if text.as_str().is_ok_and(str::is_empty) {
            self.next += 1;
            return Ok(None);
        }
        self.parse().map(Some)
    }

    /// JSON.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&mut self) -> Read<T> {
        let at = self.advance();
        let text = self.row.get_ref(at).map_err(|e| self.bad(at, &e))?;
        let text = text.as_str().map_err(|e| self.bad(at, &e))?;
        serde_json::from_str(text).map_err(|e| self.bad(at, &e))
    }

    /// Bytes, lent.
    pub(super) fn bytes(&mut self) -> Read<&'r [u8]> {
        let at = self.advance();
        let value = self.row.get_ref(at).map_err(|e| self.bad(at, &e))?;
        value.as_blob().map_err(|e| self.bad(at, &e))
    }

    /// Bytes, lent, or NULL.
    pub(super) fn bytes_option(&mut self) -> Read<Option<&'r [u8]>> {
        let at = self.advance();
        let value = self.row.get_ref(at).map_err(|e| self.bad(at, &e))?;
        value.as_blob_or_null().map_err(|e| self.bad(at, &e))
    }

    /// A small number that stands for one of a few words.
    pub(super) fn word<T>(&mut self, word: impl FnOnce(i64) -> Option<T>) -> Read<T> {
        let at = self.next;
        let number = self.get()?;
        word(number)
            .ok_or_else(|| self.bad(at, &format!("{number} stands for nothing that is known")))
    }

    pub(super) fn time(&mut self) -> Read<Timestamp> {
        self.get().map(Timestamp::from_micros)
    }

    pub(super) fn time_option(&mut self) -> Read<Option<Timestamp>> {
        Ok(self.get::<Option<i64>>()?.map(Timestamp::from_micros))
    }

    pub(super) fn duration(&mut self) -> Read<Duration> {
        let at = self.next;
        let micros = self.get::<i64>()?;
        u64::try_from(micros)
            .map(Duration::from_micros)
            .map_err(|e| self.bad(at, &e))
    }

    pub(super) fn id(&mut self) -> Read<TransactionId> {
        let at = self.next;
        let bytes = self.bytes()?;
        let bytes = <[u8; 16]>::try_from(bytes).map_err(|e| self.bad(at, &e))?;
        TransactionId::from_bytes(bytes).map_err(|e| self.bad(at, &e))
    }

    pub(super) fn id_option(&mut self) -> Read<Option<TransactionId>> {
        let at = self.next;
        if self.bytes_option()?.is_none() {
            return Ok(None);
        }
        self.next = at;
        self.id().map(Some)
    }

    pub(super) fn holder(&mut self) -> Read<Option<NodeEpoch>> {
        Ok(self.get::<Option<i64>>()?.map(NodeEpoch))
    }

    pub(super) fn token(&mut self) -> Read<LeaseToken> {
        self.get().map(LeaseToken)
    }

    /// The version of the row's meaning: a newer program's rows must not be read as if they were ours.
    pub(super) fn format(&mut self) -> Read<()> {
        match self.get::<i64>()? {
            FORMAT => Ok(()),
            other => Err(format!(
                "format {other} was written by a newer version of Earnest; this one reads {FORMAT}"
            )),
        }
    }
}

/// The version of the meaning of hot rows that this program writes and reads.
pub(super) const FORMAT: i64 = 1;

/// Names the row that can't be read by its first column, and its table.
pub(super) fn corrupt(table: &str, row: &Row<'_>, why: &str) -> StoreError {
    let name = match row.get_ref(0) {
        Ok(rusqlite::types::ValueRef::Blob(bytes)) => {
            match <[u8; 16]>::try_from(bytes).map(TransactionId::from_bytes) {
                Ok(Ok(id)) => id.to_string(),
                _ => format!("{bytes:02x?}"),
            }
        }
        Ok(rusqlite::types::ValueRef::Text(text)) => String::from_utf8_lossy(text).into_owned(),
        Ok(other) => format!("{other:?}"),
        Err(_) => "?".into(),
    };
    StoreError::Corrupt(format!("row {name} of table {table}: {why}"))
}

/// A duration as it is kept.
pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// A count as a bound LIMIT.
pub(super) fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
