//! Makes the measurements one after the other, says each, and keeps them all.

use std::{fmt::Write, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use tokio::time::Instant;
use tonic::transport::Channel;

use crate::{
    caller::{self, Caller, GrpcCaller},
    consumer::Consumer,
    coordinator::{Coordinator, Site, TOPIC},
    database::{self, Database, Kind},
    disk,
    echo::Echo,
    latency::Window,
    ledger::Ledger,
    load::{self, Seen},
    machine::Machine,
    options::{Case, Options, Transport},
    plan::{Messages, Run, Tcc, plan},
    process,
    report::{self, Record, say},
    sender::Sender,
    store_raw,
    targets::{Findings, Sustained},
    tcc::{self, TccCaller},
};

/// A topic that nobody subscribed to.
const NOBODYS: &str = "bench.nobody";
/// How long acknowledged messages may take to arrive once no more are sent; then they count as lost.
const DRAIN: Duration = Duration::from_mins(1);

/// One whole benchmark on its way.
pub struct Bench {
    options: Options,
    site: Site,
    consumer: Consumer,
    consumer_url: String,
    records: Vec<Record>,
    findings: Findings,
}

impl Bench {
    pub fn new(options: Options) -> anyhow::Result<Self> {
        database::ensure_disk(options.store)?;
        let site = Site::find(options.directory.clone())?;
        let consumer = Consumer::default();
        let consumer_url = consumer.serve()?;
        Ok(Self {
            site,
            consumer,
            consumer_url,
            records: Vec::new(),
            findings: Findings::over(options.store),
            options,
        })
    }

    pub async fn run(mut self) -> anyhow::Result<()> {
        let runs = plan(&self.options);
        if runs.is_empty() {
            bail!("nothing is measured with these --only, --transport and --callers together");
        }
        let length: Duration = runs.iter().map(|run| run.length(&self.options)).sum();
        say(format!(
            "{} measurements, about {:.0} s",
            runs.len(),
            length.as_secs_f64()
        ))?;
        say(format!("machine: {}", Machine::this()))?;
        let directory = self.site.directory.clone();
        let sync = tokio::task::spawn_blocking(move || disk::sync_latency(&directory)).await??;
        say(format!(
            "disk: append 4 KiB + fdatasync p50 {:.3} ms, p99 {:.3} ms in {}",
            sync.percentile(50.0),
            sync.percentile(99.0),
            self.site.directory.display()
        ))?;
        say(format!(
            "load: closed loop from this process on the same cores, 1 KiB payloads, {} HTTP/2 connection(s), windows of {:.0} s \
             (sustained ones {:.0} s) after {:.1} s\n",
            self.options.connections,
            self.options.window().as_secs_f64(),
            self.options.sustained().as_secs_f64(),
            self.options.warm_up().as_secs_f64()
        ))?;
        report::say_head()?;
        for run in runs {
            self.measure(run)
                .await
                .with_context(|| format!("{run:?}"))?;
        }
        report::write(&self.records, &self.options.out)?;
        say("")?;
        for line in self.findings.verdicts() {
            say(line)?;
        }
        say(format!("\nresults: {}", self.options.out.display()))
    }

    async fn measure(&mut self, run: Run) -> anyhow::Result<()> {
        match run {
            Run::Echo { callers } => self.echo(callers).await,
            Run::StoreRaw { size, settle } => self.store_raw(size, settle).await,
            Run::Messages(messages) => self.messages(messages).await,
            Run::Tcc(tcc) => self.tcc(tcc).await,
        }
    }

    async fn tcc(&mut self, run: Tcc) -> anyhow::Result<()> {
        let database = Database::fresh(self.options.store).await;
        let settings = self.settings(run.batched);
        let mut coordinator = Coordinator::start(&self.site, &database, settings).await?;
        let measured = self.tcc_of(&coordinator, run).await;
        coordinator.explain(measured)?;
        drop(coordinator);
        database.remove().await
    }

    async fn tcc_of(&mut self, coordinator: &Coordinator, run: Tcc) -> anyhow::Result<()> {
        let participants = Echo::start().await?;
        for service in tcc::PARTICIPANTS {
            coordinator.register(service, &participants.url).await?;
        }
        let channels = caller::connect(&coordinator.url, self.options.connections).await?;
        let theirs = caller::connect(&participants.url, 1).await?.remove(0);
        let callers = in_turn(&channels, run.callers, |n, channel| {
            Caller::Tcc(Box::new(TccCaller::new(
                channel,
                theirs.clone(),
                run.until,
                n,
            )))
        });
        let ledger = self.ledger(run.window);
        let before = process::processor_time(coordinator.process)?;
        let seen = load::run(callers, &ledger).await?;
        tcc::drain(channels[0].clone()).await?;
        let took = process::processor_time(coordinator.process)?.saturating_sub(before);
        let durability = &coordinator.durability;
        if !durability.durable {
            bail!(
                "the coordinator's database is not durable: {}",
                durability.settings
            );
        }
        let seconds = ledger.window().seconds();
        let record = Record::new(
            run.until.case(),
            "grpc",
            run.callers,
            &seen.transactions,
            seconds,
        )
        .kept_in(&durability.store, &durability.settings, run.batched);
        self.findings.tcc(run, &record);
        let notes = format!(
            "coordinator {:.0} us/transaction of processor, {} MiB; {} refused",
            took.as_secs_f64() * 1e6 / (ledger.begun() as f64).max(1.0),
            process::resident(coordinator.process)? >> 20,
            seen.refused
        );
        self.keep(record, &notes)
    }

    /// The coordinator's settings: those that were asked for, and batches of one where they are compared with.
    fn settings(&self, batched: bool) -> Vec<String> {
        let alone: &[&str] = match (batched, self.options.store) {
            (true, _) => &[],
            (false, Kind::Sqlite) => &["journal.batch_commands=1"],
            // As many commits at once as a pool of connections would have.
            (false, Kind::Postgres | Kind::Mysql) => &[
                "journal.batch_commands=1",
                "database_writers=36",
                "journal.lanes=32",
            ],
        };
        let asked = self.options.set.iter().cloned();
        asked
            .chain(alone.iter().map(|&one| one.to_owned()))
            .collect()
    }

    async fn echo(&mut self, callers: usize) -> anyhow::Result<()> {
        let echo = Echo::start().await?;
        let channels = caller::connect(&echo.url, self.options.connections).await?;
        let ledger = self.ledger(self.options.window() / 2);
        let callers_of = in_turn(&channels, callers, |_, channel| {
            Caller::Echo(earnest_proto::v1::participant_client::ParticipantClient::new(channel))
        });
        let seen = load::run(callers_of, &ledger).await?;
        let seconds = ledger.window().seconds();
        let record = Record::new(Case::GrpcEcho, "grpc", callers, &seen.transactions, seconds);
        self.keep(record, "one unary call each; a transaction is two")
    }

    async fn store_raw(&mut self, size: usize, settle: bool) -> anyhow::Result<()> {
        let window = self.options.window() / 2;
        let database = Database::fresh(self.options.store).await;
        let warm_up = self.options.warm_up();
        let raw = store_raw::run(&self.site, &database, size, settle, warm_up, window).await?;
        database.remove().await?;
        let case = if settle {
            Case::StoreRawDelivered
        } else {
            Case::StoreRaw
        };
        let record = Record::new(case, "none", size, &raw.transactions, window.as_secs_f64());
        let rows = if settle { 6.0 } else { 4.0 };
        let notes = format!(
            "{:.0} rows/s; batches of {size}, {} commits each",
            record.per_second * rows,
            if settle { 3 } else { 2 }
        );
        let record = record.kept_in(raw.durability.store, &raw.durability.settings, true);
        self.keep(record, &notes)
    }

    async fn messages(&mut self, run: Messages) -> anyhow::Result<()> {
        let settings = self.settings(run.batched);
        let database = Database::fresh(self.options.store).await;
        let mut coordinator = Coordinator::start(&self.site, &database, settings).await?;
        let measured = self.messages_of(&coordinator, run).await;
        coordinator.explain(measured)?;
        drop(coordinator);
        database.remove().await
    }

    async fn messages_of(
        &mut self,
        coordinator: &Coordinator,
        run: Messages,
    ) -> anyhow::Result<()> {
        coordinator.subscribe(&self.consumer_url).await?;
        let (callers, sender) = self.callers(coordinator, run).await?;
        let ledger = self.ledger(run.window);
        let before = process::processor_time(coordinator.process)?;
        let seen = load::run(callers, &ledger).await?;
        if run.subscribed {
            drain(&ledger).await?;
        }
        let took = process::processor_time(coordinator.process)?.saturating_sub(before);
        let mut notes = format!(
            "coordinator {:.0} us/transaction of processor, {} MiB",
            took.as_secs_f64() * 1e6 / (ledger.begun() as f64).max(1.0),
            process::resident(coordinator.process)? >> 20
        );
        if seen.refused > 0 {
            write!(notes, "; {} refused", seen.refused)?;
        }
        if let Some(sender) = &sender {
            write!(notes, "; the sender's own database: {}", sender.durability)?;
        }
        self.keep_messages(run, coordinator, &ledger, &seen, &notes)
    }

    fn keep_messages(
        &mut self,
        run: Messages,
        coordinator: &Coordinator,
        ledger: &Ledger,
        seen: &Seen,
        notes: &str,
    ) -> anyhow::Result<()> {
        let seconds = ledger.window().seconds();
        let durability = &coordinator.durability;
        if !durability.durable {
            bail!(
                "the coordinator's database is not durable: {}",
                durability.settings
            );
        }
        let record = |case, latencies| {
            Record::new(case, run.transport.name(), run.callers, latencies, seconds).kept_in(
                &durability.store,
                &durability.settings,
                run.batched,
            )
        };
        if !run.subscribed {
            return self.keep(record(Case::MessageUnsubscribed, &seen.transactions), notes);
        }
        let acknowledged = record(Case::MessageAcknowledged, &seen.transactions);
        let delivered = record(Case::MessageDelivered, &ledger.timely());
        let (backlog, late) = ledger.backlog();
        let sustained = Sustained {
            callers: run.callers,
            seconds,
            acknowledged: acknowledged.per_second,
            delivered: delivered.per_second,
            backlog,
        };
        if run.transport == Transport::Grpc {
            self.find(run, sustained, seen);
        }
        let behind = format!(
            "{:.3} s of backlog at the end ({late} messages), {} duplicates",
            backlog.as_secs_f64(),
            ledger.duplicates()
        );
        self.keep(acknowledged, notes)?;
        self.keep(delivered, &behind)
    }

    fn find(&mut self, run: Messages, sustained: Sustained, seen: &Seen) {
        match (run.callers, run.batched) {
            (1, true) => self.findings.lone_call_ms = Some(seen.calls.percentile(50.0)),
            (64, true) => self.findings.batched = Some(sustained.acknowledged),
            (64, false) => self.findings.unbatched = Some(sustained.acknowledged),
            _ => {}
        }
        if run.batched && run.callers > 1 {
            self.findings.sustained.push(sustained);
        }
    }

    /// The callers, and the service that they are of where they use the SDK.
    async fn callers(
        &self,
        coordinator: &Coordinator,
        run: Messages,
    ) -> anyhow::Result<(Vec<Caller>, Option<Sender>)> {
        let topic = if run.subscribed { TOPIC } else { NOBODYS };
        match run.transport {
            Transport::Grpc => {
                let channels = caller::connect(&coordinator.url, self.options.connections).await?;
                let caller = |n, channel| {
                    Caller::Grpc(Box::new(GrpcCaller::new(channel, topic, run.subscribed, n)))
                };
                Ok((in_turn(&channels, run.callers, caller), None))
            }
            Transport::Sdk => {
                let sender = Sender::start(&self.site, &coordinator.url).await?;
                let callers = (0..run.callers).map(|_| Caller::Sdk(sender.earnest.clone(), topic));
                Ok((callers.collect(), Some(sender)))
            }
        }
    }

    fn ledger(&self, window: Duration) -> Arc<Ledger> {
        let ledger = Arc::new(Ledger::new(Window::from_now(
            self.options.warm_up(),
            window,
        )));
        self.consumer.count_into(Arc::clone(&ledger));
        ledger
    }

    fn keep(&mut self, record: Record, notes: &str) -> anyhow::Result<()> {
        report::say_record(&record, notes)?;
        self.records.push(record);
        Ok(())
    }
}

/// `count` callers, over the connections in turn.
fn in_turn(
    channels: &[Channel],
    count: usize,
    caller: impl Fn(u64, Channel) -> Caller,
) -> Vec<Caller> {
    let over = channels.iter().cycle().take(count);
    (0..)
        .zip(over)
        .map(|(n, channel)| caller(n, channel.clone()))
        .collect()
}

/// Waits until every acknowledged message has arrived.
pub async fn drain(ledger: &Ledger) -> anyhow::Result<()> {
    let end = Instant::now() + DRAIN;
    loop {
        let missing = ledger.missing();
        if missing == 0 {
            return Ok(());
        }
        if Instant::now() > end {
            bail!(
                "{missing} acknowledged messages did not arrive within {} s",
                DRAIN.as_secs()
            );
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
