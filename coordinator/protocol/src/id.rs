//! Typed ids: a bare number or UUID never says what it names.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use crate::Timestamp;

/// A transaction's id: a UUID of version 7, whose first 48 bits are milliseconds since 1970, so that history
/// can be partitioned by ranges of the id (DESIGN §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TransactionId(Uuid);

/// Why a text or 16 bytes are not a [`TransactionId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a UUID at all.
    #[error(
        "`{0}` is not a transaction id: expected a UUID like 01890a5d-ac96-774b-bcce-b302099a8057"
    )]
    Malformed(String),
    /// A UUID, but one without a time in it.
    #[error(
        "`{id}` is a UUID of version {version}; transaction ids are of version 7 (leave the id out and the \
         coordinator makes one)"
    )]
    NotVersion7 {
        /// The id as given.
        id: String,
        /// Its version.
        version: usize,
    },
}

impl TransactionId {
    /// Makes an id from a time and 10 bytes of chance, both the caller's.
    pub fn from_parts(now: Timestamp, chance: [u8; 10]) -> Self {
        let millis = u64::try_from(now.as_micros() / 1_000).unwrap_or_default();
        Self(Builder::from_unix_timestamp_millis(millis, &chance).into_uuid())
    }

    /// Reads an id as it is stored.
    pub fn from_bytes(bytes: [u8; 16]) -> Result<Self, IdError> {
        Self::from_uuid(Uuid::from_bytes(bytes))
    }

    /// The id as it is stored.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The time in the id: when its maker made it, to the millisecond, by its maker's clock.
    pub fn made_at(&self) -> Timestamp {
        let bytes = self.0.as_bytes();
        let millis = bytes[..6]
            .iter()
            .fold(0_i64, |sum, byte| (sum << 8) | i64::from(*byte));
        Timestamp::from_micros(millis * 1_000)
    }

    fn from_uuid(uuid: Uuid) -> Result<Self, IdError> {
        match uuid.get_version_num() {
            7 => Ok(Self(uuid)),
            version => Err(IdError::NotVersion7 {
                id: uuid.to_string(),
                version,
            }),
        }
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TransactionId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        // A text from outside is shown back, but not without bound.
        let shown = || text.chars().take(64).collect::<String>();
        Uuid::try_parse(text)
            .map_err(|_| IdError::Malformed(shown()))
            .and_then(Self::from_uuid)
    }
}

impl TryFrom<String> for TransactionId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<TransactionId> for String {
    fn from(id: TransactionId) -> Self {
        id.to_string()
    }
}

/// A message's or branch's place in its transaction, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ordinal(pub u32);

impl fmt::Display for Ordinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One run of one coordinator node: a new number at every start, so that a node that comes back from the
/// dead is somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeEpoch(pub i64);

/// The right to settle one attempt of one piece of work. It rises with every claim of that work, so that a
/// write under an older token touches nothing (P10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LeaseToken(pub i64);

impl LeaseToken {
    /// The token of work that nobody has claimed yet.
    pub const NONE: Self = Self(0);

    /// The token of the next claim.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_keeps_its_time_and_text() {
        let at = Timestamp::from_micros(1_700_000_000_123_000);
        let id = TransactionId::from_parts(at, [7; 10]);
        assert_eq!(id.made_at(), at);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(TransactionId::from_bytes(*id.as_bytes()), Ok(id));
    }

    #[test]
    fn other_versions_and_nonsense_are_refused() {
        let v4 = "9b2e7c1a-3f64-4c1d-8a57-0d1f2e3c4b5a".parse::<TransactionId>();
        assert!(matches!(v4, Err(IdError::NotVersion7 { version: 4, .. })));
        assert!(matches!(
            "order-1".parse::<TransactionId>(),
            Err(IdError::Malformed(_))
        ));
    }
}
