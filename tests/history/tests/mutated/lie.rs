//! Lies about one line of a history, and what each of them breaks.

use earnest_history::{Action, Call, DeliveryAnswer, Event, Invariant, Phase, Reason};

use super::script::ok;

/// One lie: whether it can be told about an event, and what it makes of it.
pub(crate) struct Lie {
    pub(crate) about: fn(&Event) -> bool,
    pub(crate) tell: fn(Event) -> Vec<Event>,
    /// One of these is named.
    pub(crate) breaks: &'static [Invariant],
}

/// Each kind of them.
pub(crate) const LIES: &[Lie] = &[
    Lie {
        about: |event| matches!(event, Event::Run { .. }),
        tell: |event| match event {
            Event::Run {
                seed,
                rest_within_ms,
                mut subscriptions,
            } => {
                subscriptions[0].ordered = true;
                vec![Event::Run {
                    seed,
                    rest_within_ms,
                    subscriptions,
                }]
            }
            other => vec![other],
        },
        breaks: &[Invariant::P9],
    },
    Lie {
        about: |event| matches!(event, Event::Effect { .. }),
        tell: |_| Vec::new(),
        breaks: &[Invariant::M2],
    },
    Lie {
        about: |event| matches!(event, Event::Effect { .. }),
        tell: |event| vec![event.clone(), event],
        breaks: &[Invariant::K2],
    },
    Lie {
        about: |event| matches!(event, Event::Effect { .. }),
        tell: |event| match event {
            Event::Effect { key, .. } => vec![Event::Effect {
                key,
                content: "another".to_owned(),
            }],
            other => vec![other],
        },
        breaks: &[Invariant::M6],
    },
    Lie {
        about: |event| matches!(event, Event::View { phase: Phase::Cancelled, transaction, .. } if !transaction.is_empty()),
        tell: |event| match event {
            Event::View { transaction, .. } => vec![Event::View {
                transaction,
                phase: Phase::Confirmed,
                parked: false,
                decided_by: String::new(),
                deliveries: Vec::new(),
                branches: Vec::new(),
            }],
            other => vec![other],
        },
        // Of one that rolled back a ghost, of one that a client cancelled a second decision.
        breaks: &[Invariant::M1, Invariant::M3],
    },
    Lie {
        about: |event| matches!(event, Event::View { .. }),
        tell: |event| match event {
            Event::View {
                transaction,
                decided_by,
                deliveries,
                branches,
                ..
            } => vec![Event::View {
                transaction,
                phase: Phase::Prepared,
                parked: false,
                decided_by,
                deliveries,
                branches,
            }],
            other => vec![other],
        },
        breaks: &[Invariant::V1],
    },
    Lie {
        about: |event| matches!(event, Event::CheckBack { .. }),
        tell: |event| match &event {
            Event::CheckBack { transaction, .. } => vec![
                Event::Committed {
                    transaction: transaction.clone(),
                    key: "late".to_owned(),
                    topics: vec!["news".to_owned()],
                    keys: Vec::new(),
                    branches: Vec::new(),
                },
                event,
            ],
            _ => vec![event],
        },
        breaks: &[Invariant::M4],
    },
    Lie {
        about: |event| matches!(event, Event::Ok { phase: Some(_), .. }),
        tell: |event| match event {
            Event::Ok { op, .. } => vec![
                event,
                Event::Invoke {
                    op: op + 1_000,
                    call: Call::Look {
                        transaction: "forgotten".to_owned(),
                    },
                },
                ok(op + 1_000, None, Some(Phase::Prepared)),
            ],
            other => vec![other],
        },
        // Shown, and at rest nobody knows it.
        breaks: &[Invariant::M5],
    },
    Lie {
        about: |event| matches!(event, Event::Committed { .. }),
        tell: |_| Vec::new(),
        // A ghost whether it was told to have committed or not.
        breaks: &[Invariant::M1],
    },
    Lie {
        about: |event| {
            matches!(
                event,
                Event::Fail {
                    reason: Reason::OtherContent,
                    ..
                }
            )
        },
        tell: |event| match event {
            Event::Fail { op, .. } => vec![ok(op, None, Some(Phase::Prepared))],
            other => vec![other],
        },
        breaks: &[Invariant::M6],
    },
    Lie {
        about: |event| {
            matches!(
                event,
                Event::Fail {
                    reason: Reason::Decided,
                    ..
                }
            )
        },
        tell: |event| match event {
            Event::Fail { op, .. } => vec![ok(op, None, None)],
            other => vec![other],
        },
        breaks: &[Invariant::M3],
    },
    Lie {
        about: |event| {
            matches!(
                event,
                Event::Delivery {
                    answer: DeliveryAnswer::Ok,
                    ..
                }
            )
        },
        tell: |_| Vec::new(),
        breaks: &[Invariant::K1],
    },
    Lie {
        about: |event| matches!(event, Event::View { deliveries, .. } if !deliveries.is_empty()),
        tell: |event| match event {
            Event::View {
                transaction,
                phase,
                parked,
                decided_by,
                mut deliveries,
                branches,
            } => {
                deliveries.pop();
                vec![Event::View {
                    transaction,
                    phase,
                    parked,
                    decided_by,
                    deliveries,
                    branches,
                }]
            }
            other => vec![other],
        },
        breaks: &[Invariant::K3],
    },
    Lie {
        about: |event| matches!(event, Event::Step { .. }),
        tell: |event| vec![event.clone(), event],
        breaks: &[Invariant::T1],
    },
    Lie {
        about: |event| is_step(event, Action::Cancel),
        tell: |_| Vec::new(),
        // What its Try reserved is still so.
        breaks: &[Invariant::T2],
    },
    Lie {
        about: |event| is_step(event, Action::Try),
        tell: |_| Vec::new(),
        breaks: &[Invariant::T2, Invariant::T3],
    },
    Lie {
        about: |event| is_step(event, Action::Confirm),
        tell: |_| Vec::new(),
        breaks: &[Invariant::T5],
    },
    Lie {
        about: |event| matches!(event, Event::Branch { .. }),
        tell: |event| match event {
            Event::Branch {
                mut key,
                action,
                answer,
            } => {
                key.ordinal += 7;
                vec![Event::Branch {
                    key,
                    action,
                    answer,
                }]
            }
            other => vec![other],
        },
        breaks: &[Invariant::T4],
    },
    Lie {
        about: |event| matches!(event, Event::View { branches, .. } if !branches.is_empty()),
        tell: |event| match event {
            Event::View {
                transaction,
                phase,
                parked,
                decided_by,
                deliveries,
                mut branches,
            } => {
                branches.pop();
                vec![Event::View {
                    transaction,
                    phase,
                    parked,
                    decided_by,
                    deliveries,
                    branches,
                }]
            }
            other => vec![other],
        },
        breaks: &[Invariant::T4],
    },
    Lie {
        about: |event| matches!(event, Event::Account { .. }),
        tell: |event| match event {
            Event::Account {
                participant,
                began,
                free,
                held,
                used,
            } => vec![Event::Account {
                participant,
                began,
                free: free + 1,
                held,
                used,
            }],
            other => vec![other],
        },
        breaks: &[Invariant::T5],
    },
    Lie {
        about: |event| *event == Event::Rest,
        tell: |_| Vec::new(),
        breaks: &[Invariant::V1],
    },
];

fn is_step(event: &Event, wanted: Action) -> bool {
    matches!(event, Event::Step { action, .. } if *action == wanted)
}
