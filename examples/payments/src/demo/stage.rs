//! The processes: started, made to stand still, killed, stopped. None of them outlives the demo.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    net::{Ipv4Addr, SocketAddr},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use payments::load::{CLOSED, LIMIT, OPENED_WITH, PAYEES, PAYERS};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    net::TcpStream,
    process::Command,
    sync::RwLock,
    time::{Instant, sleep, timeout},
};

use crate::{
    books::{Books, Coordinator},
    member::Member,
    plan::BUDGET,
    ports::free_ports,
    read,
    running::Running,
    store::Store,
    talk::Talk,
    window::CrashPoint,
};

const READY_WITHIN: Duration = Duration::from_secs(15);
const READ_WITHIN: Duration = Duration::from_secs(2);
/// How long after prepare the coordinator asks what became of a payment.
const CHECK_AFTER: Duration = Duration::from_millis(300);

/// How long a dead node's work stays its own, where another can take it.
const LEASE: Duration = Duration::from_secs(1);

/// What all processes share.
pub(crate) struct Stage {
    binaries: PathBuf,
    data: PathBuf,
    store: Store,
    /// The members of this run, and where each listens.
    ports: BTreeMap<Member, u16>,
    alive: Mutex<BTreeMap<Member, Pid>>,
    /// Written while everything stands still, read by whoever starts: a process that stood still while it opens its database
    /// would keep it locked for those who want to read it.
    standstill: RwLock<()>,
    // Held for as long as the data directory is in use.
    _lock: File,
}

impl Stage {
    /// Prepares an empty data directory and picks ports.
    pub(crate) fn new(data: &Path, store: Store, nodes: u8) -> anyhow::Result<Self> {
        let binaries = std::env::current_exe()?
            .parent()
            .context("this program has no directory")?
            .to_owned();
        let services = Member::SERVICES.map(Member::name);
        for program in ["earnest"].iter().chain(&services) {
            if !binaries.join(program).exists() {
                bail!(
                    "{program} is not beside this program in {}; build it with: cargo build -p earnest-coordinator -p payments --bins",
                    binaries.display()
                );
            }
        }
        let lock = empty(data)?;
        // Two runs at the same time look in different places.
        let ports = free_ports(
            Member::all(nodes).count(),
            std::process::id().wrapping_mul(16),
        )?;
        Ok(Self {
            binaries,
            data: data.canonicalize()?,
            store,
            ports: Member::all(nodes).zip(ports).collect(),
            alive: Mutex::default(),
            standstill: RwLock::new(()),
            _lock: lock,
        })
    }

    /// Where the databases and logs are.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Whether what the coordinator keeps is there after the run, as a file.
    pub(crate) fn leaves_its_database(&self) -> bool {
        matches!(self.store, Store::Sqlite)
    }

    /// The coordinators of this run.
    pub(crate) fn coordinators(&self) -> impl Iterator<Item = Member> {
        let is_one = |member: &Member| matches!(member, Member::Coordinator(_));
        self.ports.keys().copied().filter(is_one)
    }

    /// Talks to all of them.
    pub(crate) fn talk(&self) -> anyhow::Result<Talk> {
        Talk::to(self.coordinators().map(|member| self.url(member)))
    }

    /// Where a process is called.
    pub(crate) fn url(&self, member: Member) -> String {
        format!("http://{}", self.address(member))
    }

