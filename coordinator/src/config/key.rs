//! One key: its name, what it is for, how it is read and shown.

use std::{fmt::Write, time::Duration};

use super::{Config, parse_duration, show_duration};

/// A key of the configuration.
pub struct Key {
    /// `limits.messages`: also its place in the file.
    pub name: &'static str,
    /// What it is for, in a sentence or two.
    pub doc: &'static str,
    /// A value, as TOML.
    pub example: &'static str,
    pub(super) kind: Kind,
}

/// What a key holds.
pub(super) enum Kind {
    /// A count or a size.
    Count(fn(&mut Config) -> &mut usize, u64, u64),
    /// A smaller one.
    Number(fn(&mut Config) -> &mut u32, u64, u64),
    /// A length of time, in milliseconds.
    Millis(fn(&mut Config) -> &mut Duration, u64, u64),
    /// A length of time, with its unit.
    Length(fn(&mut Config) -> &mut Duration, Duration, Duration),
    /// A text of its own form: read and shown.
    Text(
        fn(&mut Config, &str) -> Result<(), String>,
        fn(&Config) -> String,
    ),
}

impl Key {
    /// Sets it from text; the error reads on after the key's name.
    pub fn set(&self, config: &mut Config, text: &str) -> Result<(), String> {
        match &self.kind {
            Kind::Count(at, least, most) => {
                *at(config) =
                    usize::try_from(number(text, *least, *most)?).map_err(|e| e.to_string())?;
            }
            Kind::Number(at, least, most) => {
                *at(config) =
                    u32::try_from(number(text, *least, *most)?).map_err(|e| e.to_string())?;
            }
            Kind::Millis(at, least, most) => {
                let millis =
                    number(text, *least, *most).map_err(|problem| with_unit(text, problem))?;
                *at(config) = Duration::from_millis(millis);
            }
            Kind::Length(at, least, most) => {
                let length = parse_duration(text)?;
                if !(*least..=*most).contains(&length) {
                    let (least, most) = (show_duration(*least), show_duration(*most));
                    return Err(format!("{text} is out of range: give {least} to {most}"));
                }
                *at(config) = length;
            }
            Kind::Text(set, _) => set(config, text)?,
        }
        Ok(())
    }

    /// Its value in `config`, as TOML.
    pub fn show(&self, config: &Config) -> String {
        let mut config = config.clone();
        match &self.kind {
            Kind::Count(at, ..) => at(&mut config).to_string(),
            Kind::Number(at, ..) => at(&mut config).to_string(),
            Kind::Millis(at, ..) => at(&mut config).as_millis().to_string(),
            Kind::Length(at, ..) => quoted(&show_duration(*at(&mut config))),
            Kind::Text(_, show) => quoted(&show(&config)),
        }
    }

    /// What may be given, for people.
    pub fn range(&self) -> String {
        match &self.kind {
            Kind::Count(_, least, most)
            | Kind::Number(_, least, most)
            | Kind::Millis(_, least, most) => {
                format!("{least} to {most}")
            }
            Kind::Length(_, least, most) => {
                format!("{} to {}", show_duration(*least), show_duration(*most))
            }
            Kind::Text(..) => "text".into(),
        }
    }
}

/// Reads a whole number, with `_` between digits allowed.
fn number(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let digits: String = text.trim().chars().filter(|c| *c != '_').collect();
    let number = match digits.parse::<i128>() {
        Ok(number) => number,
        Err(_) if text.trim().is_empty() => {
            return Err("is empty: give a whole number, or leave it out".into());
        }
        Err(_) => {
            let shown: String = text.chars().take(40).collect();
            return Err(format!("`{shown}` is not a whole number"));
        }
    };
    match u64::try_from(number) {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("{number} is out of range: give {least} to {most}")),
    }
}

/// `10s` where milliseconds are asked for is a likely slip.
fn with_unit(text: &str, problem: String) -> String {
    match parse_duration(text) {
        Ok(length) => format!(
            "`{text}` has a unit; this key is in milliseconds: give {}",
            length.as_millis()
        ),
        Err(_) => problem,
    }
}

/// A TOML string.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
