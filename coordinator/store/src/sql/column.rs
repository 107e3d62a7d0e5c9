//! Columns to values. A value that this program would not have written is damage, and is said to be.

use std::{fmt::Display, str::FromStr, time::Duration};

use earnest_protocol::{LeaseToken, NodeEpoch, Timestamp, TransactionId};

use crate::StoreError;

/// What is wrong with a column, for people.
pub(crate) type Read<T> = Result<T, String>;

/// One row of an answer, as a database's driver gives it. NULL is `None`.
pub(crate) trait Cells {
    /// A number or a truth value.
    fn int(&self, at: usize) -> Read<Option<i64>>;
    /// Text, lent.
    fn text(&self, at: usize) -> Read<Option<&str>>;
    /// Bytes, lent; an id is 16 of them.
    fn bytes(&self, at: usize) -> Read<Option<&[u8]>>;
    /// What the column is called.
    fn name(&self, at: usize) -> &str;
}

/// Reads a row's columns from left to right.
pub(crate) struct Columns<'r, C> {
    row: &'r C,
    next: usize,
}

impl<'r, C: Cells> Columns<'r, C> {
    pub(crate) fn of(row: &'r C) -> Self {
        Self { row, next: 0 }
    }

    fn advance(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }

    fn bad(&self, at: usize, why: &dyn Display) -> String {
        format!("column {}: {why}", self.row.name(at))
    }

    fn filled<T>(&self, at: usize, value: Option<T>) -> Read<T> {
        value.ok_or_else(|| self.bad(at, &"is NULL"))
    }

    fn small<T: TryFrom<i64, Error: Display>>(&self, at: usize, value: i64) -> Read<T> {
        T::try_from(value).map_err(|e| self.bad(at, &e))
    }

    /// A number of the type that is asked for.
    pub(crate) fn int<T: TryFrom<i64, Error: Display>>(&mut self) -> Read<T> {
        let at = self.advance();
        let value = self.filled(at, self.row.int(at).map_err(|e| self.bad(at, &e))?)?;
        self.small(at, value)
    }

    /// The same, or NULL.
    pub(crate) fn int_option<T: TryFrom<i64, Error: Display>>(&mut self) -> Read<Option<T>> {
        let at = self.advance();
        let value = self.row.int(at).map_err(|e| self.bad(at, &e))?;
        value.map(|value| self.small(at, value)).transpose()
    }

    pub(crate) fn truth(&mut self) -> Read<bool> {
        Ok(self.int::<i64>()? != 0)
    }

    /// Text, lent.
    pub(crate) fn str(&mut self) -> Read<&'r str> {
        let at = self.advance();
        let value = self.row.text(at).map_err(|e| self.bad(at, &e))?;
        self.filled(at, value)
    }

    /// Text.
    pub(crate) fn text(&mut self) -> Read<String> {
        self.str().map(str::to_owned)
    }

    /// The same, or NULL.
    pub(crate) fn text_option(&mut self) -> Read<Option<String>> {
        let at = self.advance();
        let value = self.row.text(at).map_err(|e| self.bad(at, &e))?;
        Ok(value.map(str::to_owned))
    }

    /// A text that is parsed without being copied first.
    pub(crate) fn parse<T: FromStr<Err: Display>>(&mut self) -> Read<T> {
        let at = self.next;
        self.str()?.parse().map_err(|e| self.bad(at, &e))
    }

    /// The same, or NULL.
    pub(crate) fn parse_option<T: FromStr<Err: Display>>(&mut self) -> Read<Option<T>> {
        let at = self.advance();
        let text = self.row.text(at).map_err(|e| self.bad(at, &e))?;
        text.map(|text| text.parse().map_err(|e| self.bad(at, &e)))
            .transpose()
    }

    /// The same, where an empty text stands for nothing.
    pub(crate) fn parse_filled<T: FromStr<Err: Display>>(&mut self) -> Read<Option<T>> {
        let at = self.next;
        match self.str()? {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|e| self.bad(at, &e)),
        }
    }

    /// JSON.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&mut self) -> Read<T> {
        let at = self.next;
        serde_json::from_str(self.str()?).map_err(|e| self.bad(at, &e))
    }

    /// Bytes, lent.
    pub(crate) fn bytes(&mut self) -> Read<&'r [u8]> {
        let at = self.next;
        let value = self.bytes_option()?;
        self.filled(at, value)
    }

    /// Bytes, lent, or NULL.
    pub(crate) fn bytes_option(&mut self) -> Read<Option<&'r [u8]>> {
        let at = self.advance();
        self.row.bytes(at).map_err(|e| self.bad(at, &e))
    }

    /// A small number that stands for one of a few words.
    pub(crate) fn word<T>(&mut self, word: impl FnOnce(i64) -> Option<T>) -> Read<T> {
        let at = self.next;
        let number = self.int()?;
        word(number)
            .ok_or_else(|| self.bad(at, &format!("{number} stands for nothing that is known")))
    }

    pub(crate) fn time(&mut self) -> Read<Timestamp> {
        self.int().map(Timestamp::from_micros)
    }

    pub(crate) fn time_option(&mut self) -> Read<Option<Timestamp>> {
        Ok(self.int_option()?.map(Timestamp::from_micros))
    }

    pub(crate) fn duration(&mut self) -> Read<Duration> {
        self.int().map(Duration::from_micros)
    }

    pub(crate) fn id(&mut self) -> Read<TransactionId> {
        let at = self.next;
        let bytes = self.bytes()?;
        let bytes = <[u8; 16]>::try_from(bytes).map_err(|e| self.bad(at, &e))?;
        TransactionId::from_bytes(bytes).map_err(|e| self.bad(at, &e))
    }

    pub(crate) fn id_option(&mut self) -> Read<Option<TransactionId>> {
        let at = self.next;
        if self.bytes_option()?.is_none() {
            return Ok(None);
        }
        self.next = at;
        self.id().map(Some)
    }

    /// -1 stands for nobody: a NULL would have no place of its own in the order of an index.
    pub(crate) fn holder(&mut self) -> Read<Option<NodeEpoch>> {
        Ok(match self.int()? {
            FREE => None,
            epoch => Some(NodeEpoch(epoch)),
        })
    }

    pub(crate) fn token(&mut self) -> Read<LeaseToken> {
        self.int().map(LeaseToken)
    }

    /// The version of the row's meaning: a newer program's rows must not be read as if they were ours.
    pub(crate) fn format(&mut self) -> Read<()> {
        match self.int::<i64>()? {
            PLAIN..=FORMAT => Ok(()),
            other => Err(format!("{NEWER}: format {other}; this one reads {FORMAT}")),
        }
    }
}

