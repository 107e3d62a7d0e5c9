//! What the server is, and how it is set.

use std::collections::HashMap;

use sqlx::{Executor, MySqlConnection};

use super::error::{Context, number};
use crate::{
    Durability, StoreError,
    sql::{column::read_rows, encryption},
};

/// Takes a larger packet than any statement that is not one single message (`write`).
const PACKET: usize = 4 << 20;

/// The server's settings, by name; those that it doesn't have are not there.
pub(super) struct Settings(HashMap<String, String>);

impl Settings {
    pub(super) async fn read(db: &mut MySqlConnection) -> Result<Self, StoreError> {
        const SHOW: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version', 'max_allowed_packet', 'log_bin', \
             'binlog_format', 'sync_binlog', 'innodb_flush_log_at_trx_commit', 'innodb_doublewrite', \
             'innodb_flush_method', 'read_only', 'innodb_read_only')";
        let context = "read the server's settings";
        let rows = db.fetch_all(SHOW).await.context(context)?;
        let all = read_rows("settings", &rows, |mut c| {
            Ok((c.text()?.to_lowercase(), c.text()?))
        })?;
        Ok(Self(all.into_iter().collect()))
    }

    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("?", String::as_str)
    }

    fn is(&self, name: &str, values: &[&str]) -> bool {
        let value = self.get(name);
        values.iter().any(|one| value.eq_ignore_ascii_case(one))
    }

    /// Bytes of the largest statement that the server takes.
    pub(super) fn packet(&self) -> usize {
        self.get("max_allowed_packet").parse().unwrap_or(PACKET)
    }

    /// Whether it can be used at all; says what to change.
    pub(super) fn check(&self, shown: &str) -> Result<(), StoreError> {
        let cannot = |why: String| Err(StoreError::CannotOpen(format!("{shown} {why}")));
        let version = self.get("version");
        if is_too_old(version) {
            return cannot(format!(
                "is version {version}, which is too old: MySQL 8.0 or MariaDB 10.6 at least (SKIP LOCKED)"
            ));
        }
        if self.packet() < PACKET {
            return cannot(format!(
                "takes {} bytes in one packet, which is too little: set max_allowed_packet to 4M or more",
                self.packet()
            ));
        }
        if self.is("log_bin", &["ON", "1"]) && self.is("binlog_format", &["STATEMENT"]) {
            return cannot(
                "writes its binary log by statement, which allows no READ COMMITTED: set binlog_format to ROW (or MIXED)".into(),
            );
        }
        Ok(())
    }

    /// Whether it takes writes, from anybody but its administrator.
    pub(super) fn is_read_only(&self) -> bool {
        let on = ["ON", "1"];
        self.is("read_only", &on) || self.is("innodb_read_only", &on)
    }

    pub(super) fn durability(&self) -> Durability {
        // MariaDB's 3 is its 1 with one more sync.
        let log = self.is("innodb_flush_log_at_trx_commit", &["1", "3"]);
        // What a crash finds in InnoDB and not in the binary log is rolled back.
        let binlog = !self.is("log_bin", &["ON", "1"]) || self.is("sync_binlog", &["1"]);
        let pages = !self.is("innodb_doublewrite", &["OFF", "0", "DETECT_ONLY"]);
        let synced = !self.is("innodb_flush_method", &["nosync", "littlesync"]);
        let settings = [
            "innodb_flush_log_at_trx_commit",
            "innodb_doublewrite",
            "log_bin",
            "sync_binlog",
        ];
        let shown = settings.map(|name| format!("{name}={}", self.get(name)));
        Durability {
            store: "mysql",
            settings: shown.join(" "),
            durable: log && binlog && pages && synced,
        }
    }
}

/// What is not understood is tried.
fn is_too_old(version: &str) -> bool {
    let mut numbers = version
        .split(['.', '-'])
        .map_while(|part| part.parse().ok());
    let at: (u32, u32) = (
        numbers.next().unwrap_or(u32::MAX),
        numbers.next().unwrap_or(u32::MAX),
    );
    if version.to_lowercase().contains("mariadb") {
        at < (10, 6)
    } else {
        at < (8, 0)
    }
}

