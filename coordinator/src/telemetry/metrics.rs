//! The metric families of `/metrics`.

use std::{fmt::Error as FormatError, time::Duration};

use earnest_protocol::{BranchAnswer, CheckBackAnswer, DeliveryAnswer};
use earnest_store::{BranchWork, Command, DeliveryWork, Rejection, Reply};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::{driver::CallOutcome, journal::JournalError};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CommandLabels {
    command: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabels {
    namespace: String,
    subscription: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BranchLabels {
    namespace: String,
    service: String,
    call: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    answer: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BacklogLabels {
    namespace: String,
    subscription: String,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ParticipantLabels {
    namespace: String,
    service: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabels {
    phase: &'static str,
}

/// What one scrape reads: the gauges.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// What the store says; `None`: it does not answer.
    pub stored: Option<Stored>,
    /// Commands waiting in the journal.
    pub journal_depth: usize,
    /// Work in memory.
    pub board: usize,
    /// Lines of which the database has forgotten something.
    pub losses: usize,
}

/// The gauges that only the store knows.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// Transactions by unfinished phase; `PARKED` for undecided parked ones.
    pub unfinished: Vec<(&'static str, u64)>,
    /// Per subscription: namespace, name, pending, parked.
    pub backlog: Vec<(String, String, u64, u64)>,
    /// Per participant: namespace, name, branches that wait for a call.
    pub branches: Vec<(String, String, u64)>,
    /// Age of the oldest pending delivery or branch.
    pub oldest_pending: Duration,
}

/// All families.
pub struct Metrics {
    registry: Registry,
    commands: Family<CommandLabels, Counter>,
    batch_size: Histogram,
    commit_seconds: Histogram,
    claimed: Counter,
    damaged: Counter,
    deliveries: Family<DeliveryLabels, Counter>,
    check_backs: Family<AnswerLabels, Counter>,
    branch_calls: Family<BranchLabels, Counter>,
    lost_leases: Counter,
    contradictions: Counter,
    transactions: Family<PhaseLabels, Gauge>,
    backlog: Family<BacklogLabels, Gauge>,
    branches: Family<ParticipantLabels, Gauge>,
    oldest_pending: Gauge<f64, std::sync::atomic::AtomicU64>,
    journal_depth: Gauge,
    board: Gauge,
    losses: Gauge,
    database_up: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let sizes = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
        let seconds = [
            0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0,
        ];
        let mut metrics = Self {
            registry: Registry::with_prefix("earnest"),
            commands: Family::default(),
            batch_size: Histogram::new(sizes),
            commit_seconds: Histogram::new(seconds),
            claimed: Counter::default(),
            damaged: Counter::default(),
            deliveries: Family::default(),
            check_backs: Family::default(),
            branch_calls: Family::default(),
            lost_leases: Counter::default(),
            contradictions: Counter::default(),
            transactions: Family::default(),
            backlog: Family::default(),
            branches: Family::default(),
            oldest_pending: Gauge::default(),
            journal_depth: Gauge::default(),
            board: Gauge::default(),
            losses: Gauge::default(),
            database_up: Gauge::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let r = &mut self.registry;
        r.register(
            "commands",
            "Commands answered by the journal",
            self.commands.clone(),
        );
        r.register(
            "journal_batch_commands",
            "Commands per database transaction",
            self.batch_size.clone(),
        );
        r.register(
            "journal_commit_seconds",
            "Time to write one batch durably",
            self.commit_seconds.clone(),
        );
        r.register(
            "claimed",
            "Work leased by looking for what is due",
            self.claimed.clone(),
        );
        r.register(
            "damaged_rows",
            "Rows of due work that could not be read; the log names them",
            self.damaged.clone(),
        );
        r.register(
            "deliveries",
            "Delivery attempts by result",
            self.deliveries.clone(),
        );
        r.register(
            "check_backs",
            "Check-back attempts by answer",
            self.check_backs.clone(),
        );
        r.register(
            "branch_calls",
            "Calls of TCC branches by participant, call and result",
            self.branch_calls.clone(),
        );
        r.register(
            "lost_leases",
            "Ends of attempts refused because the lease was lost",
            self.lost_leases.clone(),
        );
        r.register(
            "contradictions",
            "Check-back answers that contradict the decision: look at once",
            self.contradictions.clone(),
        );
        r.register(
            "transactions",
            "Unfinished transactions by phase",
            self.transactions.clone(),
        );
        r.register(
            "owed_deliveries",
            "Deliveries owed, by subscription",
            self.backlog.clone(),
        );
        r.register(
            "owed_branches",
            "TCC branches that wait for a call, by participant",
            self.branches.clone(),
        );
        r.register(
            "oldest_pending_seconds",
            "Age of the oldest delivery or branch that is owed and not parked",
            self.oldest_pending.clone(),
        );
        r.register(
            "journal_queue_commands",
            "Commands waiting or being written",
            self.journal_depth.clone(),
        );
        r.register("board_work", "Leased work in memory", self.board.clone());
        r.register(
            "database_losses",
            "Lines of batches of which the database has forgotten what it acknowledged: look at once",
            self.losses.clone(),
        );
        r.register(
            "database_up",
            "Whether the database has answered this scrape; the gauges that only it knows are missing while it is 0",
            self.database_up.clone(),
        );
    }

    pub(crate) fn batch_written(
        &self,
        commands: &[Command],
        results: &[Result<Result<Reply, Rejection>, JournalError>],
        took: Duration,
    ) {
        self.batch_size.observe(commands.len() as f64);
        self.commit_seconds.observe(took.as_secs_f64());
        for (command, result) in commands.iter().zip(results) {
            let result = match result {
                Ok(Ok(Reply::LostLease)) => "lost_lease",
                Ok(Ok(_)) => "ok",
                Ok(Err(_)) => "refused",
                Err(_) => "failed",
            };
            self.commands
                .get_or_create(&CommandLabels {
                    command: command.name(),
                    result,
                })
                .inc();
        }
    }

    pub(crate) fn claimed(&self, count: usize) {
        self.claimed.inc_by(count as u64);
    }

    pub(crate) fn damaged(&self, count: usize) {
        self.damaged.inc_by(count as u64);
    }

    pub(crate) fn delivered(&self, work: &DeliveryWork, outcome: &CallOutcome<DeliveryAnswer>) {
        let result = match outcome.answer {
            DeliveryAnswer::Ok => "ok",
            DeliveryAnswer::Refused => "refused",
            DeliveryAnswer::InProgress => "in_progress",
            DeliveryAnswer::Failed(_) => "failed",
            DeliveryAnswer::Unknown => "unknown",
        };
        let namespace = work.subscription.namespace.to_string();
        let subscription = work.subscription.name.to_string();
        self.deliveries
            .get_or_create(&DeliveryLabels {
                namespace,
                subscription,
                result,
            })
            .inc();
    }

    pub(crate) fn checked_back(&self, answer: CheckBackAnswer) {
        let answer = match answer {
            CheckBackAnswer::Committed => "committed",
            CheckBackAnswer::RolledBack => "rolled_back",
            CheckBackAnswer::InProgress => "in_progress",
            CheckBackAnswer::Unknown => "unknown",
        };
        self.check_backs
            .get_or_create(&AnswerLabels { answer })
            .inc();
    }

    pub(crate) fn called_branch(&self, work: &BranchWork, outcome: &CallOutcome<BranchAnswer>) {
        let result = match outcome.answer {
            BranchAnswer::Ok => "ok",
            BranchAnswer::Refused(_) => "refused",
            BranchAnswer::InProgress => "in_progress",
            BranchAnswer::Failed(_) => "failed",
            BranchAnswer::Unknown => "unknown",
        };
        let labels = BranchLabels {
            namespace: work.namespace.to_string(),
            service: work.branch.service.to_string(),
            call: work.call.as_str(),
            result,
        };
        self.branch_calls.get_or_create(&labels).inc();
    }

    pub(crate) fn lost_lease(&self) {
        self.lost_leases.inc();
    }

    pub(crate) fn contradiction(&self) {
        self.contradictions.inc();
    }

    /// The text of `/metrics` (OpenMetrics), with what `snapshot` adds.
    pub fn render(&self, snapshot: &Snapshot) -> Result<String, FormatError> {
        self.transactions.clear();
        self.backlog.clear();
        self.branches.clear();
        let stored = snapshot.stored.as_ref();
        self.database_up.set(i64::from(stored.is_some()));
        for (phase, count) in stored.iter().flat_map(|stored| &stored.unfinished) {
            self.transactions
                .get_or_create(&PhaseLabels { phase })
                .set(gauge(*count));
        }
        for (namespace, subscription, pending, parked) in stored.iter().flat_map(|s| &s.backlog) {
            for (state, count) in [("pending", *pending), ("parked", *parked)] {
                let (namespace, subscription) = (namespace.clone(), subscription.clone());
                let labels = BacklogLabels {
                    namespace,
                    subscription,
                    state,
                };
                self.backlog.get_or_create(&labels).set(gauge(count));
            }
        }
        for (namespace, service, count) in stored.iter().flat_map(|s| &s.branches) {
            let (namespace, service) = (namespace.clone(), service.clone());
            let labels = ParticipantLabels { namespace, service };
            self.branches.get_or_create(&labels).set(gauge(*count));
        }
        let oldest = stored
            .map(|stored| stored.oldest_pending)
            .unwrap_or_default();
        self.oldest_pending.set(oldest.as_secs_f64());
        self.journal_depth.set(gauge(snapshot.journal_depth as u64));
        self.board.set(gauge(snapshot.board as u64));
        self.losses.set(gauge(snapshot.losses as u64));
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
