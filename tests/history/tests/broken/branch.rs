//! The same of branches: T1 to T5, and what M1 and M3 say of them.

use earnest_history::Invariant;

use super::{GOOD, broken_by, line_of, names, replaced, with, without};

/// What a participant's own code did.
fn step(participant: &str, transaction: &str, action: &str) -> usize {
    let of = format!(r#""process":"{participant}","event":"step","transaction":"{transaction}""#);
    let lines = (1..).zip(GOOD.lines());
    let action = format!(r#""action":"{action}""#);
    let mut found = lines.filter(|(_, line)| line.contains(&of) && line.contains(&action));
    let (number, _) = found.next().expect("there is such a step");
    number
}

fn text_of(line: usize) -> String {
    let line = GOOD.lines().nth(line - 1).unwrap();
    let (_, event) = line.split_once(r#","event""#).unwrap();
    format!(r#""event"{}"#, event.strip_suffix('}').unwrap())
}

#[test]
fn m1_a_reservation_is_used_of_what_rolled_back() {
    let cancel = step("stock", "h", "cancel");
    let found = replaced(cancel, r#""action":"cancel""#, r#""action":"confirm""#);
    assert!(found.contains(&(Invariant::M1, vec![cancel])), "{found:?}");
}

#[test]
fn m3_confirm_is_called_of_what_is_cancelled() {
    let called = line_of(
        r#""process":"stock","event":"branch","transaction":"h","ordinal":0,"participant":"stock","action":"cancel""#,
    );
    let found = replaced(called, r#""action":"cancel""#, r#""action":"confirm""#);
    assert!(names(&found).contains(&Invariant::M3), "{found:?}");
}

#[test]
fn t1_a_step_that_runs_twice() {
    for (participant, transaction, action) in [
        ("stock", "g", "try"),
        ("stock", "g", "confirm"),
        ("stock", "h", "cancel"),
    ] {
        let at = step(participant, transaction, action);
        let found = with(at, &text_of(at));
        assert!(
            found.contains(&(Invariant::T1, vec![at, at + 1])),
            "{action}: {found:?}"
        );
    }
}

#[test]
fn t1_confirmed_and_cancelled() {
    let at = step("stock", "g", "confirm");
    let found = with(at, &text_of(at).replace("confirm", "cancel"));
    assert!(
        found.contains(&(Invariant::T1, vec![at, at + 1])),
        "{found:?}"
    );
}

#[test]
fn t2_a_cancel_without_a_try_runs_nothing() {
    let at = step("stock", "h", "try");
    let found = without(&[at]);
    let cancel = step("stock", "h", "cancel");
    assert!(found.contains(&(Invariant::T2, vec![cancel])), "{found:?}");
}

#[test]
fn t2_a_try_after_its_cancel() {
    let (tried, cancelled) = (step("stock", "h", "try"), step("stock", "h", "cancel"));
    let found = broken_by(|mut lines| {
        lines.swap(tried - 1, cancelled - 1);
        lines
    });
    assert_eq!(found, [(Invariant::T2, vec![tried, cancelled])]);
}

#[test]
fn t2_a_late_try_that_stays_reserved() {
    let account = line_of(r#""event":"account","participant":"purse""#);
    let late = r#""event":"step","transaction":"h","ordinal":1,"participant":"purse","action":"try","amount":4"#;
    let found = with(account - 1, late);
    let told = line_of(
        r#""process":"purse","event":"branch","transaction":"h","ordinal":1,"participant":"purse","action":"cancel""#,
    );
    assert!(
        found.contains(&(Invariant::T2, vec![told, account])),
        "{found:?}"
    );
    assert!(
        found.contains(&(Invariant::T5, vec![account + 1])),
        "{found:?}"
    );
}

#[test]
fn t3_a_confirm_without_a_try() {
    let found = without(&[step("purse", "g", "try")]);
    let confirm = step("purse", "g", "confirm");
    assert!(found.contains(&(Invariant::T3, vec![confirm])), "{found:?}");
}

#[test]
fn t3_confirmed_though_one_was_never_tried() {
    for transaction in ["g", "i"] {
        let found = without(&[
            step("stock", transaction, "try"),
            step("stock", transaction, "confirm"),
        ]);
        let view = line_of(&format!(r#""event":"view","transaction":"{transaction}""#));
        assert!(found.contains(&(Invariant::T3, vec![view])), "{found:?}");
    }
}

#[test]
fn t4_a_branch_that_nobody_registered() {
    let view = line_of(r#""event":"view","transaction":"i""#);
    let found = replaced(
        view,
        r#""branches":[{"ordinal":0,"participant":"stock","state":"DONE"}]"#,
        r#""branches":[]"#,
    );
    let called = line_of(
        r#""event":"branch","transaction":"i","ordinal":0,"participant":"stock","action":"try""#,
    );
    assert_eq!(found, [(Invariant::T4, vec![called])]);
}

#[test]
fn t4_committed_with_other_branches() {
    let row = line_of(r#""event":"committed","transaction":"g""#);
    let found = replaced(row, r#"["stock","purse"]"#, r#"["stock","purse","purse"]"#);
    let view = line_of(r#""event":"view","transaction":"g""#);
    assert_eq!(found, [(Invariant::T4, vec![row, view])]);
}

#[test]
fn t5_a_branch_that_does_not_take_the_decision() {
    let view = line_of(r#""event":"view","transaction":"g""#);
    let found = without(&[step("purse", "g", "confirm")]);
    let tried = step("purse", "g", "try");
    assert!(
        found.contains(&(Invariant::T5, vec![tried, view])),
        "{found:?}"
    );
}

#[test]
fn t5_a_reservation_that_is_never_given_back() {
    let view = line_of(r#""event":"view","transaction":"h""#);
    let found = without(&[step("stock", "h", "cancel")]);
    let tried = step("stock", "h", "try");
    assert!(
        found.contains(&(Invariant::T5, vec![tried, view])),
        "{found:?}"
    );
}

#[test]
fn t5_still_waiting_at_rest_or_parked_though_it_is_done() {
    let view = line_of(r#""event":"view","transaction":"i""#);
    for state in ["PENDING", "PARKED"] {
        let found = replaced(view, r#""state":"DONE""#, &format!(r#""state":"{state}""#));
        assert_eq!(names(&found), [Invariant::T5], "{found:?}");
    }
}

#[test]
fn t5_books_that_do_not_add_up() {
    let account = line_of(r#""event":"account","participant":"stock""#);
    let found = replaced(account, r#""free":97,"held":0"#, r#""free":96,"held":1"#);
    assert_eq!(found, [(Invariant::T5, vec![account])]);
    let found = without(&[account]);
    assert_eq!(names(&found), [Invariant::T5], "{found:?}");
}