/// The newest version of the meaning of hot rows: what belongs to a transaction with branches, which older programs leave alone.
pub(crate) const FORMAT: i64 = 2;
/// The version of all that has nothing to do with branches, and that older programs take up like their own.
pub(crate) const PLAIN: i64 = 1;

/// The version of a row of a transaction that has to do with branches, or not.
pub(crate) fn format(is_tcc: bool) -> i64 {
    if is_tcc { FORMAT } else { PLAIN }
}

/// How a text begins that says that a row is not damaged.
const NEWER: &str = "written by a newer version of Earnest";

/// The holder of what nobody holds.
pub(crate) const FREE: i64 = -1;

/// How a holder is kept.
pub(crate) fn holder(holder: Option<NodeEpoch>) -> i64 {
    holder.map_or(FREE, |NodeEpoch(epoch)| epoch)
}

/// A duration as it is kept.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// A count as a bound LIMIT.
pub(crate) fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Reads one row, or says which row of `table` can't be read: it is named by its first column.
pub(crate) fn read_row<C: Cells, T>(
    table: &str,
    row: &C,
    read: impl FnOnce(Columns<'_, C>) -> Read<T>,
) -> Result<T, StoreError> {
    read(Columns::of(row)).map_err(|why| {
        let bytes = row.bytes(0).ok().flatten().unwrap_or_default();
        let id = <[u8; 16]>::try_from(bytes)
            .ok()
            .and_then(|bytes| TransactionId::from_bytes(bytes).ok());
        let name = match (id, row.text(0)) {
            (Some(id), _) => id.to_string(),
            (None, Ok(Some(text))) => text.to_owned(),
            _ => format!("{bytes:02x?}"),
        };
        let text = format!("row {name} of table {table}: {why}");
        if why.starts_with(NEWER) {
            StoreError::Newer(text)
        } else {
            StoreError::Corrupt(text)
        }
    })
}

/// Reads all rows of an answer.
pub(crate) fn read_rows<C: Cells, T>(
    table: &str,
    rows: &[C],
    read: impl Fn(Columns<'_, C>) -> Read<T>,
) -> Result<Vec<T>, StoreError> {
    rows.iter().map(|row| read_row(table, row, &read)).collect()
}

/// Rows that can be read, and how many can't.
pub(crate) type Readable<T> = (Vec<T>, usize);

/// Reads all rows of an answer that can be read. The others are logged.
pub(crate) fn readable_rows<C: Cells, T>(
    table: &str,
    rows: &[C],
    read: impl Fn(Columns<'_, C>) -> Read<T>,
) -> Readable<T> {
    let (mut readable, mut damaged) = (Vec::new(), 0);
    for row in rows {
        match read_row(table, row, &read) {
            Ok(row) => readable.push(row),
            Err(StoreError::Newer(why)) => tracing::warn!(why, "a row is left to a newer version"),
            Err(error) => {
                damaged += 1;
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "a damaged row is left alone");
            }
        }
    }
    (readable, damaged)
}
