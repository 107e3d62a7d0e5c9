//! One good history, and for each invariant the ways in which it can be broken by hand: the checker names that invariant and
//! the lines.

mod branch;

use earnest_history::{History, Invariant, check};

/// `a` committed and was delivered to two consumers, and one message of it was parked; `b` rolled back and a check-back said so;
/// two clients fought over `c`; `d` was prepared twice with different contents; `e` and `f` have one key, and were asked for one
/// after the other; `g` reserved at two participants and committed, `h` was refused by the second of them, and of `i` the
/// coordinator ran the Try.
const GOOD: &str = include_str!("../good.jsonl");

fn broken_by(change: impl Fn(Vec<String>) -> Vec<String>) -> Vec<(Invariant, Vec<usize>)> {
    let lines: Vec<String> = GOOD.lines().map(str::to_owned).collect();
    let changed = change(lines.clone());
    assert_ne!(lines, changed, "nothing was broken");
    let history = History::parse(&changed.join("\n")).unwrap();
    let found = check(&history);
    found
        .into_iter()
        .map(|v| (v.invariant, v.lines.into_iter().collect()))
        .collect()
}

/// The good history with the text of one line replaced.
fn replaced(line: usize, from: &str, to: &str) -> Vec<(Invariant, Vec<usize>)> {
    broken_by(|mut lines| {
        assert!(
            lines[line - 1].contains(from),
            "line {line} is {}",
            lines[line - 1]
        );
        lines[line - 1] = lines[line - 1].replace(from, to);
        lines
    })
}

/// The good history without some lines, which become empty so that the others keep their numbers.
fn without(gone: &[usize]) -> Vec<(Invariant, Vec<usize>)> {
    broken_by(|mut lines| {
        for line in gone {
            lines[line - 1].clear();
        }
        lines
    })
}

/// The good history with a line more, behind the line of this number (and so of its time).
fn with(after: usize, event: &str) -> Vec<(Invariant, Vec<usize>)> {
    broken_by(|mut lines| {
        let at = lines[after - 1].split_once(',').unwrap().0.to_owned();
        lines.insert(after, format!("{at},\"process\":\"hand\",{event}}}"));
        lines
    })
}

fn line_of(text: &str) -> usize {
    let found: Vec<usize> = (1..)
        .zip(GOOD.lines())
        .filter(|(_, line)| line.contains(text))
        .map(|(number, _)| number)
        .collect();
    assert_eq!(found.len(), 1, "{text} is on lines {found:?}");
    found[0]
}

fn names(found: &[(Invariant, Vec<usize>)]) -> Vec<Invariant> {
    let mut names: Vec<Invariant> = found.iter().map(|(invariant, _)| *invariant).collect();
    names.dedup();
    names
}

#[test]
fn the_good_history_breaks_nothing() {
    let history = History::parse(GOOD).unwrap();
    assert_eq!(check(&history), []);
}

