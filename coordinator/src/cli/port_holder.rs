//! Who listens on a port: `/proc` says, for processes of the same user.

use std::{fs, net::SocketAddr};

/// A sentence about the process that holds `address`, or about how to find it.
pub(super) fn describe(address: SocketAddr) -> String {
    let inodes = listening(address.port());
    let process = inodes.iter().find_map(|inode| owner(inode));
    match process {
        Some((id, name)) => format!("it is held by process {id} ({name}); `kill {id}` stops it"),
        None => format!(
            "`ss -ltnp 'sport = :{}'` shows who holds it",
            address.port()
        ),
    }
}

/// The inodes of sockets that listen on the port.
fn listening(port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let mut inodes = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in fs::read_to_string(table)
            .unwrap_or_default()
            .lines()
            .skip(1)
        {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (Some(local), Some(state), Some(inode)) =
                (fields.get(1), fields.get(3), fields.get(9))
            else {
                continue;
            };
            let its_port = local
                .rsplit(':')
                .next()
                .and_then(|hex| u16::from_str_radix(hex, 16).ok());
            if *state == LISTEN && its_port == Some(port) {
                inodes.push((*inode).to_owned());
            }
        }
    }
    inodes
}

/// The process that has the socket open.
fn owner(inode: &str) -> Option<(u32, String)> {
    let socket = format!("socket:[{inode}]");
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(id) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let Ok(files) = fs::read_dir(entry.path().join("fd")) else {
            continue;
        };
        let has = |file: fs::DirEntry| {
            fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == socket.as_str())
        };
        if files.flatten().any(has) {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some((id, name.trim().to_owned()));
        }
    }
    None
}
