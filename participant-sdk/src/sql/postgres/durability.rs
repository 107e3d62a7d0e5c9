//! PostgreSQL's settings under which an answered COMMIT may still be lost. Nothing here changes one.

use sqlx::{Pool, Postgres, Row};

/// Each as a sentence with its remedy.
pub(super) async fn gaps(pool: &Pool<Postgres>) -> Result<Vec<String>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT current_setting('fsync', true), current_setting('full_page_writes', true), \
         current_setting('synchronous_commit', true), current_setting('synchronous_standby_names', true)",
    )
    .fetch_one(pool)
    .await?;
    // Not every server of this dialect has the view, nor every role the right to it.
    let standbys: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_stat_replication")
        .fetch_one(pool)
        .await
        .unwrap_or(0);
    Ok(named(&Durability {
        fsync: row.try_get(0)?,
        full_page_writes: row.try_get(1)?,
        synchronous_commit: row.try_get(2)?,
        synchronous_standby_names: row.try_get(3)?,
        standbys,
    }))
}

/// What the server says of itself; `None` where it doesn't know the setting.
struct Durability {
    fsync: Option<String>,
    full_page_writes: Option<String>,
    synchronous_commit: Option<String>,
    synchronous_standby_names: Option<String>,
    standbys: i64,
}

fn named(found: &Durability) -> Vec<String> {
    let mut gaps = Vec::new();
    let is = |setting: &Option<String>, value: &str| setting.as_deref() == Some(value);
    if is(&found.fsync, "off") {
        gaps.push("fsync is off, so a power loss can undo a COMMIT that was answered, or destroy the database; set it to on".to_owned());
    }
    if is(&found.full_page_writes, "off") {
        gaps.push("full_page_writes is off, so a power loss can destroy pages; set it to on unless the file system never tears one".to_owned());
    }
    if is(&found.synchronous_commit, "off") {
        gaps.push("synchronous_commit is off, so a crash can undo a COMMIT that was answered; set it to on, for this role or database at least".to_owned());
    }
    let waits_for_standbys = found
        .synchronous_standby_names
        .as_ref()
        .is_none_or(|names| !names.is_empty())
        && !is(&found.synchronous_commit, "local");
    if found.standbys > 0 && !waits_for_standbys {
        gaps.push("no COMMIT waits for a standby, so a failover can undo one that was answered; name a synchronous standby \
             (synchronous_standby_names) if you fail over".to_owned());
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn safe() -> Durability {
        let on = || Some("on".to_owned());
        Durability {
            fsync: on(),
            full_page_writes: on(),
            synchronous_commit: on(),
            synchronous_standby_names: Some(String::new()),
            standbys: 0,
        }
    }

    #[test]
    fn settings_that_can_lose_a_commit_are_named() {
        let off = || Some("off".to_owned());
        let standby = Some("s1".to_owned());
        let cases = [
            (safe(), ""),
            (
                Durability {
                    fsync: off(),
                    ..safe()
                },
                "fsync",
            ),
            (
                Durability {
                    full_page_writes: off(),
                    ..safe()
                },
                "full_page_writes",
            ),
            (
                Durability {
                    synchronous_commit: off(),
                    ..safe()
                },
                "synchronous_commit",
            ),
            (
                Durability {
                    standbys: 1,
                    ..safe()
                },
                "synchronous_standby_names",
            ),
            (
                Durability {
                    standbys: 1,
                    synchronous_standby_names: standby.clone(),
                    ..safe()
                },
                "",
            ),
            (
                Durability {
                    standbys: 1,
                    synchronous_standby_names: standby,
                    synchronous_commit: Some("local".to_owned()),
                    ..safe()
                },
                "standby",
            ),
        ];
        for (found, said) in cases {
            let gaps = named(&found);
            assert_eq!(gaps.len(), usize::from(!said.is_empty()), "{gaps:?}");
            assert!(gaps.iter().all(|gap| gap.contains(said)), "{gaps:?}");
        }
        // A server that doesn't know the settings is not accused.
        let silent = Durability {
            fsync: None,
            full_page_writes: None,
            synchronous_commit: None,
            synchronous_standby_names: None,
            standbys: 3,
        };
        assert_eq!(named(&silent), [""; 0]);
    }
}