    fn address(&self, member: Member) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[&member]))
    }

    /// The file that a process writes its log to.
    pub(crate) fn log(&self, member: Member) -> PathBuf {
        self.data.join(format!("{member}.log"))
    }

    /// The program of a process, as a person would type it.
    pub(crate) fn program(&self, member: Member) -> PathBuf {
        self.binaries.join(match member {
            Member::Coordinator(_) => "earnest",
            service => service.name(),
        })
    }

    /// The flags of a process.
    pub(crate) fn flags(&self, member: Member) -> Vec<String> {
        let database = read::database(&self.data, member).display().to_string();
        let listen = self.address(member).to_string();
        let flags: Vec<String> = match member {
            Member::Coordinator(_) => {
                let mut flags = vec!["serve".into(), "--node".into(), member.to_string()];
                match &self.store {
                    Store::Sqlite => {
                        flags.extend(["--database".into(), format!("sqlite:{database}")]);
                    }
                    // It comes in the environment, since a password may be in it.
                    Store::Server(_) => {}
                }
                if self.coordinators().count() > 1 {
                    flags.extend(["--set".into(), format!("lease_ms={}", LEASE.as_millis())]);
                }
                flags
            }
            _ => vec![
                "--database".into(),
                database,
                "--coordinator".into(),
                self.coordinators()
                    .map(|member| self.url(member))
                    .collect::<Vec<_>>()
                    .join(","),
            ],
        };
        let own: Vec<String> = match member {
            Member::Cashier => {
                let check_after = CHECK_AFTER.as_millis().to_string();
                vec!["--check-after-ms".into(), check_after]
            }
            Member::Account => {
                let payers = PAYERS.map(|name| format!("--account={name}={OPENED_WITH}"));
                let payees = PAYEES.map(|name| format!("--account={name}=0"));
                let closed = [format!("--closed={CLOSED}")];
                payers.into_iter().chain(payees).chain(closed).collect()
            }
            Member::Credit => PAYERS
                .map(|name| format!("--limit={name}={LIMIT}"))
                .to_vec(),
            Member::Rewards => vec!["--budget".into(), BUDGET.to_string()],
            Member::Coordinator(_) | Member::Coupon | Member::Ledger => Vec::new(),
        };
        let listen = ["--listen".to_owned(), listen];
        flags.into_iter().chain(listen).chain(own).collect()
    }

    /// Starts a process and waits until it listens. `crash_at` makes it die by itself, which it may have done by then.
    pub(crate) async fn start(
        self: &Arc<Self>,
        member: Member,
        crash_at: Option<(CrashPoint, u32)>,
    ) -> anyhow::Result<Running> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log(member))?;
        let mut command = self.command(member);
        command
            .args(self.flags(member))
            // An earnest.toml that lies where the demo was started is not for this coordinator.
            .current_dir(&self.data)
            // The deliveries that were taken before are counted from the log.
            .env("RUST_LOG", "info,earnest::deliver=debug")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C is for the demo, which then ends them all.
            .process_group(0)
            .kill_on_drop(true);
        for (setting, _) in std::env::vars_os() {
            if setting.to_string_lossy().starts_with("EARNEST_") {
                command.env_remove(setting);
            }
        }
        if let (Member::Coordinator(_), Store::Server(database)) = (member, &self.store) {
            command.env("EARNEST_DATABASE", database.url());
        }
        if let Some((point, passing)) = crash_at {
            command.env("EARNEST_CRASH_AT", format!("{}:{passing}", point.name()));
        }
        let _moving = self.standstill.read().await;
        let child = command
            .spawn()
            .with_context(|| format!("can't start the {member}"))?;
        self.note(member, child.id());
        let mut running = Running::new(Arc::clone(self), member, child);
        tokio::select! {
            listening = self.listening(member) => listening?,
            // A check-back can come, and with it the step, before the port is seen to be open.
            status = running.died() => ensure!(
                crash_at.is_some() && status.signal() == Some(Signal::KILL.as_raw()),
                "the {member} ended while it was starting ({status}); its log ends with:\n{}",
                self.log_end(member)
            ),
        }
        Ok(running)
    }

    /// `setpriv` lets the kernel kill the process when this one dies in whatever way; where it is missing,
    /// only an orderly end does.
    fn command(&self, member: Member) -> Command {
        const SETPRIV: &str = "/usr/bin/setpriv";
        let program = self.program(member);
        if !Path::new(SETPRIV).exists() {
            return Command::new(program);
        }
        let mut command = Command::new(SETPRIV);
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        command
    }

    async fn listening(&self, member: Member) -> anyhow::Result<()> {
        let connected = async {
            while TcpStream::connect(self.address(member)).await.is_err() {
                sleep(Duration::from_millis(10)).await;
            }
            if let Member::Coordinator(_) = member {
                // It takes its port before its database.
                let mut talk = Talk::to([self.url(member)])?;
                while talk.owed(None).await.is_err() {
                    sleep(Duration::from_millis(10)).await;
                }
            }
            Ok(())
        };
        timeout(READY_WITHIN, connected).await.with_context(|| {
            format!(
                "the {member} does not listen after {READY_WITHIN:?}; its log ends with:\n{}",
                self.log_end(member)
            )
        })?
    }

    /// The last lines of a process's log.
    pub(crate) fn log_end(&self, member: Member) -> String {
        let text = std::fs::read(self.log(member)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// Makes everything stand still, lets `meanwhile` happen, reads all databases, and lets everything go on. Reading fails now
    /// and then: a process can be caught in the very moment in which its database can't be read.
    pub(crate) async fn look(&self, meanwhile: impl AsyncFnOnce()) -> anyhow::Result<Books> {
        let _standstill = self.standstill.write().await;
        let stopped = self.pids();
        for pid in &stopped {
            signal(*pid, Signal::STOP);
        }
        for pid in &stopped {
            standing_still(*pid).await;
        }
        meanwhile().await;
        let books = timeout(READ_WITHIN, read::books(&self.data, &self.store)).await;
        for pid in self.pids() {
            signal(pid, Signal::CONT);
        }
        books.context("they could not be read in time")?
    }

    /// Reads all databases while everybody goes on.
    pub(crate) async fn books(&self) -> anyhow::Result<Books> {
        read::books(&self.data, &self.store).await
    }

    /// Reads the coordinator's database while everybody goes on.
    pub(crate) async fn coordinator(&self) -> anyhow::Result<Coordinator> {
        read::coordinator(&self.data, &self.store).await
    }

    /// What a signal to a process goes to; none: it is gone.
    pub(crate) fn note(&self, member: Member, pid: Option<u32>) {
        let pid = pid
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(Pid::from_raw);
        let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        match pid {
            Some(pid) => alive.insert(member, pid),
            None => alive.remove(&member),
        };
    }

    fn pids(&self) -> Vec<Pid> {
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        alive.values().copied().collect()
    }
}

/// One that is gone already needs no signal.
pub(crate) fn signal(pid: Pid, signal: Signal) {
    let _gone = kill_process(pid, signal);
}

/// A stop is not instant; waits for it where the system tells.
async fn standing_still(pid: Pid) {
    let file = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let since = Instant::now();
    while let Ok(stat) = std::fs::read_to_string(&file) {
        // `pid (name) state …`: T is stopped, Z is dead.
        let state = stat
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.chars().next());
        if matches!(state, Some('T' | 't' | 'Z' | 'X')) || since.elapsed() > Duration::from_secs(1)
        {
            return;
        }
        sleep(Duration::from_millis(1)).await;
    }
}

/// Makes the data directory, removes what an earlier run left in it, and nothing else.
fn empty(data: &Path) -> anyhow::Result<File> {
    let problem = || format!("can't use the data directory {}", data.display());
    std::fs::create_dir_all(data).with_context(problem)?;
    let lock = File::create(data.join("lock")).with_context(problem)?;
    if lock.try_lock().is_err() {
        bail!("another run is using {}", data.display());
    }
    for member in Member::all(Member::MOST_NODES) {
        for ending in ["db", "db-wal", "db-shm", "log"] {
            let file = data.join(format!("{member}.{ending}"));
            if file.exists() {
                std::fs::remove_file(&file).with_context(problem)?;
            }
        }
    }
    Ok(lock)
}
