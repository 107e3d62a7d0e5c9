//! The four processes of the platform.

use std::fmt;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Member {
    Coordinator,
    Cashier,
    Ledger,
    Rewards,
}

impl Member {
    pub(crate) const ALL: [Self; 4] = [
        Self::Coordinator,
        Self::Cashier,
        Self::Ledger,
        Self::Rewards,
    ];

    /// Its name: of the service, of its subscription, of its database and log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Coordinator => "coordinator",
            Self::Cashier => "cashier",
            Self::Ledger => "ledger",
            Self::Rewards => "rewards",
        }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
