//! Where the programs of a server are.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};

/// Debian keeps PostgreSQL's programs out of the PATH, by major version; the newest counts.
pub(crate) fn postgres(program: &str) -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let newest = versions
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .max();
    let of_debian = newest.map(|n| PathBuf::from(format!("/usr/lib/postgresql/{n}/bin/{program}")));
    of_debian
        .filter(|path| path.exists())
        .or_else(|| in_path(program))
}

/// In the PATH, or where Debian puts servers.
pub(crate) fn in_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let debian = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(debian)
        .map(|directory| directory.join(program))
        .find(|path| path.exists())
}

/// PostgreSQL refuses to run as root, so root becomes `user`; anybody else stays who they are.
pub(crate) fn as_user(user: &str) -> Vec<String> {
    if !rustix::process::geteuid().is_root() {
        return Vec::new();
    }
    [
        "setpriv",
        "--reuid",
        user,
        "--regid",
        user,
        "--init-groups",
        "--",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Runs a program that prepares a server, and says what it said when it fails.
pub(crate) fn run(words: &[String], directory: &Path) -> anyhow::Result<()> {
    let (program, arguments) = words.split_first().context("a command has a program")?;
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .output()
        .with_context(|| format!("can't run {program}"))?;
    if !output.status.success() {
        bail!(
            "{} failed ({}):\n{}{}",
            words.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}
