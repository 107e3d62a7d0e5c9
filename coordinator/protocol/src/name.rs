//! Names from outside, checked once and then carried by type.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// Why a text is not a name or topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing given.
    #[error("{what} is empty: give 1 to {max} letters, digits, or any of `.`, `_`, `-`, `/`")]
    Empty {
        /// `name` or `topic`.
        what: &'static str,
        /// Longest allowed, in bytes.
        max: usize,
    },
    /// Too many bytes.
    #[error("{what} has {bytes} bytes; at most {max} are allowed")]
    TooLong {
        /// `name` or `topic`.
        what: &'static str,
        /// How many there are.
        bytes: usize,
        /// How many may be.
        max: usize,
    },
    /// A character that is not allowed.
    #[error(
        "{what} `{text}` contains {found:?}: only letters, digits, `.`, `_`, `-`, `/` are allowed"
    )]
    BadCharacter {
        /// `name` or `topic`.
        what: &'static str,
        /// The text as given.
        text: String,
        /// The first one that is not allowed.
        found: char,
    },
}

fn check(what: &'static str, max: usize, text: &str) -> Result<Arc<str>, NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { what, max });
    }
    if text.len() > max {
        return Err(NameError::TooLong {
            what,
            bytes: text.len(),
            max,
        });
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    match text.chars().find(|c| !allowed(*c)) {
        Some(found) => Err(NameError::BadCharacter {
            what,
            text: text.to_owned(),
            found,
        }),
        None => Ok(Arc::from(text)),
    }
}

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                check($what, $max, text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text_type!(
    /// The name of a service, a subscription or a namespace: 1 to 128 ASCII letters, digits, `.`, `_`, `-`, `/`.
    Name, "name", 128
);
text_type!(
    /// A topic: 1 to 255 ASCII letters, digits, `.`, `_`, `-`, `/`.
    Topic, "topic", 255
);

impl Name {
    /// The namespace of whoever names none.
    pub fn default_namespace() -> Self {
        Self(Arc::from("default"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert_eq!(
            "order.placed/v1".parse::<Topic>().map(|t| t.to_string()),
            Ok("order.placed/v1".into())
        );
        assert!(matches!("".parse::<Topic>(), Err(NameError::Empty { .. })));
        assert!(matches!(
            "a b".parse::<Name>(),
            Err(NameError::BadCharacter { found: ' ', .. })
        ));
        assert!(matches!(
            "x".repeat(129).parse::<Name>(),
            Err(NameError::TooLong { bytes: 129, .. })
        ));
    }
}
