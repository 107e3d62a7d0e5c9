//! A history by transaction: all that was said of one of them, each with the line that says it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    branch::{Action, BranchAnswer, BranchKey, BranchView},
    entry::{
        Call, CheckBackAnswer, Decision, DeliveryAnswer, DeliveryKey, DeliveryView, Event, Phase,
        Subscription,
    },
    history::{Answer, History, Op},
};

/// What holds for the whole run.
pub(super) struct Run {
    pub(super) rest_within_us: u64,
    pub(super) subscriptions: Vec<Subscription>,
    /// The line at which everything had been read, and when.
    pub(super) rest: Option<(usize, u64)>,
    pub(super) quiet: Option<(usize, u64)>,
    /// How many were asked at rest where transactions stand.
    pub(super) viewers: usize,
}

impl Run {
    pub(super) fn of(history: &History) -> Result<Self, String> {
        let Some(Event::Run {
            rest_within_ms,
            subscriptions,
            ..
        }) = history.lines.first().map(|line| &line.entry.event)
        else {
            return Err("the history does not begin with `run`, so it proves nothing".to_owned());
        };
        let find = |wanted: &Event| {
            let line = history.lines.iter().find(|l| l.entry.event == *wanted)?;
            Some((line.number, line.entry.at_us))
        };
        Ok(Self {
            rest_within_us: rest_within_ms * 1_000,
            subscriptions: subscriptions.clone(),
            rest: find(&Event::Rest),
            quiet: find(&Event::Quiet),
            viewers: viewers(history),
        })
    }

    /// Who is owed the messages of a transaction, if it is confirmed.
    pub(super) fn owed(&self, transaction: &str, topics: &[String]) -> BTreeSet<DeliveryKey> {
        let messages = (0..).zip(topics);
        messages
            .flat_map(|(ordinal, topic)| {
                let takers = self.subscriptions.iter().filter(move |s| s.topic == *topic);
                takers.map(move |taker| DeliveryKey {
                    transaction: transaction.to_owned(),
                    ordinal,
                    subscription: taker.name.clone(),
                })
            })
            .collect()
    }
}

fn viewers(history: &History) -> usize {
    let views = history.lines.iter();
    let views = views.filter(|line| matches!(line.entry.event, Event::View { .. }));
    let viewers: BTreeSet<&str> = views.map(|line| line.entry.process.as_str()).collect();
    viewers.len()
}

/// Something that was said, when, and on which line.
#[derive(Clone)]
pub(super) struct Said<T> {
    pub(super) what: T,
    pub(super) at_us: u64,
    pub(super) line: usize,
}

/// Where a coordinator says that a transaction stands, at rest.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct AtRest {
    pub(super) phase: Phase,
    pub(super) deliveries: Vec<DeliveryView>,
    pub(super) branches: Vec<BranchView>,
}

/// What the initiator's own rows say of what it committed.
#[derive(Clone)]
pub(super) struct AtHome {
    /// The business.
    pub(super) business: String,
    /// Of its messages.
    pub(super) topics: Vec<String>,
    /// Of its messages.
    pub(super) keys: Vec<String>,
    /// Where it reserved.
    pub(super) branches: Vec<String>,
}

/// What a participant answered to a call of a branch.
#[derive(Clone)]
pub(super) struct Called {
    pub(super) key: BranchKey,
    pub(super) action: Action,
    pub(super) answer: BranchAnswer,
}

/// All that was said of one transaction.
#[derive(Default)]
pub(super) struct Story<'h> {
    pub(super) id: &'h str,
    /// Calls that named it.
    pub(super) ops: Vec<&'h Op>,
    pub(super) check_backs: Vec<Said<CheckBackAnswer>>,
    pub(super) deliveries: Vec<Said<(DeliveryKey, DeliveryAnswer)>>,
    pub(super) committed: Option<Said<AtHome>>,
    pub(super) effects: Vec<Said<(DeliveryKey, String)>>,
    /// Calls of its branches.
    pub(super) called: Vec<Said<Called>>,
    /// What participants' own code did.
    pub(super) steps: Vec<Said<(BranchKey, Action)>>,
    pub(super) view: Option<Said<AtRest>>,
    /// What others said who were asked as well.
    pub(super) further_views: Vec<Said<AtRest>>,
}

