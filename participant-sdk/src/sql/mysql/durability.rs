//! MySQL's and MariaDB's settings under which an answered COMMIT may still be lost. Nothing here changes one.

use sqlx::{MySql, Pool};

/// Each as a sentence with its remedy.
pub(super) async fn gaps(pool: &Pool<MySql>) -> Result<Vec<String>, sqlx::Error> {
    // SHOW leaves out what a server doesn't know.
    let variables: Vec<(String, String)> = sqlx::query_as(
        "SHOW GLOBAL VARIABLES WHERE Variable_name IN \
         ('innodb_flush_log_at_trx_commit', 'innodb_doublewrite', 'log_bin', 'sync_binlog')",
    )
    .fetch_all(pool)
    .await?;
    Ok(named(&variables))
}

fn named(variables: &[(String, String)]) -> Vec<String> {
    let value = |name: &str| {
        let found = variables.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    };
    let mut gaps = Vec::new();
    if let Some(level) = value("innodb_flush_log_at_trx_commit").filter(|level| *level != "1") {
        gaps.push(format!(
            "innodb_flush_log_at_trx_commit is {level}, so a crash can undo a COMMIT that was answered; set it to 1"
        ));
    }
    if value("innodb_doublewrite") == Some("OFF") {
        gaps.push("innodb_doublewrite is OFF, so a power loss can destroy pages; set it to ON unless the file system never tears one".to_owned());
    }
    let has_binlog = value("log_bin") == Some("ON");
    if let Some(every) = value("sync_binlog").filter(|every| has_binlog && *every != "1") {
        gaps.push(format!(
            "sync_binlog is {every}, so after a crash replicas may have another history than this server, and a failover can undo a COMMIT \
             that was answered; set it to 1"
        ));
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_can_lose_a_commit_are_named() {
        let cases: [(&[(&str, &str)], &str); 6] = [
            (
                &[
                    ("innodb_flush_log_at_trx_commit", "1"),
                    ("innodb_doublewrite", "ON"),
                ],
                "",
            ),
            (
                &[("innodb_flush_log_at_trx_commit", "2")],
                "innodb_flush_log_at_trx_commit is 2",
            ),
            (&[("innodb_doublewrite", "OFF")], "innodb_doublewrite"),
            (
                &[("log_bin", "ON"), ("sync_binlog", "0")],
                "sync_binlog is 0",
            ),
            (&[("log_bin", "OFF"), ("sync_binlog", "0")], ""),
            (&[], ""),
        ];
        for (variables, said) in cases {
            let owned: Vec<(String, String)> = variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            let gaps = named(&owned);
            assert_eq!(gaps.len(), usize::from(!said.is_empty()), "{gaps:?}");
            assert!(gaps.iter().all(|gap| gap.contains(said)), "{gaps:?}");
        }
    }
}
