//! The processes of the platform: one coordinator or several, and the services.

use std::fmt;

/// What the coordinators are called: their nodes, logs and, where each has one, databases.
const COORDINATORS: [&str; 3] = ["coordinator", "coordinator-2", "coordinator-3"];

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Member {
    /// Which one of them, from 0; fewer than [`Member::MOST_NODES`].
    Coordinator(u8),
    Cashier,
    Account,
    Credit,
    Coupon,
    Ledger,
    Rewards,
}

impl Member {
    /// How many coordinators there can be.
    pub(crate) const MOST_NODES: u8 = COORDINATORS.len() as u8;
    /// The one that every run has.
    pub(crate) const FIRST: Self = Self::Coordinator(0);
    pub(crate) const SERVICES: [Self; 6] = [
        Self::Cashier,
        Self::Account,
        Self::Credit,
        Self::Coupon,
        Self::Ledger,
        Self::Rewards,
    ];
    /// Those that reserve parts of payments.
    pub(crate) const PARTICIPANTS: [Self; 3] = [Self::Account, Self::Credit, Self::Coupon];
    /// Those that get a message of everything that was made.
    pub(crate) const CONSUMERS: [Self; 2] = [Self::Ledger, Self::Rewards];

    /// The coordinators of a run.
    pub(crate) fn coordinators(nodes: u8) -> impl Iterator<Item = Self> {
        (0..nodes.clamp(1, Self::MOST_NODES)).map(Self::Coordinator)
    }

    /// All processes of a run, the coordinators first.
    pub(crate) fn all(nodes: u8) -> impl Iterator<Item = Self> {
        Self::coordinators(nodes).chain(Self::SERVICES)
    }

    /// The one of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::all(Self::MOST_NODES).find(|member| member.name() == name)
    }

    /// What a subscription of it is called: to payments by its name, to refunds by that and this.
    pub(crate) const REFUNDS: &str = "-refunds";

    /// The one that subscribed under that name.
    pub(crate) fn subscribed(subscription: &str) -> Option<Self> {
        Self::named(
            subscription
                .strip_suffix(Self::REFUNDS)
                .unwrap_or(subscription),
        )
    }

    /// Its name: of the node, of the service, of its database and log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Coordinator(node) => COORDINATORS[usize::from(node)],
            Self::Cashier => "cashier",
            Self::Account => "account",
            Self::Credit => "credit",
            Self::Coupon => "coupon",
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
