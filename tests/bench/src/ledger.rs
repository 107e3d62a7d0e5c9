//! What became of each message: whether it was acknowledged, when it arrived, and whether it came twice.
//!
//! A message carries its number and the moment it was begun in its payload, so that nothing is looked up.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::time::Instant;

use crate::latency::{Latencies, Window};

/// Bytes of each payload.
pub const PAYLOAD: usize = 1_024;
/// Messages of one run at most: 8 MiB for each of the two sets.
const MOST: u64 = 1 << 26;

/// The messages of one run.
pub struct Ledger {
    began: Instant,
    window: Window,
    next: AtomicU64,
    acknowledged: Set,
    arrived: Set,
    arrivals: AtomicU64,
    duplicates: AtomicU64,
    /// Arrivals within the window.
    timely: Mutex<Latencies>,
    /// The age that the oldest message which arrived after the window had at the window's end, in nanoseconds.
    backlog: AtomicU64,
    /// Messages acknowledged before the window's end that arrived after it.
    late: AtomicU64,
}

impl Ledger {
    pub fn new(window: Window) -> Self {
        Self {
            began: Instant::now(),
            window,
            next: AtomicU64::new(0),
            acknowledged: Set::new(),
            arrived: Set::new(),
            arrivals: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            timely: Mutex::default(),
            backlog: AtomicU64::new(0),
            late: AtomicU64::new(0),
        }
    }

    pub fn window(&self) -> &Window {
        &self.window
    }

    /// A new message: its number and its payload. `None`: the run was longer than there is room for.
    pub fn begin(&self) -> Option<(u64, Bytes)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number >= MOST {
            return None;
        }
        let mut payload = BytesMut::with_capacity(PAYLOAD);
        payload.put_u64(number);
        payload.put_u64(self.since_began(Instant::now()));
        payload.put_bytes(b'x', PAYLOAD - 16);
        Some((number, payload.freeze()))
    }

    pub fn acknowledge(&self, number: u64) {
        self.acknowledged.add(number);
    }

    /// A call brought these payloads; `false`: one of them is not of this run.
    pub fn arrive<'a>(&self, payloads: impl Iterator<Item = &'a Bytes>) -> bool {
        let now = Instant::now();
        let mut timely = self.timely.lock().unwrap_or_else(PoisonError::into_inner);
        for payload in payloads {
            let Some((number, begun)) = read(payload) else {
                return false;
            };
            if !self.arrived.add(number) {
                self.duplicates.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            self.arrivals.fetch_add(1, Ordering::Relaxed);
            if self.window.contains(now) {
                timely.record(Duration::from_nanos(
                    self.since_began(now).saturating_sub(begun),
                ));
            } else if now > self.window.until && self.acknowledged.has(number) {
                let end = self.since_began(self.window.until);
                if begun < end {
                    self.backlog.fetch_max(end - begun, Ordering::Relaxed);
                    self.late.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        true
    }

    /// Acknowledged messages that have not arrived.
    pub fn missing(&self) -> u64 {
        self.acknowledged.not_in(&self.arrived)
    }

    /// Messages begun, whatever became of them.
    pub fn begun(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    pub fn arrivals(&self) -> u64 {
        self.arrivals.load(Ordering::Relaxed)
    }

    pub fn duplicates(&self) -> u64 {
        self.duplicates.load(Ordering::Relaxed)
    }

    /// From the beginning of a message to its arrival, of those that arrived within the window.
    pub fn timely(&self) -> Latencies {
        self.timely
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How far behind deliveries were at the window's end: how old the oldest message was that had not arrived,
    /// and about how many had not. Known when none is missing any more.
    pub fn backlog(&self) -> (Duration, u64) {
        let age = Duration::from_nanos(self.backlog.load(Ordering::Relaxed));
        (age, self.late.load(Ordering::Relaxed))
    }

    fn since_began(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX)
    }
}

fn read(payload: &Bytes) -> Option<(u64, u64)> {
    let (number, rest) = payload.split_first_chunk::<8>()?;
    let begun = rest.first_chunk::<8>()?;
    let number = u64::from_be_bytes(*number);
    (number < MOST).then_some((number, u64::from_be_bytes(*begun)))
}

/// A set of small numbers that many threads add to.
struct Set(Box<[AtomicU64]>);

impl Set {
    fn new() -> Self {
        Self((0..MOST / 64).map(|_| AtomicU64::new(0)).collect())
    }

    /// Whether it is new.
    fn add(&self, number: u64) -> bool {
        let bit = 1 << (number % 64);
        self.0[(number / 64) as usize].fetch_or(bit, Ordering::AcqRel) & bit == 0
    }

    fn has(&self, number: u64) -> bool {
        self.0[(number / 64) as usize].load(Ordering::Acquire) & (1 << (number % 64)) != 0
    }

    fn not_in(&self, other: &Self) -> u64 {
        let missing = |(mine, theirs): (&AtomicU64, &AtomicU64)| {
            u64::from((mine.load(Ordering::Acquire) & !theirs.load(Ordering::Acquire)).count_ones())
        };
        self.0.iter().zip(&other.0).map(missing).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_lost_from_late_and_twice() {
        let ledger = Ledger::new(Window::from_now(Duration::ZERO, Duration::from_mins(1)));
        let (first, payload) = ledger.begin().unwrap();
        let (second, _) = ledger.begin().unwrap();
        ledger.acknowledge(first);
        ledger.acknowledge(second);
        assert_eq!(ledger.missing(), 2);
        assert!(ledger.arrive([&payload, &payload].into_iter()));
        assert_eq!(
            (ledger.missing(), ledger.arrivals(), ledger.duplicates()),
            (1, 1, 1)
        );
        assert_eq!(ledger.timely().count(), 1);
        assert!(!ledger.arrive([&Bytes::from_static(b"other")].into_iter()));
    }
}
