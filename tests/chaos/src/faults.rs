//! Breaking things and mending them, as the plan says, and writing both down.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use earnest_history::{Act, Event};
use rustix::process::Signal;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

use crate::{
    clients::Clients,
    kind::Kind,
    member::Member,
    plan::{Hand, Step, When},
    proxy::{Direction, Trouble},
    record::Recorder,
    stage::Stage,
};

/// What is waited for may never come: something else is broken.
const PATIENCE: Duration = Duration::from_secs(6);
/// Transactions of the shop that are not decided.
const OF_THE_SHOP: &str = "PREPARED&initiator=shop";
/// Orders that are placed between two faults at least.
const BREATH: u64 = 5;
/// How often somebody looks whether a process has died.
const LOOK: Duration = Duration::from_millis(25);

/// Who breaks things.
#[derive(Clone)]
pub(crate) struct Faults {
    pub(crate) stage: Arc<Stage>,
    pub(crate) clients: Arc<Clients>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) until: Instant,
    /// Held by whoever ends or stops processes, or needs that nobody does.
    pub(crate) processes: Arc<Mutex<()>>,
    pub(crate) hurry: bool,
    pub(crate) narrate: bool,
}

impl Faults {
    /// Breaks one thing after the other.
    pub(crate) async fn work(self, mut hand: Hand) -> Result<()> {
        while let Some(step) = hand.next(Instant::now() >= self.until) {
            if self.hurry && Instant::now() >= self.until {
                break;
            }
            self.wait(step.when).await;
            if step.kind == Kind::DiskFull && !self.stage.member(step.target)?.disk.is_small() {
                continue; // what this leaves out is noticed when the run is judged
            }
            self.say(&format!(
                "{:<12} {:<12} {:>5} ms, after {:?}",
                step.kind.name(),
                step.target,
                step.lasts.as_millis(),
                step.when
            ));
            self.note(step.kind, step.target, Act::Begin)?;
            self.break_and_mend(&step).await?;
            self.note(step.kind, step.target, Act::End)?;
        }
        Ok(())
    }

    async fn break_and_mend(&self, step: &Step) -> Result<()> {
        match step.kind {
            Kind::Kill | Kind::KillLoop | Kind::Stop => {
                let _alone = self.processes.lock().await;
                let member = self.stage.member(step.target)?;
                let mut life = member.life().await;
                let times = match step.kind {
                    Kind::KillLoop => step.times,
                    _ => 1,
                };
                for again in 0..times {
                    if again > 0 {
                        member.start(&mut life).await?;
                    }
                    match step.kind {
                        Kind::Stop => life.stop().await?,
                        _ => life.kill().await?,
                    }
                    sleep(step.lasts / times).await;
                }
                member.start(&mut life).await?;
            }
            Kind::Pause => {
                let _alone = self.processes.lock().await;
                let mut life = self.stage.member(step.target)?.life().await;
                life.signal(Signal::STOP)?;
                sleep(step.lasts).await;
                life.signal(Signal::CONT)?;
            }
            Kind::Refuse
            | Kind::Reset
            | Kind::Delay
            | Kind::SilenceIn
            | Kind::SilenceOut
            | Kind::Cut => {
                let proxy = self.stage.proxy(step.target)?;
                proxy.set(step.trouble);
                sleep(step.lasts).await;
                proxy.set(Trouble::None);
            }
            Kind::DiskFull => {
                let disk = &self.stage.member(step.target)?.disk;
                disk.fill()?;
                sleep(step.lasts).await;
                disk.free()?;
            }
            Kind::DatabaseKill => {
                if let Some(server) = &self.stage.database {
                    server.kill(step.lasts).await?;
                }
            }
            Kind::Orphan => self.orphan(step).await?,
            Kind::Unconfirmed => self.unconfirmed(step).await,
            Kind::Die => {}
        }
        Ok(())
    }

    /// What coordinators say is kept back until a transaction of the shop is seen to wait for it; then the shop dies.
    async fn orphan(&self, step: &Step) -> Result<()> {
        let _alone = self.processes.lock().await;
        self.set_all(Trouble::Silence(Direction::Out));
        self.until(async || self.shown(OF_THE_SHOP).await >= Some(1))
            .await;
        let shop = self.stage.member(step.target)?;
        let mut life = shop.life().await;
        life.kill().await?;
        self.set_all(Trouble::None);
        sleep(step.lasts).await;
        shop.start(&mut life).await
    }

    /// Answers to prepares are still on their way when coordinators stop hearing anything: COMMITs follow, and no confirm. So
    /// it stays until check-backs have decided all of them; nobody else breaks those who have to ask and to answer.
    async fn unconfirmed(&self, step: &Step) {
        let _processes_live_on = self.processes.lock().await;
        self.set_all(Trouble::Delay(Duration::from_millis(150)));
        // Of several it is not likely that all of them fail at COMMIT.
        self.until(async || self.shown(OF_THE_SHOP).await >= Some(3))
            .await;
        self.set_all(Trouble::Silence(Direction::In));
        sleep(step.lasts).await;
        self.until(async || self.shown(OF_THE_SHOP).await == Some(0))
            .await;
        self.set_all(Trouble::None);
    }

    fn set_all(&self, trouble: Trouble) {
        for coordinator in self.stage.coordinators() {
            coordinator.proxy.set(trouble);
        }
    }

    /// Waits for a condition, which may never come.
    async fn until(&self, has_come: impl AsyncFn() -> bool) {
        let began = Instant::now();
        while began.elapsed() < PATIENCE && !has_come().await {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Brings back whoever dies by itself, which only the shop may, and only when it was ordered to.
    pub(crate) async fn watch(self, member: Arc<Member>) -> Result<()> {
        loop {
            {
                let mut life = member.life().await;
                if life.died()? {
                    self.say(&format!("{:<12} {}", Kind::Die.name(), member.name));
                    self.note(Kind::Die, &member.name, Act::Begin)?;
                    member.start(&mut life).await?;
                    self.note(Kind::Die, &member.name, Act::End)?;
                }
            }
            sleep(LOOK).await;
        }
    }

    async fn wait(&self, when: When) {
        let began = Instant::now();
        let more = match when {
            When::Placed(more) => more,
            When::Undecided | When::Owed => BREATH,
        };
        let enough = self.clients.placed() + more;
        while began.elapsed() < PATIENCE {
            let come = self.clients.placed() >= enough
                && match when {
                    When::Placed(_) => true,
                    When::Undecided => self.shown("PREPARED").await >= Some(1),
                    When::Owed => self.shown("CONFIRMING").await >= Some(1),
                };
            if come {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// How many transactions of that phase a coordinator shows, up to a few; none: nobody answers.
    async fn shown(&self, phase: &str) -> Option<usize> {
        let path = format!("/v1/transactions?phase={phase}&page_size=3");
        for coordinator in self.stage.coordinators() {
            let asked = self.stage.ask(coordinator, &path);
            let asked = tokio::time::timeout(Duration::from_millis(500), asked).await;
            if let Ok(Ok(page)) = asked {
                return page["transactions"].as_array().map(Vec::len);
            }
        }
        None
    }

    fn note(&self, kind: Kind, target: &str, act: Act) -> Result<()> {
        self.recorder.write(
            "runner",
            Event::Fault {
                fault: kind.name().to_owned(),
                target: target.to_owned(),
                act,
            },
        )?;
        Ok(())
    }

    #[expect(clippy::print_stderr, reason = "the run tells people what it does")]
    fn say(&self, what: &str) {
        if self.narrate {
            eprintln!("  {what}");
        }
    }
}
