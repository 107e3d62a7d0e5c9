//! Ports for processes that die and come back.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::Context;

/// Below the range that systems take the ports of outgoing connections from, so that nobody takes the port of a process
/// while it is dead.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Four that are free now, looked for from somewhere by `chance`.
pub(crate) fn free_ports(chance: u32) -> anyhow::Result<[u16; 4]> {
    let mut ports: Vec<u16> = PORTS.collect();
    let somewhere = chance as usize % ports.len();
    ports.rotate_left(somewhere);
    let mut free = ports
        .into_iter()
        .filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    let mut next = || free.next().context("there is no free port");
    Ok([next()?, next()?, next()?, next()?])
}
