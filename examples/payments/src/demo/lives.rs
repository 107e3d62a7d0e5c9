//! Lives and deaths: each process is started, dies as planned, lies dead for a while, and starts anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::process::ExitStatusExt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, bail};
use payments::load;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::{
    books::{Books, Phase},
    checker,
    member::Member,
    narrator::Narrator,
    plan::{End, Life},
    promise::Finding,
    running::Running,
    seen::Seen,
    stage::Stage,
    takeover::Left,
    talk::Talk,
    window::{self, CrashPoint, Window},
};

/// How long a process may take to come to the step at which it is to die.
const REACHES_ITS_STEP_WITHIN: Duration = Duration::from_secs(15);
/// However slow the machine is, a life sees this many payments answered before it is ended from outside, …
const PAYMENTS_OF_A_LIFE: u64 = 10;
/// … unless that takes longer than this.
const LONGEST_LIFE: Duration = Duration::from_secs(15);
const OWED_WITHIN: Duration = Duration::from_secs(10);

/// How a window is known to have been hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// The process died at a step of it.
    CrashPoint,
    /// The databases showed a payment in it.
    Databases,
}

/// One death.
#[derive(Clone, Debug)]
pub(crate) struct Death {
    pub member: Member,
    pub windows: BTreeMap<Window, Evidence>,
}

/// What the deaths brought to light.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub deaths: Vec<Death>,
    pub seen: Seen,
    /// What must hold at any moment, and did not.
    pub findings: BTreeSet<Finding>,
    /// Work of dead nodes that others finished.
    pub taken_over: u64,
    /// What each dead node had leased.
    left: BTreeMap<Member, Left>,
    /// Undecided transactions that the cashier's last death left behind.
    left_over: BTreeSet<Uuid>,
}

impl Record {
    /// Notes a death, with the databases as they were then, if they could be read. A death at a step counts for the window of
    /// that step and for no other: the databases were read only a little later.
    fn add(
        &mut self,
        member: Member,
        at: Option<CrashPoint>,
        books: Option<&Books>,
    ) -> &BTreeMap<Window, Evidence> {
        let seen = || books.map(|books| window::seen_in(books, member, &self.left_over));
        let windows = match at {
            Some(point) => point
                .window()
                .map(|window| (window, Evidence::CrashPoint))
                .into_iter()
                .collect(),
            None => seen()
                .unwrap_or_default()
                .into_iter()
                .map(|window| (window, Evidence::Databases))
                .collect(),
        };
        if let Some(books) = books {
            if member == Member::Cashier {
                let undecided = books
                    .coordinator
                    .transactions
                    .iter()
                    .filter(|(_, t)| t.phase == Phase::Prepared);
                self.left_over = undecided.map(|(id, _)| *id).collect();
            }
            if let Member::Coordinator(_) = member {
                self.left
                    .insert(member, Left::by(member, &books.coordinator));
            }
            self.seen.add(books);
            self.findings.extend(checker::at_any_moment(books));
        }
        self.deaths.push(Death { member, windows });
        &self.deaths[self.deaths.len() - 1].windows
    }
}

/// What all lives share.
#[derive(Clone)]
pub(crate) struct Fates {
    pub stage: Arc<Stage>,
    pub narrator: Narrator,
    customers: Arc<load::Record>,
    record: Arc<Mutex<Record>>,
}

impl Fates {
    pub(crate) fn new(stage: Arc<Stage>, narrator: Narrator, customers: Arc<load::Record>) -> Self {
        Self {
            stage,
            narrator,
            customers,
            record: Arc::default(),
        }
    }

    /// What is known by now.
    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What others finished of the work that a node left behind, up to now: counted before it is back, so that it can't have
    /// been its own doing.
    async fn stood_in_for(&self, member: Member) {
        let Some(left) = self.record().left.remove(&member) else {
            return;
        };
        if left.is_nothing() {
            return;
        }
        // What can't be read is not counted.
        let Ok(now) = self.stage.coordinator().await else {
            return;
        };
        let finished = left.finished(&now);
        self.record().taken_over += finished;
        if finished > 0 {
            self.narrator.say(&format!(
                "{member:<13} is still dead; others finished {finished} of what it had leased"
            ));
        }
    }

