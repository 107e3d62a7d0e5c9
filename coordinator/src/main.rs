//! The binary `earnest`.
fn main() {}
