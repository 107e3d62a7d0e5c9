//! Decisions: the initiator's, and what an operator says.

use std::time::Duration;

use earnest_protocol::Decision;
use serde::Deserialize;

use crate::service::{Until, WaitInput};

/// Confirm and Cancel.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::transport::http) struct DecideBody {
    pub(in crate::transport::http) initiator: String,
    pub(in crate::transport::http) namespace: String,
    pub(in crate::transport::http) wait_ms: Option<u64>,
    pub(in crate::transport::http) until: Option<UntilWord>,
}

/// What is waited for.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(in crate::transport::http) enum UntilWord {
    /// The decision.
    Decision,
    /// The final phase.
    Final,
}

/// A wait as a body says it; no `wait_ms`: none.
pub(in crate::transport::http) fn wait(
    wait_ms: Option<u64>,
    until: Option<UntilWord>,
) -> Option<WaitInput> {
    let until = match until.unwrap_or(UntilWord::Final) {
        UntilWord::Decision => Until::Decision,
        UntilWord::Final => Until::FinalPhase,
    };
    let at_most = Duration::from_millis(wait_ms?);
    Some(WaitInput { until, at_most })
}

/// What an operator says of themselves.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::transport::http) struct RetryBody {
    pub(in crate::transport::http) actor: String,
}

/// Park.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::transport::http) struct ParkBody {
    pub(in crate::transport::http) reason: String,
    pub(in crate::transport::http) actor: String,
}

/// An operator's decision.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::transport::http) struct OperatorDecideBody {
    decision: DecisionWord,
    #[serde(default)]
    pub(in crate::transport::http) force: bool,
    #[serde(default)]
    pub(in crate::transport::http) actor: String,
    #[serde(default)]
    pub(in crate::transport::http) reason: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum DecisionWord {
    Confirm,
    Cancel,
}

impl OperatorDecideBody {
    /// What is decided.
    pub(in crate::transport::http) fn decision(&self) -> Decision {
        match self.decision {
            DecisionWord::Confirm => Decision::Confirm,
            DecisionWord::Cancel => Decision::Cancel,
        }
    }
}
