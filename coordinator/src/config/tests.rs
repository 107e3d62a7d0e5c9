use std::time::Duration;

use super::*;

fn sources(file: &str) -> (tempfile::TempDir, Sources) {
    let directory = tempfile::tempdir().unwrap();
    if !file.is_empty() {
        std::fs::write(directory.path().join(DEFAULT_FILE), file).unwrap();
    }
    let sources = Sources {
        directory: directory.path().to_owned(),
        ..Sources::default()
    };
    (directory, sources)
}

fn read(file: &str) -> Result<Loaded, ConfigError> {
    let (_directory, sources) = sources(file);
    load(&sources)
}

fn variable(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn flag(key: &str, value: &str) -> FlagSetting {
    FlagSetting {
        flag: format!("--{key}"),
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

/// The problem noted about `key`.
fn problem<'a>(error: &'a ConfigError, key: &str) -> &'a Mistake {
    error
        .mistakes
        .iter()
        .find(|m| m.key == key)
        .unwrap_or_else(|| panic!("no mistake about {key} in {error}"))
}

#[test]
fn flags_beat_the_environment_and_that_beats_the_file() {
    let (_directory, mut sources) = sources("poll_ms = 100\nlease_ms = 1000\nretention = \"1d\"\n");
    sources.environment = vec![
        variable("EARNEST_POLL_MS", "200"),
        variable("EARNEST_LEASE_MS", "2000"),
        variable("HOME", "/"),
    ];
    sources.flags = vec![flag("poll_ms", "300")];
    let loaded = load(&sources).unwrap();
    let driver = &loaded.config.node.driver;
    assert_eq!(driver.poll, Duration::from_millis(300));
    assert_eq!(driver.lease, Duration::from_secs(2));
    assert_eq!(driver.retention, Duration::from_hours(24));
    assert_eq!(loaded.origins["poll_ms"], "--poll_ms");
    assert_eq!(loaded.origins["lease_ms"], "EARNEST_LEASE_MS");
    assert_eq!(loaded.origins["retention"], "earnest.toml, line 3");
    assert_eq!(loaded.file, Some("earnest.toml".into()));
}

#[test]
fn all_mistakes_are_told_at_once() {
    let file = r#"
listen = "localhost"
databse = "sqlite:x.db"
retention = "a week"
check_after_ms = "10s"

[journal]
batch_commands = 0
queue_comands = 5

[limits]
payload_bytes = 2000
transaction_bytes = 1000

[log]
level = "loud"
format = "xml"

[[subscription]]
name = "bad name"
topic = "payments"
service = "ledger"

[[subscription]]
name = "ledger"
topic = ""
service = "ledger"
webhook_url = "https://example.com"
ordred = true
concurrency = 0
retry = { initial_ms = 500, cap_ms = 100 }

[[service]]
name = "ledger"
endpoints = [{ url = "127.0.0.1:80", protocol = "soap" }]
"#;
    let (_directory, mut sources) = sources(file);
    sources.environment = vec![
        variable("EARNEST_LISTN", "x"),
        variable("EARNEST_POLL_MS", "fast"),
    ];
    sources.flags = vec![flag("node", "a\nb"), flag("log.levl", "info")];
    let error = load(&sources).unwrap_err();
    let keys = [
        "listen",
        "databse",
        "retention",
        "check_after_ms",
        "journal.batch_commands",
        "journal.queue_comands",
        "limits.payload_bytes",
        "log.level",
        "log.format",
        "subscription[0].name",
        "subscription[1].topic",
        "subscription[1].webhook_url",
        "subscription[1].ordred",
        "subscription[1].concurrency",
        "subscription[1].retry",
        "service[0].endpoints[0].url",
        "service[0].endpoints[0].protocol",
        "EARNEST_LISTN",
        "poll_ms",
        "node",
        "log.levl",
    ];
    for key in keys {
        let mistake = problem(&error, key);
        assert!(
            !mistake.problem.is_empty() && !mistake.example.is_empty(),
            "{mistake}"
        );
    }
    assert_eq!(error.mistakes.len(), keys.len(), "{error}");
    assert!(
        problem(&error, "databse")
            .problem
            .contains("did you mean `database`?")
    );
    assert!(
        problem(&error, "journal.queue_comands")
            .problem
            .contains("`journal.queue_commands`")
    );
    assert!(
        problem(&error, "subscription[1].ordred")
            .problem
            .contains("did you mean `ordered`?")
    );
    assert!(
        problem(&error, "EARNEST_LISTN")
            .problem
            .contains("did you mean `EARNEST_LISTEN`?")
    );
    assert!(
        problem(&error, "check_after_ms")
            .problem
            .contains("give 10000")
    );
    assert_eq!(problem(&error, "databse").origin, "earnest.toml, line 3");
    assert!(error.to_string().starts_with("21 mistakes"));
}

#[test]
fn broken_toml_names_the_line() {
    let error = read("listen = \"127.0.0.1:1\"\nnode = \n").unwrap_err();
    assert_eq!(error.mistakes[0].origin, "earnest.toml, line 2");
}

#[test]
fn a_file_that_was_asked_for_must_be_there() {
    let (_directory, mut sources) = sources("");
    assert!(load(&sources).unwrap().file.is_none());
    sources.environment = vec![variable("EARNEST_CONFIG", "absent.toml")];
    assert_eq!(
        problem(&load(&sources).unwrap_err(), "config file").origin,
        "EARNEST_CONFIG"
    );
    sources.file = Some("also-absent.toml".into());
    assert_eq!(
        problem(&load(&sources).unwrap_err(), "config file").origin,
        "--config"
    );
}

#[test]
fn the_sample_has_every_key_at_its_default() {
    let loaded = read(&example()).unwrap();
    let defaults = Config::default();
    for key in KEYS {
        assert_eq!(
            key.show(&loaded.config),
            key.show(&defaults),
            "{}",
            key.name
        );
        assert!(loaded.origins.contains_key(key.name), "{}", key.name);
    }
    assert!(loaded.warnings.is_empty());
    let in_repository = include_str!("../../../earnest.example.toml");
    assert_eq!(
        in_repository,
        example(),
        "run `earnest config --example > earnest.example.toml`"
    );
}

#[test]
fn the_samples_lists_are_right_too() {
    let from = example().find("# [[subscription]]").unwrap();
    let entries: Vec<_> = example()[from..]
        .lines()
        .map(|line| line.strip_prefix("# ").unwrap_or_default().to_owned())
        .filter(|line| !line.starts_with("Services:"))
        .collect();
    let node = read(&entries.join("\n")).unwrap().config.node;
    assert_eq!(node.subscriptions.len(), 1);
    assert_eq!(node.services[0].endpoints.len(), 1);
}

#[test]
fn every_keys_example_is_right() {
    for key in KEYS {
        let mut config = Config::default();
        key.set(&mut config, key.example.trim_matches('"')).unwrap();
    }
}

#[test]
fn what_is_shown_reads_back_as_the_same() {
    let file = r#"
listen = "0.0.0.0:7450"
node = "a \"b\" \\"
retention = "36h"
[[subscription]]
name = "ledger"
namespace = "bank"
topic = "payments"
webhook_url = "http://127.0.0.1:9/x"
ordered = true
timeout_ms = 5
retry = { cap_ms = 900 }
[[service]]
name = "ledger"
endpoints = [{ url = "http://127.0.0.1:8080", protocol = "http" }]
"#;
    let first = read(file).unwrap();
    let second = read(&effective(&first)).unwrap();
    assert_eq!(
        format!("{:?}", first.config),
        format!("{:?}", second.config)
    );
}

#[test]
fn listening_for_others_is_warned_about() {
    let loaded = read("listen = \"0.0.0.0:7450\"").unwrap();
    assert!(
        loaded
            .warnings
            .iter()
            .any(|w| w.contains("NO AUTHENTICATION"))
    );
    assert!(read("listen = \"[::1]:7450\"").unwrap().warnings.is_empty());
}

#[test]
fn variables_of_others_are_left_alone() {
    let (_directory, mut sources) = sources("");
    sources.environment = vec![
        variable("EARNEST_TEST_SEED", "1"),
        variable("EARNEST_CRASH_AT", "before_confirm"),
        variable("EARNEST_SERVER", "http://x:1"),
        variable("EARNEST_SERVICE_HOST", "10.0.0.1"),
        variable("EARNEST_SERVICE_PORT_GRPC", "7450"),
        variable("EARNEST_PORT", "tcp://10.0.0.1:7450"),
        variable("EARNEST_PORT_7450_TCP_ADDR", "10.0.0.1"),
    ];
    load(&sources).unwrap();
    sources.environment = vec![variable("EARNEST_PORT", "8080")];
    assert!(
        load(&sources).unwrap_err().mistakes[0]
            .problem
            .contains("EARNEST_LISTEN")
    );
}

#[test]
fn every_key_is_documented() {
    let page = include_str!("../../../docs/configuration.md");
    for key in KEYS {
        let row = format!(
            "| `{}` | `{}` | `{}` |",
            key.name,
            key.variable(),
            key.show(&Config::default())
        );
        assert!(page.contains(&row), "docs/configuration.md lacks: {row}");
    }
}
