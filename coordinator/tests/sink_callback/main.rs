//! Calls to participants, against small servers on loopback: what counts as an answer, and what never does.

mod branch_grpc;
mod branch_http;
mod branch_instances;
mod check_back_grpc;
mod check_back_http;
mod delivery_grpc;
mod delivery_http;
mod endpoints;
mod participant;
mod support;