/// Why a server can't be used from here, and what to do.
pub(super) fn cannot_connect(shown: &str, error: &sqlx::Error) -> StoreError {
    StoreError::CannotOpen(match (number(error), error) {
        (Some(1045 | 1698 | 1044), _) => format!(
            "{shown} refuses this user ({error}): check user and password in the URL, and the user's host and grants"
        ),
        (Some(1049), _) => {
            format!(
                "{shown} is not there ({error}): create the database, for one with `CREATE DATABASE`"
            )
        }
        (Some(1040 | 1203 | 1226), _) => format!(
            "{shown} takes no more connections ({error}): raise its max_connections, or give fewer connections to each \
             coordinator"
        ),
        (Some(_), _) => format!("{shown} can't be used: {error}"),
        (None, sqlx::Error::Configuration(_)) => format!(
            "{shown} wants this user's password in a way that needs an encrypted connection: add ssl-mode=REQUIRED or \
             VERIFY_IDENTITY to the URL, or make the user with `IDENTIFIED WITH mysql_native_password`"
        ),
        (None, error) if encryption::is_why(error) => format!(
            "{shown}: no encrypted connection ({error}): check ssl-mode and ssl-ca in the URL, and the server's ssl settings"
        ),
        (None, sqlx::Error::PoolTimedOut) => {
            format!(
                "{shown} does not answer: is the server running, and can it be reached from here?"
            )
        }
        (None, _) => format!("{shown} can't be reached ({error}): is the server running?"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(of: &[(&str, &str)]) -> Settings {
        let owned = of
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let usual = [("version", "8.0.36"), ("max_allowed_packet", "67108864")];
        let usual = usual.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Settings(usual.into_iter().chain(owned).collect())
    }

    #[test]
    fn old_versions_are_refused_by_name() {
        for (version, old) in [
            ("5.7.44-log", true),
            ("8.0.36", false),
            ("8.4.0", false),
            ("9.1.0", false),
            ("10.5.23-MariaDB", true),
            ("10.6.0-MariaDB", false),
            ("10.11.6-MariaDB-0+deb12u1", false),
            ("11.4.2-MariaDB", false),
            ("8.0.11-TiDB-v8.1.0", false),
            ("?", false),
        ] {
            assert_eq!(is_too_old(version), old, "{version}");
        }
    }

    #[test]
    fn what_can_not_be_used_says_what_to_change() {
        let says = |of: &[(&str, &str)]| {
            let checked = settings(of).check("mysql://h/d");
            checked.map_err(|error| error.to_string())
        };
        assert!(says(&[]).is_ok());
        assert!(says(&[("log_bin", "ON"), ("binlog_format", "MIXED")]).is_ok());
        assert!(
            says(&[("version", "5.7.1")])
                .unwrap_err()
                .contains("MySQL 8.0")
        );
        let packet = says(&[("max_allowed_packet", "1048576")]).unwrap_err();
        assert!(packet.contains("max_allowed_packet"), "{packet}");
        let binlog = says(&[("log_bin", "ON"), ("binlog_format", "STATEMENT")]).unwrap_err();
        assert!(binlog.contains("binlog_format"), "{binlog}");
    }

    #[test]
    fn p2_durable_is_what_survives_power_loss() {
        let durable = |of: &[(&str, &str)]| settings(of).durability().durable;
        let one = ("innodb_flush_log_at_trx_commit", "1");
        assert!(durable(&[one, ("log_bin", "OFF"), ("sync_binlog", "0")]));
        assert!(durable(&[one, ("log_bin", "ON"), ("sync_binlog", "1")]));
        assert!(!durable(&[one, ("log_bin", "ON"), ("sync_binlog", "0")]));
        assert!(!durable(&[("innodb_flush_log_at_trx_commit", "2")]));
        assert!(!durable(&[one, ("innodb_doublewrite", "OFF")]));
        assert!(!durable(&[one, ("innodb_flush_method", "nosync")]));
    }
}
