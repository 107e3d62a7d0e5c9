//! What can go wrong in a database in memory, as a test or a simulation asks for it.

use std::time::Duration;

/// What is about to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Operation {
    /// A connection is taken and a transaction opened.
    Begin,
    /// One statement inside of a transaction.
    Statement,
    /// COMMIT.
    Commit,
    /// ROLLBACK, when somebody waits for it.
    Rollback,
}

/// What goes wrong with one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It is answered with an error that passes, and the transaction is rolled back: a deadlock, a serialization failure.
    Refused,
    /// The connection breaks before it arrives. The server rolls back.
    Lost,
    /// It is done, and the connection breaks before the answer.
    Unanswered,
    /// The connection breaks, and the server notices only after this long. Until then it keeps the locks; then COMMIT, if it was
    /// one, takes effect, and anything else is rolled back.
    UnansweredFor(Duration),
    /// The transaction is rolled back without a word, and the statement runs in another one, as after a deadlock whose error was
    /// ignored. At COMMIT it is the same as [`Fault::Refused`]: no database takes a COMMIT for a rollback.
    TransactionLost,
    /// It takes this long.
    Slow(Duration),
}
