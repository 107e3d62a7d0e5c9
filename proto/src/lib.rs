//! The wire contract of Earnest, generated from `proto/earnest/v1`.
//!
//! The `.proto` files are the documentation: every field says what it means, in which unit, and what
//! an empty value stands for. This crate adds nothing to them.

/// `earnest.v1`: only ever added to.
#[expect(
    missing_docs,
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code; its documentation is in the .proto files"
)]
pub mod v1 {
    tonic::include_proto!("earnest.v1");

    /// The encoded file descriptors of the package, for gRPC reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] =
        include_bytes!(concat!(env!("OUT_DIR"), "/earnest_v1.bin"));
}
