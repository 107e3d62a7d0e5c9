//! Ports for processes that die and come back.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::ensure;

/// Below the range that systems take the ports of outgoing connections from, so that nobody takes the port of a process
/// while it is dead.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// As many as are asked for that are free now, looked for from somewhere by `chance`.
pub(crate) fn free_ports(count: usize, chance: u32) -> anyhow::Result<Vec<u16>> {
    let mut ports: Vec<u16> = PORTS.collect();
    let somewhere = chance as usize % ports.len();
    ports.rotate_left(somewhere);
    let free: Vec<u16> = ports
        .into_iter()
        .filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .take(count)
        .collect();
    ensure!(free.len() == count, "there are not {count} free ports");
    Ok(free)
}
