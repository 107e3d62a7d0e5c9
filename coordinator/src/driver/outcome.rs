//! How a call went.

/// The answer of a call, and how to tell people of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallOutcome<A> {
    /// What was answered; *unknown* for anything but a typed word.
    pub answer: A,
    /// What was called: `grpc http://127.0.0.1:8080`.
    pub target: String,
    /// Short and stable: `ok`, `unreachable`, `timeout`, `no-endpoint`, `http-500`, `in-progress`, …
    pub code: String,
    /// For people; empty when all went well.
    pub error: String,
    /// The destination itself did not answer (as opposed to answering *not now*): counts for its breaker.
    pub down: bool,
}

impl<A> CallOutcome<A> {
    /// It answered.
    pub fn answered(
        answer: A,
        target: impl Into<String>,
        code: impl Into<String>,
        error: impl Into<String>,
    ) -> Self {
        Self {
            answer,
            target: target.into(),
            code: code.into(),
            error: error.into(),
            down: false,
        }
    }

    /// It did not, or not with a typed word; `answer` is the unknown one.
    pub fn down(
        answer: A,
        target: impl Into<String>,
        code: impl Into<String>,
        error: impl Into<String>,
    ) -> Self {
        Self {
            answer,
            target: target.into(),
            code: code.into(),
            error: error.into(),
            down: true,
        }
    }
}