#[test]
fn m1_an_effect_of_what_rolled_back_is_a_ghost() {
    let view = line_of(r#""event":"view","transaction":"b""#);
    let effect = r#""event":"effect","transaction":"b","ordinal":0,"subscription":"books","content":"order-b""#;
    let found = with(view, effect);
    assert!(
        found.contains(&(Invariant::M1, vec![view + 1])),
        "{found:?}"
    );
}

#[test]
fn m1_confirmed_though_it_rolled_back() {
    let view = line_of(r#""event":"view","transaction":"b""#);
    let found = replaced(view, "CANCELLED", "CONFIRMED");
    assert!(found.contains(&(Invariant::M1, vec![view])), "{found:?}");
}

#[test]
fn m2_a_committed_transaction_without_its_effect_is_a_loss() {
    let effect = line_of(r#""event":"effect","transaction":"a","ordinal":0,"subscription":"mail""#);
    let found = without(&[effect]);
    let lines = vec![
        line_of(r#""event":"committed","transaction":"a""#),
        line_of(r#""event":"view","transaction":"a""#),
    ];
    assert!(found.contains(&(Invariant::M2, lines)), "{found:?}");
}

#[test]
fn m3_two_decisions() {
    let refused = line_of(r#""reason":"decided","decision":"CONFIRM""#);
    let found = replaced(
        refused,
        r#""event":"fail","op":6,"reason":"decided","decision":"CONFIRM""#,
        r#""event":"ok","op":6,"phase":"CANCELLED""#,
    );
    assert_eq!(names(&found), [Invariant::M3], "{found:?}");
    assert!(found[0].1.contains(&refused), "{found:?}");
}

#[test]
fn m3_a_refusal_that_does_not_say_what_was_decided() {
    let refused = line_of(r#""reason":"decided","decision":"CONFIRM""#);
    let found = replaced(refused, r#","decision":"CONFIRM""#, "");
    assert_eq!(names(&found), [Invariant::M3], "{found:?}");
}

#[test]
fn m3_a_repeated_decision_that_is_refused() {
    let refused = line_of(r#""reason":"decided","decision":"CONFIRM""#);
    let asked = line_of(r#""op":6,"call":"cancel""#);
    let found = replaced(asked, "cancel", "confirm");
    assert_eq!(found, [(Invariant::M3, vec![asked, refused])]);
}

#[test]
fn m4_a_commit_after_rolled_back_was_answered() {
    let answered = line_of(r#""event":"check-back","transaction":"b""#);
    let rest = line_of(r#""event":"committed","transaction":"a""#);
    let found = with(
        rest,
        r#""event":"committed","transaction":"b","key":"order-b","topics":["orders"]"#,
    );
    assert!(
        found.contains(&(Invariant::M4, vec![answered, rest + 1])),
        "{found:?}"
    );
}

#[test]
fn m5_an_acknowledged_transaction_that_is_gone_at_rest() {
    let view = line_of(r#""event":"view","transaction":"d""#);
    let first = line_of(r#""event":"ok","op":7"#);
    assert_eq!(without(&[view]), [(Invariant::M5, vec![first])]);
}

#[test]
fn m5_an_acknowledged_transaction_that_is_not_found_later() {
    let looked = line_of(r#""event":"ok","op":10"#);
    let found = broken_by(|mut lines| {
        let (head, _) = lines[looked - 1].split_once(r#""event""#).unwrap();
        lines[looked - 1] = format!(r#"{head}"event":"fail","op":10,"reason":"not-found"}}"#);
        lines
    });
    assert_eq!(names(&found), [Invariant::M5], "{found:?}");
}

#[test]
fn m5_a_decision_that_is_taken_back() {
    let looked = line_of(r#""event":"ok","op":10"#);
    let found = replaced(looked, "CANCELLED", "PREPARED");
    assert_eq!(names(&found), [Invariant::M5], "{found:?}");
}

#[test]
fn m5_told_that_it_committed_and_it_did_not() {
    let row = line_of(r#""event":"committed","transaction":"a""#);
    let found = names(&without(&[row]));
    assert!(found.contains(&Invariant::M5), "{found:?}");
}

#[test]
fn m5_told_that_it_did_not_commit_and_it_did() {
    let rest = line_of(r#""event":"committed","transaction":"a""#);
    let found = with(
        rest,
        r#""event":"committed","transaction":"b","key":"order-b","topics":["orders"]"#,
    );
    assert!(names(&found).contains(&Invariant::M5), "{found:?}");
}

#[test]
fn m6_two_contents_under_one_id() {
    let refused = line_of(r#""reason":"other-content""#);
    let found = replaced(
        refused,
        r#""event":"fail","op":8,"reason":"other-content""#,
        r#""event":"ok","op":8,"phase":"PREPARED""#,
    );
    let first = line_of(r#""event":"ok","op":7"#);
    assert_eq!(found, [(Invariant::M6, vec![first, refused])]);
}

#[test]
fn m6_the_refused_content_arrives() {
    let effect = line_of(r#""event":"effect","transaction":"c""#);
    let found = replaced(effect, "content-c", "something else");
    assert_eq!(found, [(Invariant::M6, vec![effect])]);
}

#[test]
fn m6_the_same_content_is_refused() {
    let asked = line_of(r#""op":8,"call":"prepare""#);
    let found = replaced(asked, "other content", "content-d");
    assert_eq!(names(&found), [Invariant::M6], "{found:?}");
}

#[test]
fn k1_shown_as_delivered_before_anybody_acknowledged() {
    let acknowledged = line_of(r#""subscription":"mail","answer":"ok""#);
    let view = line_of(r#""event":"view","transaction":"a""#);
    let found = replaced(acknowledged, r#""answer":"ok""#, r#""answer":"unknown""#);
    assert_eq!(found, [(Invariant::K1, vec![view])]);
}

#[test]
fn k2_two_effects_of_one_message() {
    let effect = line_of(r#""event":"effect","transaction":"a","ordinal":0,"subscription":"mail""#);
    let again = r#""event":"effect","transaction":"a","ordinal":0,"subscription":"mail","content":"order-a""#;
    assert_eq!(
        with(effect, again),
        [(Invariant::K2, vec![effect, effect + 1])]
    );
}

#[test]
fn k2_acknowledged_without_an_effect() {
    let effect = line_of(r#""event":"effect","transaction":"a","ordinal":0,"subscription":"mail""#);
    let acknowledged = line_of(r#""subscription":"mail","answer":"ok""#);
    let found = without(&[effect]);
    assert!(
        found.contains(&(Invariant::K2, vec![acknowledged])),
        "{found:?}"
    );
}

#[test]
fn k3_a_delivery_that_nobody_is_owed() {
    let view = line_of(r#""event":"view","transaction":"b""#);
    let found = replaced(
        view,
        r#""deliveries":[]"#,
        r#""deliveries":[{"ordinal":0,"subscription":"books","state":"PARKED"}]"#,
    );
    assert_eq!(found, [(Invariant::K3, vec![view])]);
}

#[test]
fn k3_a_delivery_that_is_owed_and_does_not_exist() {
    let view = line_of(r#""event":"view","transaction":"c""#);
    let found = replaced(
        view,
        r#"{"ordinal":0,"subscription":"books","state":"DONE"}"#,
        "",
    );
    assert!(found.contains(&(Invariant::K3, vec![view])), "{found:?}");
}

#[test]
fn k3_pending_at_rest() {
    let view = line_of(r#""event":"view","transaction":"a""#);
    let found = replaced(view, "PARKED", "PENDING");
    assert!(names(&found).contains(&Invariant::K3), "{found:?}");
}

fn effect_of(transaction: &str) -> usize {
    line_of(&format!(
        r#""event":"effect","transaction":"{transaction}""#
    ))
}

#[test]
fn p9_a_message_that_overtakes() {
    let (first, second) = (effect_of("e"), effect_of("f"));
    let found = broken_by(|mut lines| {
        lines.swap(first - 1, second - 1);
        lines
    });
    assert_eq!(found, [(Invariant::P9, vec![first, second])]);
}

#[test]
fn p9_a_message_that_does_not_wait_for_what_is_missing() {
    let effect = effect_of("e");
    let committed = line_of(r#""event":"committed","transaction":"e""#);
    let found = without(&[effect]);
    let expected = (Invariant::P9, vec![committed, effect_of("f")]);
    assert!(found.contains(&expected), "{found:?}");
}

#[test]
fn p9_says_nothing_of_what_was_asked_for_at_the_same_time() {
    let (first, second) = (effect_of("e"), effect_of("f"));
    let asked = line_of(r#""op":12,"call":"place""#);
    let found = broken_by(|mut lines| {
        lines.swap(first - 1, second - 1);
        // Before the first was seen to be decided.
        let early = lines
            .remove(asked - 1)
            .replace(r#""at_us":75"#, r#""at_us":70"#);
        lines.insert(line_of(r#""op":11,"call":"place""#), early);
        lines
    });
    assert_eq!(found, []);
}

#[test]
fn m3_two_nodes_that_show_different_decisions() {
    let view = line_of(r#""event":"view","transaction":"d""#);
    let other =
        r#""event":"view","transaction":"d","phase":"CONFIRMED","parked":false,"deliveries":[]"#;
    let found = with(view, other);
    let told = found
        .iter()
        .filter(|(invariant, _)| *invariant == Invariant::M3);
    assert!(
        told.clone().any(|(_, lines)| lines.contains(&(view + 1))),
        "{found:?}"
    );
}

#[test]
fn k3_two_nodes_that_show_different_deliveries() {
    let view = line_of(r#""event":"view","transaction":"c""#);
    let other =
        r#""event":"view","transaction":"c","phase":"CONFIRMED","parked":false,"deliveries":[]"#;
    let found = with(view, other);
    assert!(
        found.contains(&(Invariant::K3, vec![view, view + 1])),
        "{found:?}"
    );
}

#[test]
fn m5_a_node_that_does_not_know_what_another_knows() {
    let view = line_of(r#""event":"view","transaction":"d""#);
    let other =
        r#""event":"view","transaction":"d","phase":"CANCELLED","parked":false,"deliveries":[]"#;
    let unknown = line_of(r#""event":"view","transaction":"b""#);
    let found = with(view, other);
    assert!(found.contains(&(Invariant::M5, vec![unknown])), "{found:?}");
    assert!(!found.contains(&(Invariant::M5, vec![view])), "{found:?}");
}

#[test]
fn v1_undecided_at_rest() {
    let view = line_of(r#""event":"view","transaction":"b""#);
    let found = replaced(view, "CANCELLED", "PREPARED");
    assert_eq!(found, [(Invariant::V1, vec![view])]);
}

#[test]
fn v1_rest_that_came_too_late() {
    let rest = line_of(r#""event":"rest""#);
    let quiet = line_of(r#""event":"quiet""#);
    let found = broken_by(|mut lines| {
        lines[rest - 1] = r#"{"at_us":99000000,"process":"runner","event":"rest"}"#.to_owned();
        lines
    });
    assert_eq!(found, [(Invariant::V1, vec![quiet, rest])]);
}

#[test]
fn v1_rest_that_never_came() {
    let rest = line_of(r#""event":"rest""#);
    assert_eq!(names(&without(&[rest])), [Invariant::V1]);
}

#[test]
fn a_history_of_nothing_proves_nothing() {
    let found = check(&History::default());
    assert_eq!(found[0].invariant, Invariant::V1);
}

#[test]
fn a_line_that_cannot_be_read_is_named() {
    for (text, line) in [
        ("{\"at_us\":1}", 1),
        (
            "\n{\"at_us\":1,\"process\":\"x\",\"event\":\"no such thing\"}",
            2,
        ),
        (
            "{\"at_us\":2,\"process\":\"x\",\"event\":\"rest\"}\n{\"at_us\":1,\"process\":\"x\",\"event\":\"quiet\"}",
            2,
        ),
        (
            "{\"at_us\":2,\"process\":\"x\",\"event\":\"ok\",\"op\":1}",
            1,
        ),
    ] {
        assert_eq!(History::parse(text).unwrap_err().line, line, "{text}");
    }
}
