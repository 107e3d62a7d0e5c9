//! Many rows in one statement: lists of keys, lists of values, and tables made of parameters.
//!
//! A statement's text says how many rows it has, and each text is prepared anew. So lists of keys come in sizes that are powers of
//! two: the last key stands there more than once, or a row of NULLs, which is no row's key. Every value is bound; nothing that
//! comes from outside is ever part of a text.

use sqlx::{MySql, QueryBuilder};

use earnest_protocol::TransactionId;

use crate::{BranchKey, DeliveryKey, sql::delivery};

/// Rows of one statement at most. (MariaDB takes an IN of 1000 for a join, and a statement has at most 65,535 parameters.)
pub(super) const ROWS: usize = 512;

/// A statement in the making.
pub(super) type Sql = QueryBuilder<MySql>;

/// How a row stands in its statement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// `(?, ?)`: the columns that are written say what the types are.
    Values,
    /// `SELECT CAST(? AS …), …`: a table of its own, with types of its own.
    Table,
    /// The same, with NULLs in the place of all values.
    Nulls,
}

/// One row, column by column.
pub(super) struct Row<'a> {
    sql: &'a mut Sql,
    shape: Shape,
    names: &'a [&'a str],
    column: usize,
}

impl Row<'_> {
    fn comma(&mut self) {
        if self.column > 0 {
            self.sql.push(", ");
        }
    }

    /// Ends a column that was cast.
    fn name(&mut self, cast: &str) {
        self.sql.push(cast);
        if let Some(name) = self.names.get(self.column) {
            self.sql.push(" AS ").push(name);
        }
    }

    /// A number.
    pub(super) fn int(mut self, value: impl Into<Option<i64>>) -> Self {
        self.comma();
        let value = value.into().filter(|_| self.shape != Shape::Nulls);
        if self.shape == Shape::Values {
            self.sql.push_bind(value);
        } else {
            self.sql.push("CAST(").push_bind(value);
            self.name(" AS SIGNED)");
        }
        self.column += 1;
        self
    }

    /// Bytes, or a name: what is compared byte by byte.
    pub(super) fn bytes<'v>(mut self, value: impl Into<Option<&'v [u8]>>) -> Self {
        self.comma();
        let value = value.into().filter(|_| self.shape != Shape::Nulls);
        if self.shape == Shape::Values {
            self.sql.push_bind(value);
        } else {
            self.sql.push("CAST(").push_bind(value);
            self.name(" AS BINARY)");
        }
        self.column += 1;
        self
    }

    /// Text for people.
    pub(super) fn text<'v>(mut self, value: impl Into<Option<&'v str>>) -> Self {
        self.comma();
        let value = value.into().filter(|_| self.shape != Shape::Nulls);
        if self.shape == Shape::Values {
            self.sql.push_bind(value);
        } else {
            self.sql.push("CAST(").push_bind(value);
            self.name(" AS CHAR)");
        }
        self.column += 1;
        self
    }

    /// A transaction.
    pub(super) fn id(self, id: &TransactionId) -> Self {
        self.bytes(&id.as_bytes()[..])
    }

    /// The two columns of a branch's key.
    pub(super) fn branch(self, key: &BranchKey) -> Self {
        self.id(&key.transaction).int(i64::from(key.ordinal.0))
    }

    /// The three columns of a delivery's key.
    pub(super) fn key(self, key: &DeliveryKey) -> Self {
        self.id(&key.transaction)
            .int(i64::from(key.ordinal.0))
            .bytes(delivery::subscription(key).as_bytes())
    }
}

/// `(?, ?), (?, ?)`: rows to insert, at most [`ROWS`] of them.
pub(super) fn values<R>(sql: &mut Sql, rows: &[R], row: impl for<'r> Fn(Row<'r>, &R) -> Row<'r>) {
    for (at, value) in rows.iter().enumerate() {
        sql.push(if at == 0 { "(" } else { ", (" });
        row(begin(sql, Shape::Values, &[]), value);
        sql.push(")");
    }
}

/// `((?, ?), (?, ?))`: keys to look for, in [`padded`] number, and two at least: MariaDB takes an IN of one row for an
/// equality of rows, and an UPDATE that has nothing else to go by then reads the whole table, whatever index it is told to use.
pub(super) fn keys<R>(sql: &mut Sql, rows: &[R], row: impl for<'r> Fn(Row<'r>, &R) -> Row<'r>) {
    sql.push("(");
    let again = rows.first().filter(|_| rows.len() == 1);
    for (at, value) in padded(rows).chain(again).enumerate() {
        sql.push(if at == 0 { "(" } else { ", (" });
        row(begin(sql, Shape::Values, &[]), value);
        sql.push(")");
    }
    sql.push(")");
}

/// `(SELECT … UNION ALL SELECT …)`: rows to join with, whose columns are called `names`, filled up with rows of NULLs.
///
/// (`VALUES` as a table is written in two ways: one that MySQL knows, one that MariaDB knows.)
pub(super) fn table<R>(
    sql: &mut Sql,
    names: &[&str],
    rows: &[R],
    row: impl for<'r> Fn(Row<'r>, &R) -> Row<'r>,
) {
    sql.push("(");
    for (at, value) in padded(rows).enumerate() {
        let (select, names) = if at == 0 {
            ("SELECT ", names)
        } else {
            (" UNION ALL SELECT ", &[][..])
        };
        sql.push(select);
        let shape = if at < rows.len() {
            Shape::Table
        } else {
            Shape::Nulls
        };
        row(begin(sql, shape, names), value);
    }
    sql.push(")");
}

/// `rows`, with the last one again and again, until their number is a power of two.
pub(super) fn padded<R>(rows: &[R]) -> impl Iterator<Item = &R> {
    let missing = rows.len().next_power_of_two() - rows.len();
    let last = rows.last().into_iter().cycle();
    rows.iter().chain(last.take(missing))
}

fn begin<'a>(sql: &'a mut Sql, shape: Shape, names: &'a [&'a str]) -> Row<'a> {
    Row {
        sql,
        shape,
        names,
        column: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(build: impl FnOnce(&mut Sql)) -> String {
        let mut sql = Sql::new("");
        build(&mut sql);
        sql.into_string()
    }

    #[test]
    fn sizes_are_powers_of_two_so_that_texts_repeat() {
        let of = |count: usize| text(|sql| keys(sql, &vec![1; count], |row, n| row.int(*n).int(0)));
        assert_eq!(of(1), "((?, ?), (?, ?))");
        assert_eq!(of(1), of(2));
        assert_eq!(of(3), "((?, ?), (?, ?), (?, ?), (?, ?))");
        assert_eq!(of(3), of(4));
        assert_eq!(of(ROWS - 1), of(ROWS));
    }

    #[test]
    fn tables_name_their_columns_once() {
        let table = text(|sql| {
            table(sql, &["id", "note"], &[1, 2], |row, n| {
                row.int(*n).text("x")
            });
        });
        assert_eq!(
            table,
            "(SELECT CAST(? AS SIGNED) AS id, CAST(? AS CHAR) AS note UNION ALL SELECT CAST(? AS SIGNED), CAST(? AS CHAR))"
        );
    }
}
