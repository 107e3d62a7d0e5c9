//! Good histories, of whatever becomes of a few transactions.

use earnest_history::{
    Act, Action, BranchAnswer, BranchKey, BranchState, BranchView, Call, CheckBackAnswer, Decision,
    DeliveryAnswer, DeliveryKey, DeliveryState, DeliveryView, Event, Phase, Reason, Subscription,
};
use proptest::prelude::*;

const TAKERS: [&str; 2] = ["books", "mail"];
const PARTICIPANTS: [&str; 2] = ["stock", "purse"];

/// What becomes of one transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// Business that commits; told so, or not.
    Committed { told: bool, parked: bool },
    /// Business that rolls back, found out by check-back.
    RolledBack,
    /// A client prepares and decides; another wants the opposite, or other content.
    Fought(Decision),
    /// Prepare and confirm in one.
    Submitted,
    /// Business with a reservation at both participants, decided that way; the second refuses where it is cancelled.
    Reserved(Decision),
    /// A reservation that the coordinator tries.
    Executed,
}

/// A few, of any kind.
pub(crate) fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        (any::<bool>(), any::<bool>()).prop_map(|(told, parked)| Fate::Committed { told, parked }),
        Just(Fate::RolledBack),
        Just(Fate::Fought(Decision::Confirm)),
        Just(Fate::Fought(Decision::Cancel)),
        Just(Fate::Submitted),
        Just(Fate::Reserved(Decision::Confirm)),
        Just(Fate::Reserved(Decision::Cancel)),
        Just(Fate::Executed),
    ];
    // These are always there, so that every kind of lie has something to lie about.
    proptest::collection::vec(fate, 0..8).prop_map(|mut fates| {
        fates.extend([true, false].map(|told| Fate::Committed {
            told,
            parked: false,
        }));
        fates.push(Fate::RolledBack);
        fates.push(Fate::Fought(Decision::Confirm));
        fates.extend([Decision::Confirm, Decision::Cancel].map(Fate::Reserved));
        fates
    })
}

/// Writes a history down.
#[derive(Default)]
struct Script {
    live: Vec<Event>,
    at_rest: Vec<Event>,
    ops: u64,
    /// By each participant's branches.
    used: [i64; 2],
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
                    branches: Vec::new(),
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
            Fate::Reserved(decision) => self.reserve(id, decision),
            Fate::Executed => {
                let call = Call::Execute {
                    transaction,
                    content,
                    topics: Vec::new(),
                    branches: vec![PARTICIPANTS[0].to_owned()],
                };
                self.call(call, |op| ok(op, None, Some(Phase::Confirming)));
                let key = self.branch(id, 0, &[Action::Try, Action::Confirm]);
                self.view_with(id, Phase::Confirmed, Vec::new(), &[key]);
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

    fn reserve(&mut self, id: &str, decision: Decision) {
        let key = format!("content of {id}");
        let branches: Vec<BranchKey> = match decision {
            Decision::Confirm => [0, 1]
                .map(|ordinal| self.branch(id, ordinal, &[Action::Try, Action::Confirm]))
                .into(),
            Decision::Cancel => {
                let first = self.branch(id, 0, &[Action::Try, Action::Cancel]);
                // Its Cancel finds nothing to give back.
                let second = BranchKey {
                    transaction: id.to_owned(),
                    ordinal: 1,
                    participant: PARTICIPANTS[1].to_owned(),
                };
                for (action, answer) in [
                    (Action::Try, BranchAnswer::Refused),
                    (Action::Cancel, BranchAnswer::Ok),
                ] {
                    self.live.push(Event::Branch {
                        key: second.clone(),
                        action,
                        answer,
                    });
                }
                vec![first, second]
            }
        };
        let phase = match decision {
            Decision::Confirm => {
                self.call(Call::Place { key: key.clone() }, |op| {
                    ok(op, Some(id), None)
                });
                self.at_rest.push(Event::Committed {
                    transaction: id.to_owned(),
                    key,
                    topics: Vec::new(),
                    keys: Vec::new(),
                    branches: PARTICIPANTS.map(str::to_owned).into(),
                });
                Phase::Confirmed
            }
            Decision::Cancel => {
                self.call(Call::Place { key }, |op| Event::Fail {
                    op,
                    reason: Reason::NotCommitted,
                    transaction: Some(id.to_owned()),
                    decision: None,
                });
                Phase::Cancelled
            }
        };
        self.view_with(id, phase, Vec::new(), &branches);
    }

    /// One branch whose steps all run.
    fn branch(&mut self, id: &str, ordinal: u32, steps: &[Action]) -> BranchKey {
        let key = BranchKey {
            transaction: id.to_owned(),
            ordinal,
            participant: PARTICIPANTS[ordinal as usize].to_owned(),
        };
        for action in steps {
            self.live.push(Event::Branch {
                key: key.clone(),
                action: *action,
                answer: BranchAnswer::Ok,
            });
            self.at_rest.push(Event::Step {
                key: key.clone(),
                action: *action,
                amount: 1,
            });
        }
        if steps.contains(&Action::Confirm) {
            self.used[ordinal as usize] += 1;
        }
        key
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
        self.view_with(id, phase, deliveries, &[]);
    }

    fn view_with(
        &mut self,
        id: &str,
        phase: Phase,
        deliveries: Vec<DeliveryView>,
        branches: &[BranchKey],
    ) {
        let branches = branches.iter().map(|key| BranchView {
            ordinal: key.ordinal,
            participant: key.participant.clone(),
            state: BranchState::Done,
        });
        self.at_rest.push(Event::View {
            transaction: id.to_owned(),
            phase,
            parked: !phase.is_final(),
            decided_by: String::new(),
            deliveries,
            branches: branches.collect(),
        });
    }
}

/// A call that was answered with *ok*.
pub(crate) fn ok(op: u64, transaction: Option<&str>, phase: Option<Phase>) -> Event {
    Event::Ok {
        op,
        transaction: transaction.map(str::to_owned),
        phase,
        deliveries: Vec::new(),
    }
}

/// A history of theirs that breaks nothing.
pub(crate) fn good(fates: &[Fate]) -> Vec<Event> {
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
    for (participant, used) in PARTICIPANTS.into_iter().zip(script.used) {
        script.at_rest.push(Event::Account {
            participant: participant.to_owned(),
            began: 1_000,
            free: 1_000 - used,
            held: 0,
            used,
        });
    }
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
