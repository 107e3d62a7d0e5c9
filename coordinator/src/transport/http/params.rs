//! What stands in the URL: path segments and the query. An unknown or repeated parameter is refused: it would
//! be ignored otherwise, and the answer would be one to another question.

use std::time::Duration;

use axum::extract::{FromRequestParts, Path, Query};
use http::request::Parts;

use super::Problem;

/// The one segment of a path that the caller gives.
pub(super) struct Segment(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(text)) => Ok(Self(text)),
            Err(error) => Err(Problem::invalid(
                format!("the path can't be read: {error}"),
                "percent-encode it as UTF-8",
            )),
        }
    }
}

/// The query.
pub(super) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(pairs)) => Ok(Self(pairs)),
            Err(error) => Err(Problem::invalid(
                format!("the query can't be read: {error}"),
                "write it as name=value&name=value, percent-encoded",
            )),
        }
    }
}

impl Params {
    /// Refuses all but `names`.
    pub(super) fn only(self, names: &[&str]) -> Result<Self, Problem> {
        match self
            .0
            .iter()
            .find(|(name, _)| !names.contains(&name.as_str()))
        {
            None => Ok(self),
            Some((name, _)) => Err(Problem::invalid(
                format!("unknown query parameter `{name}`"),
                format!("this path takes: {}", names.join(", ")),
            )),
        }
    }

    /// Nothing but a namespace; empty: not given.
    pub(super) fn namespace(self) -> Result<String, Problem> {
        self.only(&["namespace"])?.one("namespace")
    }

    /// A parameter; empty: not given.
    pub(super) fn one(&self, name: &str) -> Result<String, Problem> {
        let mut values = self.many(name);
        let value = values.next().unwrap_or_default().to_owned();
        if values.next().is_some() {
            return Err(Problem::invalid(
                format!("query parameter `{name}` is given more than once"),
                "give it once",
            ));
        }
        Ok(value)
    }

    /// A parameter that may be repeated.
    pub(super) fn many<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let name = name.to_owned();
        self.0
            .iter()
            .filter(move |(given, _)| *given == name)
            .map(|(_, value)| value.as_str())
    }

    /// A whole number; not given: 0.
    pub(super) fn number(&self, name: &str) -> Result<u32, Problem> {
        match self.one(name)?.as_str() {
            "" => Ok(0),
            text => text.parse().map_err(|_| {
                Problem::invalid(
                    format!("{name}: `{}` is not a whole number", short(text)),
                    "give a number such as 50",
                )
            }),
        }
    }

    /// `true` or `false`; not given: false.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.one(name)?.as_str() {
            "" | "false" => Ok(false),
            "true" => Ok(true),
            text => Err(Problem::invalid(
                format!("{name}: `{}` is neither true nor false", short(text)),
                "give true or false",
            )),
        }
    }

    /// A length of time such as `30s`; not given: zero.
    pub(super) fn length(&self, name: &str) -> Result<Duration, Problem> {
        let text = self.one(name)?;
        if text.is_empty() {
            return Ok(Duration::ZERO);
        }
        length(&text).ok_or_else(|| {
            Problem::invalid(
                format!("{name}: `{}` is not a length of time", short(&text)),
                "give a number with ms, s, m, h or d, such as 30s or 5m",
            )
        })
    }
}

fn length(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at(digits);
    let count: u64 = count.parse().ok()?;
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    count.checked_mul(millis).map(Duration::from_millis)
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read() {
        assert_eq!(length("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(length("30s"), Some(Duration::from_secs(30)));
        assert_eq!(length("5m"), Some(Duration::from_mins(5)));
        for nonsense in ["", "5", "m", "-1s", "1w", "99999999999999999999s", "1 s"] {
            assert_eq!(length(nonsense), None, "{nonsense}");
        }
    }
}
