//! The binary `earnest`, as people and scripts meet it: real processes, their output and exit codes.

mod admin;
mod configuration;
mod help;
mod nodes;
mod sdk;
mod serve;
mod signals;
mod support;
mod transactions;
