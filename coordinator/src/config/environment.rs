//! `EARNEST_*`: the key's name in capitals, with `_` for `.`.

use super::{Key, Mistake, Reading, keys, suggest};

/// Names the file; not a key.
pub(super) const FILE: &str = "EARNEST_CONFIG";
const PREFIX: &str = "EARNEST_";

impl Key {
    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.replace('.', "_").to_uppercase())
    }
}

/// Sets what the environment says; a name that nobody knows is a mistake, since a misspelt setting that is
/// passed over is found too late.
pub(super) fn read(environment: &[(String, String)], reading: &mut Reading) {
    let mut ours: Vec<_> = environment
        .iter()
        .filter(|(name, value)| name.starts_with(PREFIX) && !is_for_others(name, value))
        .collect();
    ours.sort();
    for (name, value) in ours {
        match keys::KEYS.iter().find(|key| key.variable() == *name) {
            Some(key) => reading.set(key, value, name.clone()),
            None => unknown(name, reading),
        }
    }
}

/// Not the server's: the CLI's own, tests', and what Kubernetes sets for a Service that is called `earnest`.
fn is_for_others(name: &str, value: &str) -> bool {
    let rest = &name[PREFIX.len()..];
    matches!(rest, "CONFIG" | "SERVER" | "CRASH_AT")
        || rest.starts_with("TEST_")
        || rest.starts_with("SERVICE_HOST")
        || rest.starts_with("SERVICE_PORT")
        || (rest.starts_with("PORT") && (value.contains("://") || rest.contains("TCP")))
}

fn unknown(name: &str, reading: &mut Reading) {
    let variables: Vec<String> = keys::KEYS.iter().map(Key::variable).collect();
    let near = match name {
        "EARNEST_PORT" | "EARNEST_HOST" | "EARNEST_ADDR" | "EARNEST_ADDRESS" => {
            Some("EARNEST_LISTEN")
        }
        "EARNEST_DB" | "EARNEST_DATABASE_URL" => Some("EARNEST_DATABASE"),
        name => suggest::nearest(name, variables.iter().map(String::as_str)),
    };
    let (problem, example) = match near {
        Some(near) => {
            let example = keys::KEYS.iter().find(|key| key.variable() == near);
            let example = example.map_or("", |key| key.example).trim_matches('"');
            (
                format!("is not a setting; did you mean `{near}`?"),
                format!("{near}={example}"),
            )
        }
        None => (
            "is not a setting; the names are the keys' in capitals, with EARNEST_ in front".into(),
            "EARNEST_LISTEN=127.0.0.1:7450".into(),
        ),
    };
    reading.mistakes.push(Mistake {
        key: name.into(),
        origin: "environment".into(),
        problem,
        example,
    });
}
