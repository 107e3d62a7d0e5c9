//! Plans that broke a promise once, each shrunk from a seed and kept when its cause was mended.

use std::{fs, path::Path};

use earnest_simulation::{Plan, run};

#[test]
fn what_was_mended_stays_mended() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("pinned");
    let mut paths: Vec<_> = fs::read_dir(&directory)
        .expect("the pinned plans are there")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", directory.display());
    for path in paths {
        let text = fs::read_to_string(&path).expect("it can be read");
        let plan: Plan = serde_json::from_str(&text).expect("it is a plan");
        let outcome = run(&plan, false);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        assert!(outcome.is_good(), "{name}: {:?}", outcome.violations);
        assert!(outcome.steps > 0, "{name} does nothing");
    }
}
