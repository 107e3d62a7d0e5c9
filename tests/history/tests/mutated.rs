//! Good histories of any shape break nothing; one lie in any of them is found, and named as what it is.

use earnest_history::{
    Act, Call, CheckBackAnswer, Decision, DeliveryAnswer, DeliveryKey, DeliveryState, DeliveryView,
    Entry, Event, History, Invariant, Phase, Reason, Subscription, check,
};
use proptest::{prelude::*, sample::Index};

const TAKERS: [&str; 2] = ["books", "mail"];

/// What becomes of one transaction.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// Business that commits; told so, or not.
    Committed { told: bool, parked: bool },
    /// Business that rolls back, found out by check-back.
    RolledBack,
    /// A client prepares and decides; another wants the opposite, or other content.
    Fought(Decision),
    /// Prepare and confirm in one.
    Submitted,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        (any::<bool>(), any::<bool>()).prop_map(|(told, parked)| Fate::Committed { told, parked }),
        Just(Fate::RolledBack),
        Just(Fate::Fought(Decision::Confirm)),
        Just(Fate::Fought(Decision::Cancel)),
        Just(Fate::Submitted),
    ];
    // These are always there, so that every kind of lie has something to lie about.
    proptest::collection::vec(fate, 0..8).prop_map(|mut fates| {
        fates.extend([true, false].map(|told| Fate::Committed {
            told,
            parked: false,
        }));
        fates.push(Fate::RolledBack);
        fates.push(Fate::Fought(Decision::Confirm));
        fates
    })
}

/// Writes a history down.
#[derive(Default)]
struct Script {
    live: Vec<Event>,
    at_rest: Vec<Event>,
    ops: u64,
}

impl Script {
    fn call(&mut self, call: Call, end: impl FnOnce(u64) -> Event) {
        self.ops += 1;
        self.live.push(Event::Invoke { op: self.ops, call });
        self.live.push(end(self.ops));
    }

    fn play(&mut self, id: &str, fate: Fate) {
        let transaction = id.to_owned();
        let content = format!("content of {id}");
        let topics = vec!["news".to_owned()];
        match fate {
            Fate::Committed { told, parked } => {
                let call = Call::Place {
                    key: content.clone(),
                };
                self.call(call, |op| {
                    if told {
                        ok(op, Some(id), None)
                    } else {
                        Event::Unknown {
                            op,
                            why: "no answer".to_owned(),
                        }
                    }
                });
                self.at_rest.push(Event::Committed {
                    transaction,
                    key: content.clone(),
                    topics,
                    keys: vec!["k".to_owned()],
                });
                self.deliver(id, &content, parked);
            }
            Fate::RolledBack => {
                let call = Call::Place { key: content };
                self.call(call, |op| Event::Fail {
                    op,
                    reason: Reason::NotCommitted,
                    transaction: Some(id.to_owned()),
                    decision: None,
                });
                self.live.push(Event::CheckBack {
                    transaction,
                    answer: CheckBackAnswer::RolledBack,
                });
                self.view(id, Phase::Cancelled, Vec::new());
            }
            Fate::Fought(decision) => {
                let prepare = |content: String| Call::Prepare {
                    transaction: id.to_owned(),
                    content,
                    topics: topics.clone(),
                };
                self.call(prepare(content.clone()), |op| {
                    ok(op, None, Some(Phase::Prepared))
                });
                self.call(prepare("another".to_owned()), |op| Event::Fail {
                    op,
                    reason: Reason::OtherContent,
                    transaction: None,
                    decision: None,
                });
                let confirm = Call::Confirm {
                    transaction: id.to_owned(),
                };
                let cancel = Call::Cancel {
                    transaction: id.to_owned(),
                };
                let (first, second, phase) = match decision {
                    Decision::Confirm => (confirm, cancel, Phase::Confirming),
                    Decision::Cancel => (cancel, confirm, Phase::Cancelled),
                };
                self.call(first, |op| ok(op, None, Some(phase)));
                self.call(second, |op| Event::Fail {
                    op,
                    reason: Reason::Decided,
                    transaction: None,
                    decision: Some(decision),
                });
                match decision {
                    Decision::Confirm => self.deliver(id, &content, false),
                    Decision::Cancel => self.view(id, Phase::Cancelled, Vec::new()),
                }
            }
            Fate::Submitted => {
                let call = Call::Submit {
                    transaction,
                    content: content.clone(),
                    topics,
                };
                self.call(call, |op| ok(op, None, Some(Phase::Confirming)));
                self.deliver(id, &content, false);
            }
        }
    }

