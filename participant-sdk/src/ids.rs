//! Names of things as types, so that one is never taken for another.
//!
//! Ids are made here from a time and chance that were passed in; this module reads neither.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use crate::clock::{Chance, Clock};

/// The id of a transaction: a UUID of version 7, so ids sort by the time they were made at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransactionId(Uuid);

impl TransactionId {
    pub(crate) fn make(clock: &dyn Clock, chance: &dyn Chance) -> Self {
        let mut random = [0; 10];
        chance.fill(&mut random);
        let millis = u64::try_from(clock.unix_micros() / 1_000).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// The smallest id that a clock showing `unix_micros` makes.
    pub(crate) fn floor(unix_micros: i64) -> Self {
        let millis = u64::try_from(unix_micros / 1_000).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid())
    }

    /// The id as a UUID.
    pub fn as_uuid(&self) -> Uuid {
        self.0
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl FromStr for TransactionId {
    type Err = InvalidTransactionId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = Uuid::try_parse(text).map_err(|_| InvalidTransactionId)?;
        Ok(Self(id))
    }
}

impl From<TransactionId> for Uuid {
    fn from(id: TransactionId) -> Self {
        id.0
    }
}

/// The text is not a UUID.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("not a transaction id: expected a UUID of 36 characters")]
pub struct InvalidTransactionId;

/// One message: its transaction and its position there, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId {
    /// The transaction that sent it.
    pub transaction: TransactionId,
    /// Its position among the transaction's messages, from 0.
    pub ordinal: u32,
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.transaction, self.ordinal)
    }
}

/// One branch: its transaction and its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BranchId {
    /// The transaction that it belongs to.
    pub transaction: TransactionId,
    /// Its place among the transaction's branches, from 0.
    pub ordinal: u32,
}

impl fmt::Display for BranchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/branch {}", self.transaction, self.ordinal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::test::{FixedClock, Seeded};

    #[test]
    fn ids_are_version_7_and_sort_by_time() {
        let chance = Seeded::new(1);
        let early = TransactionId::make(&FixedClock(1_700_000_000_000_000), &chance);
        let late = TransactionId::make(&FixedClock(1_700_000_000_001_000), &chance);
        assert_eq!(early.as_uuid().get_version_num(), 7);
        assert!(early < late);
        assert!(early.to_string() < late.to_string());
        assert!(TransactionId::floor(1_700_000_000_001_000) > early);
        assert!(TransactionId::floor(1_700_000_000_001_000) <= late);
        assert_eq!(early.to_string().parse::<TransactionId>().unwrap(), early);
    }

    #[test]
    fn text_that_is_no_uuid_is_refused() {
        assert!("".parse::<TransactionId>().is_err());
        assert!("order-17".parse::<TransactionId>().is_err());
    }
}
