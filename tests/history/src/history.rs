//! A whole history, read and put in order: lines with their numbers, calls with their ends.
//!
//! Only what can't be read at all is refused here; what is wrong with the meaning is for the checker to name.

use std::{collections::HashMap, fmt};

use crate::entry::{Call, Decision, DeliveryView, Entry, Event, Phase, Reason};

/// One entry and where it stands in the file, from 1.
#[derive(Clone, Debug)]
pub struct Line {
    /// From 1.
    pub number: usize,
    /// What it says.
    pub entry: Entry,
}

/// A call and what became of it.
#[derive(Clone, Debug)]
pub struct Op {
    /// What was asked.
    pub call: Call,
    /// When.
    pub invoked_us: u64,
    /// The line of the call.
    pub line: usize,
    /// What was answered; none: the caller never wrote an end.
    pub end: Option<End>,
}

/// The end of a call.
#[derive(Clone, Debug)]
pub struct End {
    /// When.
    pub at_us: u64,
    /// The line of the end.
    pub line: usize,
    /// What was answered.
    pub answer: Answer,
}

/// What a call was answered.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "as in the format")]
pub enum Answer {
    Ok {
        transaction: Option<String>,
        phase: Option<Phase>,
        deliveries: Vec<DeliveryView>,
    },
    Fail {
        reason: Reason,
        transaction: Option<String>,
        decision: Option<Decision>,
    },
    Unknown,
}

/// All lines and all calls.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In the order of the file.
    pub lines: Vec<Line>,
    /// In the order of their calls.
    pub ops: Vec<Op>,
}

/// A line that is not of the format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// From 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl std::error::Error for Malformed {}

impl History {
    /// Reads JSON lines; empty ones are passed over.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let numbered = (1..).zip(text.lines());
        let filled = numbered.filter(|(_, line)| !line.trim().is_empty());
        let lines = filled.map(|(number, line)| {
            let entry = serde_json::from_str(line).map_err(|error| Malformed {
                line: number,
                problem: error.to_string(),
            })?;
            Ok(Line { number, entry })
        });
        Self::of(lines.collect::<Result<_, _>>()?)
    }

    /// Puts entries in order that never were in a file.
    pub fn of_entries(entries: Vec<Entry>) -> Result<Self, Malformed> {
        let numbered = (1..).zip(entries);
        Self::of(
            numbered
                .map(|(number, entry)| Line { number, entry })
                .collect(),
        )
    }

    fn of(lines: Vec<Line>) -> Result<Self, Malformed> {
        let mut ops: Vec<Op> = Vec::new();
        let mut places: HashMap<u64, usize> = HashMap::new();
        let mut last_us = 0;
        for line in &lines {
            let at_us = line.entry.at_us;
            let malformed = |problem: String| Malformed {
                line: line.number,
                problem,
            };
            if at_us < last_us {
                return Err(malformed("time runs backwards".to_owned()));
            }
            last_us = at_us;
            if let Event::Invoke { op, call } = &line.entry.event {
                if places.insert(*op, ops.len()).is_some() {
                    return Err(malformed(format!("op {op} is invoked twice")));
                }
                ops.push(Op {
                    call: call.clone(),
                    invoked_us: at_us,
                    line: line.number,
                    end: None,
                });
            }
            let Some((op, answer)) = answer(&line.entry.event) else {
                continue;
            };
            let op = places
                .get(&op)
                .map(|place| &mut ops[*place])
                .ok_or_else(|| malformed(format!("op {op} ends and was not invoked")))?;
            if op.end.is_some() {
                return Err(malformed("the op has ended before".to_owned()));
            }
            op.end = Some(End {
                at_us,
                line: line.number,
                answer,
            });
        }
        Ok(Self { lines, ops })
    }
}

fn answer(event: &Event) -> Option<(u64, Answer)> {
    match event.clone() {
        Event::Ok {
            op,
            transaction,
            phase,
            deliveries,
        } => Some((
            op,
            Answer::Ok {
                transaction,
                phase,
                deliveries,
            },
        )),
        Event::Fail {
            op,
            reason,
            transaction,
            decision,
        } => Some((
            op,
            Answer::Fail {
                reason,
                transaction,
                decision,
            },
        )),
        Event::Unknown { op, .. } => Some((op, Answer::Unknown)),
        _ => None,
    }
}
