//! Forms batches: in order, bounded, and with at most one command per transaction, but for the ends of what it owes.

use std::collections::{HashMap, VecDeque, hash_map::Entry as MapEntry};

use earnest_protocol::TransactionId;

use super::{Entry, JournalOptions};
use crate::planted::planted;

/// Takes the next batch out of `waiting`. A second command of a transaction stays for a later batch, and so do
/// all of that transaction's behind it, so that each sees what the one before it did: a losing command reads
/// the decision that beat it. Ends of different effects share a batch: none of them decides anything, and each sees what the one before
/// it did within the batch.
pub(super) fn next(waiting: &mut VecDeque<Entry>, options: &JournalOptions) -> Vec<Entry> {
    let mut batch = Vec::new();
    let mut later = VecDeque::new();
    // Whether more ends of it may join.
    let mut seen: HashMap<TransactionId, bool> = HashMap::new();
    let mut bytes = 0;
    while let Some(entry) = waiting.pop_front() {
        let is_end = entry.command.is_end();
        match seen.entry(entry.command.transaction()) {
            MapEntry::Vacant(first) => {
                first.insert(is_end);
            }
            MapEntry::Occupied(mut before) => {
                let joins = is_end && *before.get();
                if !joins && !planted!(TwoOfOneIdInABatch) {
                    before.insert(false);
                    later.push_back(entry);
                    continue;
                }
            }
        }
        bytes += entry.command.weight();
        batch.push(entry);
        if batch.len() >= options.batch_commands || bytes >= options.batch_bytes {
            break;
        }
    }
    later.append(waiting);
    *waiting = later;
    batch
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use earnest_protocol::{Decision, LeaseToken, Name, Ordinal, Settled, Timestamp};
    use earnest_store::{BranchKey, BranchSettled, Command, Decide};
    use tokio::sync::{Semaphore, oneshot};

    use super::*;
    use crate::journal::Room;

    fn entry(n: u8, decision: Decision) -> Entry {
        let room = Arc::new(Semaphore::new(2));
        let permit = || Arc::clone(&room).try_acquire_owned().unwrap();
        let id = TransactionId::from_parts(Timestamp::from_micros(0), [n; 10]);
        let namespace = Name::default_namespace();
        Entry {
            command: Command::Decide(Decide {
                id,
                decision,
                initiator: None,
                namespace,
            }),
            answer: oneshot::channel().0,
            room: Room {
                _commands: permit(),
                _bytes: permit(),
            },
        }
    }

    fn names(batch: &[Entry]) -> Vec<(TransactionId, &'static str)> {
        batch
            .iter()
            .map(|e| (e.command.transaction(), e.command.name()))
            .collect()
    }

    #[test]
    fn m3_opposite_decisions_of_one_id_never_share_a_batch() {
        let (confirm, cancel) = (Decision::Confirm, Decision::Cancel);
        let mut waiting = VecDeque::from([
            entry(1, confirm),
            entry(1, cancel),
            entry(2, cancel),
            entry(1, confirm),
        ]);
        let expected = names(waiting.make_contiguous());
        let options = JournalOptions::default();
        assert_eq!(
            names(&next(&mut waiting, &options)),
            [expected[0], expected[2]]
        );
        assert_eq!(names(&next(&mut waiting, &options)), [expected[1]]);
        assert_eq!(names(&next(&mut waiting, &options)), [expected[3]]);
        assert!(next(&mut waiting, &options).is_empty());
    }

    fn end(n: u8, ordinal: u32) -> Entry {
        let decided = entry(n, Decision::Confirm);
        let key = BranchKey {
            transaction: decided.command.transaction(),
            ordinal: Ordinal(ordinal),
        };
        let command = Command::BranchSettled(Box::new(BranchSettled {
            key,
            token: LeaseToken(1),
            settled: Settled::Done,
            park_after: None,
            note: None,
        }));
        Entry { command, ..decided }
    }

    #[test]
    fn ends_of_one_id_share_a_batch_and_nothing_else_does() {
        let mut waiting = VecDeque::from([
            end(1, 0),
            end(1, 1),
            entry(2, Decision::Confirm),
            end(2, 0),
            entry(1, Decision::Cancel),
            end(1, 2),
        ]);
        let expected = names(waiting.make_contiguous());
        let options = JournalOptions::default();
        let first = names(&next(&mut waiting, &options));
        assert_eq!(first, [expected[0], expected[1], expected[2]]);
        let second = names(&next(&mut waiting, &options));
        assert_eq!(second, [expected[3], expected[4]]);
        assert_eq!(names(&next(&mut waiting, &options)), [expected[5]]);
    }

    #[test]
    fn batches_are_bounded_and_keep_order() {
        let mut waiting: VecDeque<_> = (0..5).map(|n| entry(n, Decision::Confirm)).collect();
        let expected = names(waiting.make_contiguous());
        let options = JournalOptions {
            batch_commands: 2,
            ..JournalOptions::default()
        };
        let mut seen = Vec::new();
        for size in [2, 2, 1] {
            let batch = next(&mut waiting, &options);
            assert_eq!(batch.len(), size);
            seen.extend(names(&batch));
        }
        assert_eq!(seen, expected);
    }
}
