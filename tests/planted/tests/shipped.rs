//! What is shipped has no hooks in it.

use std::process::Command;

#[test]
fn neither_the_binary_nor_the_sdk_knows_the_hooks() {
    for package in ["earnest-coordinator", "earnest"] {
        let tree = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--offline",
                "--edges",
                "normal,build",
                "--prefix",
                "none",
                "-p",
                package,
            ])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo starts");
        let tree = String::from_utf8_lossy(&tree.stdout);
        assert!(
            tree.contains("earnest-proto "),
            "{package}: this is no tree: {tree}"
        );
        assert!(
            !tree.contains("planted"),
            "{package} is built with hooks: {tree}"
        );
    }
}