impl Story<'_> {
    /// Everything that says what was decided.
    pub(super) fn decisions(&self) -> Vec<Said<Decision>> {
        let told = self.ops.iter().filter_map(|op| {
            let end = op.end.as_ref()?;
            let decision = match (&end.answer, &op.call) {
                (Answer::Ok { phase, .. }, call) => {
                    // Both what an answer shows and what it acknowledges count; a difference shows up as two of them.
                    return Some(
                        [phase.and_then(Phase::decision), acknowledges(call)]
                            .into_iter()
                            .flatten()
                            .map(|what| Said {
                                what,
                                at_us: end.at_us,
                                line: end.line,
                            })
                            .collect::<Vec<_>>(),
                    );
                }
                (Answer::Fail { decision, .. }, _) => (*decision)?,
                (Answer::Unknown, _) => return None,
            };
            Some(vec![Said {
                what: decision,
                at_us: end.at_us,
                line: end.line,
            }])
        });
        let seen = self.view.iter().chain(&self.further_views);
        let seen = seen.filter_map(|view| {
            Some(Said {
                what: view.what.phase.decision()?,
                at_us: view.at_us,
                line: view.line,
            })
        });
        // Whoever calls Confirm or Cancel says so, too.
        let called = self.called.iter().filter_map(|said| {
            let what = match said.what.action {
                Action::Try => return None,
                Action::Confirm => Decision::Confirm,
                Action::Cancel => Decision::Cancel,
            };
            Some(Said {
                what,
                at_us: said.at_us,
                line: said.line,
            })
        });
        told.flatten().chain(seen).chain(called).collect()
    }

    /// The topics of its messages, from whoever says them.
    pub(super) fn topics(&self) -> Option<&[String]> {
        if let Some(committed) = &self.committed {
            return Some(&committed.what.topics);
        }
        // What was refused says nothing of what was recorded.
        let recorded = self.ops.iter().filter(|op| !refused(op));
        recorded
            .into_iter()
            .find_map(|op| op.call.recorded().map(|(_, topics)| topics))
    }

    /// The first call that was acknowledged as having brought that decision.
    pub(super) fn acknowledged(&self, decision: Decision) -> Option<&Op> {
        let mut ops = self.ops.iter().copied();
        ops.find(|op| match op.end.as_ref().map(|end| &end.answer) {
            Some(Answer::Ok { phase, .. }) => {
                let told = match op.call {
                    // Its Trys decide, so the answer says what they did.
                    Call::Execute { .. } => phase.and_then(Phase::decision),
                    ref call => acknowledges(call),
                };
                told == Some(decision)
            }
            _ => false,
        })
    }
}

fn acknowledges(call: &Call) -> Option<Decision> {
    match call {
        Call::Confirm { .. } | Call::Submit { .. } => Some(Decision::Confirm),
        Call::Cancel { .. } => Some(Decision::Cancel),
        _ => None,
    }
}

fn refused(op: &Op) -> bool {
    matches!(
        op.end.as_ref().map(|end| &end.answer),
        Some(Answer::Fail { .. })
    )
}

/// The stories of all transactions that anything was said of.
pub(super) fn stories(history: &History) -> Vec<Story<'_>> {
    let mut stories: BTreeMap<&str, Story<'_>> = BTreeMap::new();
    for op in &history.ops {
        if let Some(id) = op.call.transaction() {
            of(&mut stories, id).ops.push(op);
        }
    }
    for line in &history.lines {
        let (at_us, number) = (line.entry.at_us, line.number);
        match &line.entry.event {
            Event::CheckBack {
                transaction,
                answer,
            } => of(&mut stories, transaction).check_backs.push(Said {
                what: *answer,
                at_us,
                line: number,
            }),
            Event::Delivery { key, answer } => {
                of(&mut stories, &key.transaction).deliveries.push(Said {
                    what: (key.clone(), *answer),
                    at_us,
                    line: number,
                });
            }
            Event::Committed {
                transaction,
                key,
                topics,
                keys,
                branches,
            } => {
                of(&mut stories, transaction).committed = Some(Said {
                    what: AtHome {
                        business: key.clone(),
                        topics: topics.clone(),
                        keys: keys.clone(),
                        branches: branches.clone(),
                    },
                    at_us,
                    line: number,
                });
            }
            Event::Branch {
                key,
                action,
                answer,
            } => of(&mut stories, &key.transaction).called.push(Said {
                what: Called {
                    key: key.clone(),
                    action: *action,
                    answer: *answer,
                },
                at_us,
                line: number,
            }),
            Event::Step { key, action, .. } => {
                of(&mut stories, &key.transaction).steps.push(Said {
                    what: (key.clone(), *action),
                    at_us,
                    line: number,
                });
            }
            Event::Effect { key, content } => {
                of(&mut stories, &key.transaction).effects.push(Said {
                    what: (key.clone(), content.clone()),
                    at_us,
                    line: number,
                });
            }
            Event::View {
                transaction,
                phase,
                deliveries,
                branches,
                ..
            } => {
                let view = Said {
                    what: AtRest {
                        phase: *phase,
                        deliveries: deliveries.clone(),
                        branches: branches.clone(),
                    },
                    at_us,
                    line: number,
                };
                let story = of(&mut stories, transaction);
                match story.view {
                    None => story.view = Some(view),
                    Some(_) => story.further_views.push(view),
                }
            }
            _ => {}
        }
    }
    stories.into_values().collect()
}

fn of<'a, 'h>(stories: &'a mut BTreeMap<&'h str, Story<'h>>, id: &'h str) -> &'a mut Story<'h> {
    let story = stories.entry(id).or_default();
    story.id = id;
    story
}
