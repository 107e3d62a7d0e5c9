//! MySQL's rows, column by column.

use sqlx::{
    Column, Decode, MySql, Row, ValueRef,
    mysql::{MySqlRow, MySqlValueRef},
};

use crate::sql::column::{Cells, Read};

/// Names are kept as bytes and read as text, so the driver's check of types, which knows collations, is passed by.
fn cell<'r, T: Decode<'r, MySql>>(row: &'r MySqlRow, at: usize) -> Read<Option<T>> {
    let value: MySqlValueRef<'r> = row.try_get_raw(at).map_err(|e| e.to_string())?;
    if value.is_null() {
        return Ok(None);
    }
    T::decode(value).map(Some).map_err(|e| e.to_string())
}

impl Cells for MySqlRow {
    fn int(&self, at: usize) -> Read<Option<i64>> {
        cell(self, at)
    }

    fn text(&self, at: usize) -> Read<Option<&str>> {
        cell(self, at)
    }

    fn bytes(&self, at: usize) -> Read<Option<&[u8]>> {
        cell(self, at)
    }

    fn name(&self, at: usize) -> &str {
        self.columns().get(at).map_or("?", Column::name)
    }
}
