//! P9: messages of one key arrive in the order of their decisions, where a subscription asks for it.
//!
//! Nobody outside sees the moment of a decision. But what was seen decided before anybody asked for the other transaction
//! was decided before it.

use std::collections::{BTreeMap, HashMap};

use super::story::{AtHome, Run, Story};
use crate::{
    entry::{Call, DeliveryKey},
    history::History,
    invariant::{Invariant, Violation},
};

struct Message {
    key: DeliveryKey,
    /// When its transaction was first asked for.
    asked_us: u64,
    /// When it was first seen to be confirmed.
    decided_us: Option<u64>,
    /// The line of its effect.
    effect: Option<usize>,
    committed: usize,
}

pub(super) fn check(
    run: &Run,
    history: &History,
    stories: &[Story<'_>],
    found: &mut Vec<Violation>,
) {
    if run.rest.is_none() {
        return; // the databases were not read: nothing is known of effects
    }
    let asked = asked(history);
    for taker in run.subscriptions.iter().filter(|taker| taker.ordered) {
        let mut keys: BTreeMap<&str, Vec<Message>> = BTreeMap::new();
        for story in stories {
            let Some(committed) = &story.committed else {
                continue;
            };
            let AtHome {
                business,
                topics,
                keys: own,
                ..
            } = &committed.what;
            for ((ordinal, topic), key) in (0..).zip(topics).zip(own) {
                if *topic != taker.topic || key.is_empty() {
                    continue;
                }
                let message = DeliveryKey {
                    transaction: story.id.to_owned(),
                    ordinal,
                    subscription: taker.name.clone(),
                };
                let effect = story.effects.iter().find(|said| said.what.0 == message);
                keys.entry(key).or_default().push(Message {
                    asked_us: asked.get(business.as_str()).copied().unwrap_or(0),
                    decided_us: first_seen(story),
                    effect: effect.map(|said| said.line),
                    committed: committed.line,
                    key: message,
                });
            }
        }
        for messages in keys.values() {
            overtaken(messages, found);
        }
    }
}

/// When each business was first asked for.
fn asked(history: &History) -> HashMap<&str, u64> {
    let mut asked = HashMap::new();
    for op in &history.ops {
        if let Call::Place { key } = &op.call {
            asked.entry(key.as_str()).or_insert(op.invoked_us);
        }
    }
    asked
}

/// A decision was told, or a message arrived, which follows it.
fn first_seen(story: &Story<'_>) -> Option<u64> {
    let told = story.decisions().into_iter().map(|said| said.at_us);
    let arrived = story.deliveries.iter().map(|said| said.at_us);
    told.chain(arrived).min()
}

fn overtaken(messages: &[Message], found: &mut Vec<Violation>) {
    for first in messages {
        let Some(decided_us) = first.decided_us else {
            continue;
        };
        for later in messages.iter().filter(|later| later.asked_us > decided_us) {
            let Some(arrived) = later.effect else {
                continue;
            };
            if first.effect.is_none_or(|effect| effect > arrived) {
                found.push(Violation::new(
                    Invariant::P9,
                    format!(
                        "{} arrived before {}, which was decided first",
                        later.key, first.key
                    ),
                    [arrived, first.effect.unwrap_or(first.committed)],
                ));
            }
        }
    }
}