    fn deliver(&mut self, id: &str, content: &str, parked: bool) {
        let mut deliveries = Vec::new();
        for taker in TAKERS {
            let key = DeliveryKey {
                transaction: id.to_owned(),
                ordinal: 0,
                subscription: taker.to_owned(),
            };
            let parked = parked && taker == "mail";
            let answers: &[DeliveryAnswer] = if parked {
                &[DeliveryAnswer::Failed]
            } else {
                &[DeliveryAnswer::Unknown, DeliveryAnswer::Ok]
            };
            for answer in answers {
                self.live.push(Event::Delivery {
                    key: key.clone(),
                    answer: *answer,
                });
            }
            if !parked {
                self.at_rest.push(Event::Effect {
                    key,
                    content: content.to_owned(),
                });
            }
            deliveries.push(DeliveryView {
                ordinal: 0,
                subscription: taker.to_owned(),
                state: if parked {
                    DeliveryState::Parked
                } else {
                    DeliveryState::Done
                },
            });
        }
        let phase = if parked {
            Phase::Confirming
        } else {
            Phase::Confirmed
        };
        self.view(id, phase, deliveries);
    }

    fn view(&mut self, id: &str, phase: Phase, deliveries: Vec<DeliveryView>) {
        self.at_rest.push(Event::View {
            transaction: id.to_owned(),
            phase,
            parked: !phase.is_final(),
            decided_by: String::new(),
            deliveries,
        });
    }
}

fn ok(op: u64, transaction: Option<&str>, phase: Option<Phase>) -> Event {
    Event::Ok {
        op,
        transaction: transaction.map(str::to_owned),
        phase,
        deliveries: Vec::new(),
    }
}

fn good(fates: &[Fate]) -> Vec<Event> {
    let mut script = Script::default();
    for (n, fate) in fates.iter().enumerate() {
        script.play(&format!("t{n}"), *fate);
    }
    let subscriptions = TAKERS.map(|taker| Subscription {
        name: taker.to_owned(),
        topic: "news".to_owned(),
        ordered: false,
    });
    // Books asks for no order, and takes the last message first.
    let is_of_books = |event: &mut Event| matches!(event, Event::Effect { key, .. } if key.subscription == "books");
    let of_books: Vec<Event> = script.at_rest.extract_if(.., is_of_books).collect();
    script.at_rest.extend(of_books.into_iter().rev());
    let mut events = vec![
        Event::Run {
            seed: 0,
            rest_within_ms: 1_000,
            subscriptions: subscriptions.into(),
        },
        Event::Fault {
            fault: "kill".to_owned(),
            target: "coordinator".to_owned(),
            act: Act::Begin,
        },
    ];
    events.append(&mut script.live);
    events.push(Event::Quiet);
    events.append(&mut script.at_rest);
    events.push(Event::Rest);
    events
}

fn checked(events: Vec<Event>) -> Vec<Invariant> {
    let entries = (1..).zip(events).map(|(at_us, event)| Entry {
        at_us,
        process: "property".to_owned(),
        event,
    });
    // Through text, as a file would be.
    let lines: Vec<String> = entries
        .map(|entry| serde_json::to_string(&entry).unwrap())
        .collect();
    let history = History::parse(&lines.join("\n")).unwrap();
    check(&history).into_iter().map(|v| v.invariant).collect()
}

/// One lie: whether it can be told about an event, and what it makes of it.
struct Lie {
    about: fn(&Event) -> bool,
    tell: fn(Event) -> Vec<Event>,
    /// One of these is named.
    breaks: &'static [Invariant],
}

const LIES: &[Lie] = &[
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
                ..
            } => vec![Event::View {
                transaction,
                phase: Phase::Prepared,
                parked: false,
                decided_by,
                deliveries,
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
            } => {
                deliveries.pop();
                vec![Event::View {
                    transaction,
                    phase,
                    parked,
                    decided_by,
                    deliveries,
                }]
            }
            other => vec![other],
        },
        breaks: &[Invariant::K3],
    },
    Lie {
        about: |event| *event == Event::Rest,
        tell: |_| Vec::new(),
        breaks: &[Invariant::V1],
    },
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_good_breaks_nothing(fates in fates()) {
        prop_assert_eq!(checked(good(&fates)), []);
    }

    #[test]
    fn one_lie_is_found_and_named(fates in fates(), which in any::<Index>()) {
        let events = good(&fates);
        for (n, lie) in LIES.iter().enumerate() {
            let about: Vec<usize> = (0..events.len()).filter(|at| (lie.about)(&events[*at])).collect();
            let at = about[which.index(about.len())];
            let told = events.iter().enumerate().flat_map(|(here, event)| {
                if here == at { (lie.tell)(event.clone()) } else { vec![event.clone()] }
            });
            let found = checked(told.collect());
            prop_assert!(
                lie.breaks.iter().any(|invariant| found.contains(invariant)),
                "lie {} about {:?} was taken for {:?}", n, events[at], found
            );
        }
    }
}

#[test]
fn every_invariant_is_lied_about() {
    for invariant in Invariant::ALL {
        assert!(
            LIES.iter().any(|lie| lie.breaks.contains(&invariant)),
            "{invariant}"
        );
    }
}