    /// Starts a life.
    pub(crate) async fn begin(
        &self,
        member: Member,
        life: Option<&Life>,
    ) -> anyhow::Result<Running> {
        let crash_at = match life.map(|life| life.end) {
            Some(End::At(point, passing)) => Some((point, passing)),
            Some(End::Killed(_)) | None => None,
        };
        self.stood_in_for(member).await;
        self.stage.start(member, crash_at).await
    }

    /// Goes through `lives`, of which the first has begun, and returns the one after them.
    pub(crate) async fn live(
        &self,
        mut running: Running,
        lives: &[Life],
    ) -> anyhow::Result<Running> {
        let member = running.member;
        for (number, life) in lives.iter().enumerate() {
            match life.end {
                End::Killed(after) => {
                    tokio::select! {
                        () = self.lived(after) => {}
                        status = running.died() => return self.unexpected(member, status),
                    }
                    self.kill(running).await;
                }
                End::At(point, passing) => {
                    match timeout(REACHES_ITS_STEP_WITHIN, running.died()).await {
                        Ok(status) if status.signal() == Some(9) => {
                            drop(running);
                            let books = self.stage.look(async || {}).await;
                            let how = format!("at {} ({passing})", point.name());
                            self.note(member, Some(point), &how, books);
                        }
                        Ok(status) => return self.unexpected(member, status),
                        // Nothing has come by; a plain kill, then.
                        Err(_) => self.kill(running).await,
                    }
                }
            }
            sleep(life.down).await;
            running = self.begin(member, lives.get(number + 1)).await?;
        }
        Ok(running)
    }

    /// Waits until a life has lasted for long enough.
    async fn lived(&self, after: Duration) {
        let enough = self.customers.counts().answered() + PAYMENTS_OF_A_LIFE;
        sleep(after).await;
        let answered = async {
            while self.customers.counts().answered() < enough {
                sleep(Duration::from_millis(20)).await;
            }
        };
        // Either way it has.
        let _elapsed = timeout(LONGEST_LIFE.saturating_sub(after), answered).await;
    }

    /// The last act: the ledger dies, and once messages wait for it, so does the coordinator.
    pub(crate) async fn die_together(
        &self,
        coordinator: Running,
        ledger: Running,
        talk: &mut Talk,
        down: Duration,
    ) -> anyhow::Result<(Running, Running)> {
        self.kill(ledger).await;
        let owed = async {
            while talk.owed(Some(Member::Ledger)).await.unwrap_or(0) == 0 {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(OWED_WITHIN, owed).await.with_context(|| {
            format!("the ledger is dead, payments are made, and the coordinator owes it nothing after {OWED_WITHIN:?}")
        })?;
        let member = coordinator.member;
        self.kill(coordinator).await;
        sleep(down).await;
        let coordinator = self.begin(member, None).await?;
        let ledger = self.begin(Member::Ledger, None).await?;
        Ok((coordinator, ledger))
    }

    async fn kill(&self, running: Running) {
        let member = running.member;
        let books = running.kill().await;
        self.note(member, None, "by SIGKILL", books);
    }

    fn note(
        &self,
        member: Member,
        at: Option<CrashPoint>,
        how: &str,
        books: anyhow::Result<Books>,
    ) {
        let mut record = self.record();
        let windows = record.add(member, at, books.as_ref().ok());
        let windows: Vec<String> = windows.keys().map(ToString::to_string).collect();
        let what = match (windows.as_slice(), books) {
            ([], Ok(_)) => "nothing was under way".to_owned(),
            ([], Err(error)) => format!("databases not read, so no window counts: {error:#}"),
            (windows, _) => windows.join(", "),
        };
        self.narrator
            .say(&format!("{member:<13} dies {how:<33} {what}"));
    }

    fn unexpected<T>(&self, member: Member, status: std::process::ExitStatus) -> anyhow::Result<T> {
        bail!(
            "the {member} ended by itself ({status}); its log ends with:\n{}",
            self.stage.log_end(member)
        )
    }
}
