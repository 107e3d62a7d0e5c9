//! The contract of the wires, over a real port on loopback: each call, each refusal, and what the port itself
//! bounds.

mod bounds;
mod docs;
mod drain;
mod grpc;
mod grpc_branches;
mod grpc_refusals;
mod openapi;
mod probes;
mod rest;
mod rest_branches;
mod rest_marks;
mod rest_refusals;
mod support;
