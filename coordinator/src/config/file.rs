//! The TOML file.

use std::{collections::HashSet, path::Path};

use toml::de::{DeTable, DeValue};

use super::{
    Mistake, Reading, keys, registry,
    value::{self, Source},
};

/// The largest file that is read.
const MAX_BYTES: usize = 4 << 20;

/// Reads `text`, and notes every mistake in it.
pub(super) fn read(path: &Path, text: &str, reading: &mut Reading) {
    let source = Source {
        name: path.display().to_string(),
        text,
    };
    if text.len() > MAX_BYTES {
        reading.mistakes.push(Mistake {
            key: "config file".into(),
            origin: source.name,
            problem: format!("has {} bytes; at most {MAX_BYTES} are read", text.len()),
            example: "keep subscriptions in the database: earnest subscription add".into(),
        });
        return;
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut broken = HashSet::new();
    for error in errors {
        let span = error.span().unwrap_or_default();
        if broken.insert(source.line(span.clone())) {
            reading.mistakes.push(Mistake {
                key: "TOML".into(),
                origin: source.place(span),
                problem: error.message().to_owned(),
                example: "listen = \"127.0.0.1:7450\"".into(),
            });
        }
    }
    if broken.is_empty() {
        walk("", table.get_ref(), &source, reading);
        registry::read(table.get_ref(), &source, reading);
    }
}

fn walk(prefix: &str, table: &DeTable<'_>, source: &Source<'_>, reading: &mut Reading) {
    for (key, value) in table {
        let name = format!("{prefix}{}", key.get_ref());
        let origin = source.place(key.span());
        if registry::NAMES.contains(&name.as_str()) {
            continue;
        }
        let found = keys::find(&name);
        match (found, value.get_ref()) {
            (None, DeValue::Table(inner)) if is_table(&name) => {
                walk(&format!("{name}."), inner, source, reading);
            }
            (None, _) => {
                let known = keys::KEYS.iter().map(|key| key.name).chain(registry::NAMES);
                reading.unknown(&name, origin, known);
            }
            (Some(key), value) => match value::plain(value) {
                Some(text) => reading.set(key, &text, origin),
                None => reading.mistakes.push(Mistake {
                    key: name,
                    origin,
                    problem: format!("is {}, but must be one value", value::kind(value)),
                    example: format!("{} = {}", key.name, key.example),
                }),
            },
        }
    }
}

/// Whether any key stands in the table of that name.
fn is_table(name: &str) -> bool {
    let inside = |key: &super::Key| {
        key.name
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    keys::KEYS.iter().any(inside)
}
