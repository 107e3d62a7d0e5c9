//! Opening the file: the lock, the connections and their settings, and errors that say what to do.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags};

use super::{SqliteOptions, lease::forget_nodes, migrate::migrate};
use crate::StoreError;

/// How long a connection waits for another of this process (a checkpoint's last moment, mostly).
const BUSY: Duration = Duration::from_secs(5);
/// More than there are statements, so that none is ever compiled twice.
const STATEMENTS: usize = 128;

/// Where the database is, by the one name that every process sees it under.
pub(super) fn resolve(path: &Path) -> PathBuf {
    if let Ok(path) = fs::canonicalize(path) {
        return path;
    }
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    match (fs::canonicalize(parent), path.file_name()) {
        (Ok(parent), Some(name)) => parent.join(name),
        _ => path.to_owned(),
    }
}

/// Makes this process the only one on `path`, until the file is dropped or the process ends, however it ends.
pub(super) fn lock(path: &Path) -> Result<File, StoreError> {
    let shown = path.display();
    if path.is_dir() {
        return Err(StoreError::CannotOpen(format!(
            "{shown} is a directory: give the path of the database file, such as {shown}/earnest.db"
        )));
    }
    if path
        .parent()
        .is_some_and(|parent| !parent.as_os_str().is_empty() && !parent.is_dir())
    {
        return Err(StoreError::CannotOpen(format!(
            "{shown} can't be opened: its directory doesn't exist; create it, or give another path"
        )));
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let file = File::options().write(true).create(true).truncate(false).open(&name).map_err(|error| {
        StoreError::CannotOpen(format!(
            "{shown} can't be opened: its lock file {} can't be written ({error}); make the directory and the \
             files in it writable for this user, or give another path",
            name.display()
        ))
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::CannotOpen(format!(
            "another coordinator is running on {shown}: stop it first, or give this one another file (several nodes \
             need a database server)"
        ))),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
            Err(StoreError::CannotOpen(format!(
                "{shown} is on a file system without file locks ({error}): keep it on a local disk"
            )))
        }
        Err(TryLockError::Error(error)) => Err(StoreError::CannotOpen(format!(
            "{shown} can't be opened: its lock file {} can't be locked ({error})",
            name.display()
        ))),
    }
}

/// Opens and sets up the database at the start, migrates it and frees what was leased before; errors are for whoever starts the program.
pub(super) fn first(path: &Path, options: &SqliteOptions) -> Result<Connection, StoreError> {
    let shown = path.display().to_string();
    let opened = writer(path, options).and_then(|db| {
        if db.is_readonly(MAIN_DB)? {
            Ok(Err(()))
        } else {
            Ok(Ok(db))
        }
    });
    let mut db = match opened {
        Ok(Ok(db)) => db,
        Ok(Err(())) => {
            return Err(StoreError::CannotOpen(format!(
                "{shown} is read-only: make it and its directory writable for this user, or give another path"
            )));
        }
        Err(error) => return Err(cannot_open(&shown, &error)),
    };
    let mode: String = db
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .map_err(|error| cannot_open(&shown, &error))?;
    if mode != "wal" {
        return Err(StoreError::CannotOpen(format!(
            "{shown} can't be kept in WAL mode (journal_mode is {mode}): keep it on a local disk"
        )));
    }
    match migrate(&mut db, &shown).and_then(|()| forget_nodes(&db)) {
        Ok(()) => Ok(db),
        Err(StoreError::Corrupt(why)) => Err(StoreError::CannotOpen(format!(
            "{shown} is damaged ({why}): restore it from a backup, or move it away to begin with an empty one"
        ))),
        Err(StoreError::Unavailable {
            context,
            source: Some(source),
        }) => Err(StoreError::CannotOpen(format!(
            "{shown} can't be opened: {context}: {source}"
        ))),
        Err(other) => Err(other),
    }
}

fn cannot_open(shown: &str, error: &rusqlite::Error) -> StoreError {
    StoreError::CannotOpen(match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            format!("{shown} is not an SQLite database: give another path, or move the file away")
        }
        Some(ErrorCode::DatabaseCorrupt) => format!(
            "{shown} is damaged ({error}): restore it from a backup, or move it away to begin with an empty one"
        ),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => format!(
            "{shown} can't be opened ({error}): make it and its directory writable for this user, or give another path"
        ),
        Some(ErrorCode::DatabaseBusy) => {
            format!("{shown} is in use by another program ({error}): close that one first")
        }
        Some(ErrorCode::DiskFull) => format!("{shown} can't be opened: the disk is full"),
        _ => format!("{shown} can't be opened: {error}"),
    })
}

/// Which file it is, whatever lies under its name later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

impl Identity {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let file = fs::metadata(path)?;
        Ok(Self(file.dev(), file.ino()))
    }
}

/// The connection that writes.
pub(super) fn writer(path: &Path, options: &SqliteOptions) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    // The size of pages holds for a new file only, and only before its first write.
    db.execute_batch(
        "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0; \
         PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 134217728;",
    )?;
    db.pragma_update(None, "synchronous", options.synchronous.as_str())?;
    Ok(db)
}

/// A connection that only moves what is committed from the log to the database.
pub(super) fn checkpointer(path: &Path, options: &SqliteOptions) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY)?;
    db.execute_batch(
        "PRAGMA mmap_size = 0; PRAGMA cache_size = -256; PRAGMA wal_autocheckpoint = 0;",
    )?;
    db.pragma_update(None, "synchronous", options.synchronous.as_str())?;
    Ok(db)
}

/// A connection that only reads.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    db.execute_batch(
        "PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0; PRAGMA cache_size = -16384;",
    )?;
    Ok(db)
}
