//! Earnest's coordinator: records transactions, learns their outcome, and hands their effects on.
//!
//! Rooms, from the inside out: [`journal`] writes, [`driver`] runs what is due, [`service`] holds the use cases,
//! and everything that knows a wire stands around them: [`sink`], [`callback`], [`transport`]. Time and
//! chance come in from `main` as a [`clock::Environment`].

pub mod callback;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connection;
pub mod crash;
pub mod driver;
pub mod journal;
pub mod node;
mod planted;
pub mod service;
pub mod sink;
pub mod telemetry;
pub mod threads;
pub mod transport;
pub mod vigil;
