//! Compiles the protos with protox, so that no protoc has to be installed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

const FILES: [&str; 4] = [
    "earnest/v1/types.proto",
    "earnest/v1/coordinator.proto",
    "earnest/v1/participant.proto",
    "earnest/v1/admin.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("earnest_v1.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".earnest.v1.Message.payload")
        .bytes(".earnest.v1.Branch.payload")
        .compile_fds(descriptors)?;
    Ok(())
}
