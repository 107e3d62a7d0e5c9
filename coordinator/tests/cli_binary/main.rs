//! The binary `earnest`, as people and scripts meet it: real processes, their output and exit codes.

mod admin;
mod branches;
mod configuration;
mod forgotten;
mod help;
mod nodes;
mod outage;
mod sdk;
mod serve;
mod signals;
mod support;
mod transactions;
