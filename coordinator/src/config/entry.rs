//! One table of a list in the file, taken apart key by key, so that each mistake is noted and none hides another.

use std::{collections::BTreeSet, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Mistake, Reading, suggest,
    value::{Source, kind, plain},
};

/// A table, and which of its keys were asked for.
pub(super) struct Entry<'a, 'i> {
    /// `subscription[0]`
    path: String,
    table: &'a DeTable<'i>,
    span: Range<usize>,
    source: &'a Source<'a>,
    example: &'static str,
    asked: BTreeSet<&'static str>,
}

impl<'a, 'i> Entry<'a, 'i> {
    /// Takes a table; anything else is a mistake.
    pub(super) fn of(
        path: String,
        value: &'a Spanned<DeValue<'i>>,
        source: &'a Source<'a>,
        example: &'static str,
        reading: &mut Reading,
    ) -> Option<Self> {
        let DeValue::Table(table) = value.get_ref() else {
            let problem = format!("is {}, but must be a table", kind(value.get_ref()));
            reading.mistake(&path, source.place(value.span()), problem, example);
            return None;
        };
        Some(Self {
            path,
            table,
            span: value.span(),
            source,
            example,
            asked: BTreeSet::new(),
        })
    }

    /// Whether the key is there, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Where the key stands; where the table begins, when it isn't there.
    pub(super) fn place_of(&self, key: &str) -> String {
        let span = self
            .table
            .get_key_value(key)
            .map_or_else(|| self.span.clone(), |(key, _)| key.span());
        self.source.place(span)
    }

    /// Notes a mistake of the key; an empty key means the table itself.
    pub(super) fn mistake(&self, key: &str, problem: &str, reading: &mut Reading) {
        let path = if key.is_empty() {
            self.path.clone()
        } else {
            format!("{}.{key}", self.path)
        };
        reading.mistake(&path, self.place_of(key), problem.to_owned(), self.example);
    }

    /// A text that must be there.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        reading: &mut Reading,
        check: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if !self.has(key) {
            self.asked.insert(key);
            self.mistake(key, "is missing", reading);
            return None;
        }
        self.optional(key, reading, check)
    }

    /// A text that may be there.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        reading: &mut Reading,
        check: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let checked = match self.take(key)? {
            DeValue::String(text) => check(text),
            other => Err(format!("is {}, but must be a text", kind(other))),
        };
        self.noted(key, checked, reading)
    }

    /// `true` or `false`; false when it isn't there.
    pub(super) fn flag(&mut self, key: &'static str, reading: &mut Reading) -> bool {
        let checked = match self.take(key) {
            None => return false,
            Some(DeValue::Boolean(value)) => Ok(*value),
            Some(other) => Err(format!("is {}, but must be true or false", kind(other))),
        };
        self.noted(key, checked, reading).unwrap_or(false)
    }

    /// A whole number that may be there.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        least: u64,
        most: u64,
        reading: &mut Reading,
    ) -> Option<u64> {
        let value = self.take(key)?;
        let text = matches!(value, DeValue::Integer(_))
            .then(|| plain(value))
            .flatten();
        let checked = match text.and_then(|text| text.parse::<u64>().ok()) {
            Some(number) if (least..=most).contains(&number) => Ok(number),
            _ => Err(format!("is not a whole number from {least} to {most}")),
        };
        self.noted(key, checked, reading)
    }

    /// A table that may be there.
    pub(super) fn table(
        &mut self,
        key: &'static str,
        example: &'static str,
        reading: &mut Reading,
    ) -> Option<Self> {
        self.asked.insert(key);
        let path = format!("{}.{key}", self.path);
        Self::of(path, self.table.get(key)?, self.source, example, reading)
    }

    /// A list of tables that must be there.
    pub(super) fn tables(&mut self, key: &'static str, reading: &mut Reading) -> Vec<Self> {
        let checked = match self.take(key) {
            None => Err("is missing".to_owned()),
            Some(DeValue::Array(items)) => Ok(items),
            Some(other) => Err(format!("is {}, but must be a list", kind(other))),
        };
        let Some(items) = self.noted(key, checked, reading) else {
            return Vec::new();
        };
        let each = |(n, item)| {
            Self::of(
                format!("{}.{key}[{n}]", self.path),
                item,
                self.source,
                self.example,
                reading,
            )
        };
        items.iter().enumerate().filter_map(each).collect()
    }

    /// Notes the keys that nobody asked for.
    pub(super) fn finish(self, reading: &mut Reading) {
        for key in self
            .table
            .keys()
            .filter(|key| !self.asked.contains(key.get_ref().as_ref()))
        {
            let known = || self.asked.iter().copied();
            let problem = if let Some(near) = suggest::nearest(key.get_ref(), known()) {
                format!("is not a key; did you mean `{near}`?")
            } else {
                let known: Vec<_> = known().collect();
                format!("is not a key; there are {}", known.join(", "))
            };
            let path = format!("{}.{}", self.path, key.get_ref());
            reading.mistake(&path, self.source.place(key.span()), problem, self.example);
        }
    }

    fn take(&mut self, key: &'static str) -> Option<&'a DeValue<'i>> {
        self.asked.insert(key);
        self.table.get(key).map(Spanned::get_ref)
    }

    fn noted<T>(&self, key: &str, checked: Result<T, String>, reading: &mut Reading) -> Option<T> {
        match checked {
            Ok(value) => Some(value),
            Err(problem) => {
                self.mistake(key, &problem, reading);
                None
            }
        }
    }
}

impl Reading {
    /// Notes a mistake.
    pub(super) fn mistake(&mut self, key: &str, origin: String, problem: String, example: &str) {
        self.mistakes.push(Mistake {
            key: key.into(),
            origin,
            problem,
            example: example.into(),
        });
    }
}
