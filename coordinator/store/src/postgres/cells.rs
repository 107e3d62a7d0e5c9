//! PostgreSQL's rows, column by column. Every statement is prepared, so values come in binary.

use sqlx::{Column, Row, ValueRef, postgres::PgRow};

use crate::sql::column::{Cells, Read};

fn raw(row: &PgRow, at: usize) -> Read<Option<&[u8]>> {
    let value = row.try_get_raw(at).map_err(|e| e.to_string())?;
    if value.is_null() {
        return Ok(None);
    }
    value.as_bytes().map(Some).map_err(|e| e.to_string())
}

impl Cells for PgRow {
    fn int(&self, at: usize) -> Read<Option<i64>> {
        let Some(bytes) = raw(self, at)? else {
            return Ok(None);
        };
        let number = match bytes.len() {
            1 => bytes.first().copied().map(i64::from),
            2 => bytes.first_chunk().map(|b| i16::from_be_bytes(*b).into()),
            4 => bytes.first_chunk().map(|b| i32::from_be_bytes(*b).into()),
            8 => bytes.first_chunk().map(|b| i64::from_be_bytes(*b)),
            _ => None,
        };
        let no_number = || format!("{} bytes are no number", bytes.len());
        number.map(Some).ok_or_else(no_number)
    }

    fn text(&self, at: usize) -> Read<Option<&str>> {
        let text = raw(self, at)?.map(std::str::from_utf8);
        text.transpose().map_err(|e| e.to_string())
    }

    fn bytes(&self, at: usize) -> Read<Option<&[u8]>> {
        raw(self, at)
    }

    fn name(&self, at: usize) -> &str {
        self.columns().get(at).map_or("?", Column::name)
    }
}
