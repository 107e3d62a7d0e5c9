//! Who can be hit by what: for each store, what one hand can do to processes, and the other to networks and disks.

use crate::{kind::Kind, options::Store};

/// A kind of fault and those whom it can hit.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) kind: Kind,
    /// Hit in every run.
    pub(crate) always: &'static [&'static str],
    /// Hit by chance, by how often.
    pub(crate) targets: &'static [&'static str],
}

const fn reach(
    kind: Kind,
    always: &'static [&'static str],
    targets: &'static [&'static str],
) -> Reach {
    Reach {
        kind,
        always,
        targets,
    }
}

const A: &str = "coordinator";
const B: &str = "coordinator-b";
const DATABASE: &str = "database";

const ONE: &[&str] = &[
    A, A, A, A, "shop", "shop", "books", "mail", "stock", "purse",
];
const TWO: &[&str] = &[
    A, A, B, B, "shop", "shop", "books", "mail", "stock", "purse",
];
const LINES: &[&str] = &[
    A, A, B, B, DATABASE, DATABASE, "shop", "books", "stock", "purse",
];

// Nothing is promised of how a service ends, so only coordinators are stopped.
static ONE_NODE: [&[Reach]; 2] = [
    &[
        reach(Kind::Kill, &[A, "shop", "books", "stock", "purse"], ONE),
        reach(Kind::KillLoop, &[A], ONE),
        reach(Kind::Stop, &[A], &[A]),
        reach(Kind::Pause, &[A, "shop", "purse"], ONE),
    ],
    &[
        reach(Kind::Refuse, &["shop"], ONE),
        reach(Kind::Reset, &[A], ONE),
        reach(Kind::Delay, &[A, A], ONE),
        reach(Kind::SilenceIn, &[A], ONE),
        reach(Kind::SilenceOut, &[A], ONE),
        reach(Kind::Cut, &[A, "books", "stock"], ONE),
        reach(Kind::DiskFull, &[A, "shop"], ONE),
        reach(Kind::Orphan, &["shop", "shop"], &["shop"]),
        reach(Kind::Unconfirmed, &["shop", "shop"], &["shop"]),
    ],
];

static TWO_NODES: [&[Reach]; 2] = [
    &[
        reach(Kind::Kill, &[A, B, "shop", "books", "stock"], TWO),
        reach(Kind::KillLoop, &[B], TWO),
        reach(Kind::Stop, &[A], &[A, B]),
        reach(Kind::Pause, &[A, B], TWO),
        reach(Kind::DatabaseKill, &[DATABASE], &[DATABASE]),
    ],
    &[
        reach(Kind::Refuse, &[A], LINES),
        reach(Kind::Reset, &[B, DATABASE], LINES),
        reach(Kind::Delay, &[A, B], LINES),
        reach(Kind::SilenceIn, &[A], LINES),
        reach(Kind::SilenceOut, &[DATABASE], LINES),
        reach(Kind::Cut, &[B, DATABASE], LINES),
        reach(
            Kind::DiskFull,
            &["shop"],
            &["shop", "books", "mail", "stock", "purse"],
        ),
        reach(Kind::Orphan, &["shop", "shop"], &["shop"]),
        reach(Kind::Unconfirmed, &["shop", "shop"], &["shop"]),
    ],
];

/// What both hands can do.
pub(crate) fn of(store: Store) -> [&'static [Reach]; 2] {
    match store {
        Store::Sqlite => ONE_NODE,
        Store::Postgres => TWO_NODES,
    }
}
