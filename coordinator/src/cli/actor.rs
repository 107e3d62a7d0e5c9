//! Who acts, for the audit.

/// The name that an action is recorded under when none was given: the user of this terminal.
pub(super) fn of_terminal() -> String {
    let named = |variable| std::env::var(variable).ok().filter(|name| !name.is_empty());
    named("USER")
        .or_else(|| named("LOGNAME"))
        .unwrap_or_else(|| "unknown".into())
}
