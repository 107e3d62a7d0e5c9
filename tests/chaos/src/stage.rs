//! All members, wired through their proxies, and what can be asked of them.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use earnest_history::Subscription;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    disk::Disk,
    member::{Member, Role},
    options::{Options, Store},
    order::{ORDERS, PARTICIPANTS, POSTS, RESTOCKS},
    process::Program,
    proxy::Proxy,
    server::DatabaseServer,
};

/// How long the coordinator waits before it asks the shop.
const CHECK_AFTER_MS: u32 = 400;
/// How long a node counts as alive without a heartbeat.
pub(crate) const LEASE: Duration = Duration::from_secs(1);

/// All of it.
pub(crate) struct Stage {
    pub(crate) members: Vec<Arc<Member>>,
    pub(crate) database: Option<DatabaseServer>,
    http: reqwest::Client,
}

impl Stage {
    /// Starts everybody, and subscribes the consumers.
    pub(crate) async fn set(options: &Options) -> Result<Self> {
        std::fs::create_dir_all(&options.directory)?;
        let directory = options.directory.canonicalize()?;
        let empty = std::fs::read_dir(&directory)?.next().is_none();
        ensure!(empty, "{} is not empty", directory.display());
        let database = match options.store {
            Store::Sqlite => None,
            Store::Postgres => Some(DatabaseServer::start().await?),
        };
        let mut members =
            vec![coordinator("coordinator", database.as_ref(), options, &directory).await?];
        if database.is_some() {
            members
                .push(coordinator("coordinator-b", database.as_ref(), options, &directory).await?);
        }
        let urls: Vec<String> = members.iter().map(|member| member.proxy.url()).collect();
        for name in ["shop", "books", "mail"].into_iter().chain(PARTICIPANTS) {
            members.push(service(name, &urls.join(","), options, &directory).await?);
        }
        for member in &members {
            member.start(&mut *member.life().await).await?;
        }
        let stage = Self {
            members: members.into_iter().map(Arc::new).collect(),
            database,
            http: reqwest::Client::builder()
                .timeout(Duration::from_secs(10))
                .build()?,
        };
        stage.subscribe().await?;
        Ok(stage)
    }

    /// Who is owed what, for the whole run.
    pub(crate) fn subscriptions() -> Vec<Subscription> {
        let one = |name: &str, topic: &str| Subscription {
            name: name.to_owned(),
            topic: topic.to_owned(),
            ordered: name == "mail",
        };
        vec![
            one("books", ORDERS),
            one("mail", ORDERS),
            one("books-posts", POSTS),
            one("books-restocks", RESTOCKS),
        ]
    }

    async fn subscribe(&self) -> Result<()> {
        for Subscription {
            name,
            topic,
            ordered,
        } in Self::subscriptions()
        {
            let service = name.split('-').next().unwrap_or(&name);
            let body = json!({
                "topic": topic,
                "destination": { "service": service },
                "ordered": ordered,
                "timeout_ms": 2_000,
                "retry": { "initial_ms": 50, "multiplier_milli": 1_500, "cap_ms": 1_000 },
            });
            let url = format!(
                "{}/v1/subscriptions/{name}",
                self.coordinator().url().await?
            );
            let answer = self.http.put(url).json(&body).send().await?;
            let status = answer.status();
            let text = answer.text().await?;
            ensure!(status.is_success(), "subscribe {name}: {text}");
        }
        Ok(())
    }

    /// Those who coordinate.
    pub(crate) fn coordinators(&self) -> impl Iterator<Item = &Arc<Member>> {
        let of = |member: &&Arc<Member>| member.role == Role::Coordinator;
        self.members.iter().filter(of)
    }

    /// One who coordinates.
    pub(crate) fn coordinator(&self) -> &Member {
        &self.members[0]
    }

    /// Everybody else.
    pub(crate) fn services(&self) -> impl Iterator<Item = &Arc<Member>> {
        let of = |member: &&Arc<Member>| member.role != Role::Coordinator;
        self.members.iter().filter(of)
    }

    /// What leads to the one of this name.
    pub(crate) fn proxy(&self, name: &str) -> Result<&Proxy> {
        match &self.database {
            Some(server) if name == "database" => Ok(&server.proxy),
            _ => Ok(&self.member(name)?.proxy),
        }
    }

    /// The one of this name.
    pub(crate) fn member(&self, name: &str) -> Result<&Arc<Member>> {
        let mut members = self.members.iter();
        members
            .find(|member| member.name == name)
            .with_context(|| format!("there is no {name}"))
    }

    /// Asks a member itself, past its proxy.
    pub(crate) async fn ask(&self, member: &Member, path: &str) -> Result<Value> {
        let url = format!("{}{path}", member.url().await?);
        let answer = self.http.get(url).send().await?.error_for_status()?;
        Ok(answer.json().await?)
    }

    /// As [`Stage::ask`], again until it is answered.
    pub(crate) async fn ask_until_answered(&self, member: &Member, path: &str) -> Result<Value> {
        let mut tries = 0;
        loop {
            match self.ask(member, path).await {
                Ok(answer) => return Ok(answer),
                Err(error) if tries == 100 => return Err(error),
                Err(_) => tries += 1,
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn coordinator(
    name: &str,
    server: Option<&DatabaseServer>,
    options: &Options,
    directory: &Path,
) -> Result<Member> {
    let disk = Disk::make(&directory.join(format!("{name}.disk")))?;
    let database = match server {
        Some(server) => server.url().to_owned(),
        None => format!("sqlite:{}", disk.path().join("earnest.db").display()),
    };
    let environment = [
        ("EARNEST_LISTEN", "127.0.0.1:0".to_owned()),
        ("EARNEST_DATABASE", database),
        ("EARNEST_NODE", name.to_owned()),
        ("EARNEST_CHECK_AFTER_MS", CHECK_AFTER_MS.to_string()),
        ("EARNEST_CHECK_BACK_TIMEOUT_MS", "2000".to_owned()),
        ("EARNEST_LEASE_MS", LEASE.as_millis().to_string()),
        ("EARNEST_POLL_MS", "100".to_owned()),
        ("EARNEST_LOG_LEVEL", "info".to_owned()),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value));
    let own = options.programs.coordinator_environment.iter().cloned();
    let program = Program {
        name: name.to_owned(),
        path: options.programs.coordinator.clone(),
        arguments: vec!["serve".to_owned()],
        environment: environment.into_iter().chain(own).collect(),
        directory: directory.to_owned(),
    };
    Ok(Member::new(
        Role::Coordinator,
        Proxy::start().await?,
        disk,
        program,
    ))
}

async fn service(
    name: &str,
    coordinators: &str,
    options: &Options,
    directory: &Path,
) -> Result<Member> {
    let disk = Disk::make(&directory.join(format!("{name}.disk")))?;
    let proxy = Proxy::start().await?;
    let database = disk.path().join(format!("{name}.db"));
    let arguments = [
        ("--role", name.to_owned()),
        ("--database", database.display().to_string()),
        ("--coordinator", coordinators.to_owned()),
        ("--advertise", proxy.url()),
    ];
    let program = Program {
        name: name.to_owned(),
        path: options.programs.service.clone(),
        arguments: arguments
            .into_iter()
            .flat_map(|(flag, value)| [flag.to_owned(), value])
            .collect(),
        environment: options.programs.service_environment.clone(),
        directory: directory.to_owned(),
    };
    let role = match name {
        "shop" => Role::Shop,
        name if PARTICIPANTS.contains(&name) => Role::Participant,
        _ => Role::Consumer,
    };
    Ok(Member::new(role, proxy, disk, program))
}
