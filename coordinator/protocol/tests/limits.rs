//! Bounds on what comes from outside: exactly as much as is allowed is accepted, one more is refused and named.

use std::time::Duration;

use earnest_protocol::{
    Branch, InitiatorOutcome, LimitError, Limits, Message, Name, OnBudgetSpent, Options,
    OptionsError, ParkReason, Topic,
};

const LIMITS: Limits = Limits {
    messages: 3,
    branches: 3,
    payload_bytes: 10,
    transaction_bytes: 25,
    headers: 2,
    header_bytes: 8,
    text_bytes: 5,
};

fn message(payload: usize) -> Message {
    Message {
        topic: "paid".parse().expect("a topic"),
        key: String::new(),
        headers: [].into(),
        payload: vec![0; payload],
        content_type: String::new(),
        content_encoding: String::new(),
        key_id: String::new(),
    }
}

fn headers(pairs: &[(&str, &str)]) -> Message {
    let pairs = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into()));
    Message {
        headers: pairs.collect(),
        ..message(0)
    }
}

fn refused(messages: &[Message], what: &str, found: usize, allowed: usize) {
    let what = what.to_owned();
    let expected = LimitError {
        what,
        found,
        allowed,
    };
    assert_eq!(LIMITS.messages(messages), Err(expected));
}

#[test]
fn messages_are_counted() {
    assert_eq!(LIMITS.messages::<Vec<u8>>(&[]), Ok(()));
    assert_eq!(LIMITS.messages(&vec![message(1); 3]), Ok(()));
    refused(&vec![message(1); 4], "number of messages", 4, 3);
}

#[test]
fn payloads_are_bounded_one_by_one_and_together() {
    assert_eq!(LIMITS.messages(&[message(10)]), Ok(()));
    refused(
        &[message(1), message(11)],
        "payload of message 1 in bytes",
        11,
        10,
    );
    assert_eq!(
        LIMITS.messages(&[message(10), message(10), message(5)]),
        Ok(())
    );
    let together = [message(10), message(10), message(6)];
    refused(&together, "payloads together in bytes", 26, 25);
}

#[test]
fn headers_are_bounded_in_number_and_bytes() {
    assert_eq!(
        LIMITS.messages(&[headers(&[("a", "12"), ("b", "1234")])]),
        Ok(())
    );
    let many = [headers(&[("a", ""), ("b", ""), ("c", "")])];
    refused(&many, "number of headers of message 0", 3, 2);
    let long = [message(0), headers(&[("a", "12"), ("b", "12345")])];
    refused(&long, "headers of message 1 in bytes", 9, 8);
}

#[test]
fn every_text_is_bounded() {
    type Field = fn(&mut Message) -> &mut String;
    let fields: [(&str, Field); 4] = [
        ("key", |m| &mut m.key),
        ("content_type", |m| &mut m.content_type),
        ("content_encoding", |m| &mut m.content_encoding),
        ("key_id", |m| &mut m.key_id),
    ];
    for (name, field) in fields {
        let mut message = message(0);
        // Bytes count, not characters.
        *field(&mut message) = "éé1".into();
        assert_eq!(
            LIMITS.messages(std::slice::from_ref(&message)),
            Ok(()),
            "{name}"
        );
        field(&mut message).push('2');
        let what = format!("length of {name} of message 0 in bytes");
        refused(&[message], &what, 6, 5);
    }
    assert_eq!(LIMITS.text("business_key", "12345"), Ok(()));
    let refused = LIMITS
        .text("business_key", "123456")
        .expect_err("one too many");
    assert_eq!(
        refused.to_string(),
        "length of business_key in bytes is 6; at most 5 is allowed"
    );
}

fn branch(payload: usize) -> Branch {
    Branch {
        service: "account".parse().expect("a name"),
        action: "debit".parse().expect("a name"),
        resource_id: String::new(),
        payload: vec![0; payload],
        content_type: String::new(),
    }
}

#[test]
fn branches_are_bounded_in_number_and_bytes() {
    let found = |before, branches: &[Branch]| {
        let refused = LIMITS.branches(before, branches);
        refused.map_err(|e| (e.what, e.found, e.allowed))
    };
    let refused = |what: &str, found, allowed| Err((what.to_owned(), found, allowed));
    assert_eq!(found(1, &[branch(10), branch(10)]), Ok(()));
    assert_eq!(
        found(2, &[branch(1), branch(1)]),
        refused("number of branches", 4, 3)
    );
    assert_eq!(
        found(0, &[branch(1), branch(11)]),
        refused("payload of branch 1 in bytes", 11, 10)
    );
    let together = [branch(10), branch(10), branch(6)];
    assert_eq!(
        found(0, &together),
        refused("payloads of branches together in bytes", 26, 25)
    );
    let long = Branch {
        content_type: "123456".into(),
        ..branch(1)
    };
    assert_eq!(
        found(0, &[long]),
        refused("length of content_type of branch 0 in bytes", 6, 5)
    );
    let long = Branch {
        resource_id: "123456".into(),
        ..branch(1)
    };
    assert_eq!(
        found(0, &[long]),
        refused("length of resource_id of branch 0 in bytes", 6, 5)
    );
}

#[test]
fn names_and_topics_are_bounded() {
    assert!("x".repeat(128).parse::<Name>().is_ok());
    assert!("x".repeat(129).parse::<Name>().is_err());
    assert!("x".repeat(255).parse::<Topic>().is_ok());
    assert!("x".repeat(256).parse::<Topic>().is_err());
    for bad in ["", " ", "a b", "a\n", "é", "a?b", "a\0"] {
        assert!(bad.parse::<Name>().is_err(), "{bad:?}");
        assert!(bad.parse::<Topic>().is_err(), "{bad:?}");
    }
}

#[test]
fn check_after_is_bounded() {
    let after = |check_after| {
        Options {
            check_after,
            ..Options::default()
        }
        .validate()
    };
    let longest = Options::MAX_CHECK_AFTER;
    for good in [Duration::from_millis(1), longest] {
        assert_eq!(after(good), Ok(()));
    }
    for given in [
        Duration::ZERO,
        Duration::from_micros(999),
        longest + Duration::from_nanos(1),
    ] {
        assert_eq!(after(given), Err(OptionsError::CheckAfter { given }));
    }
}

/// P6: what may have committed is never cancelled by a budget, so asking for it is refused.
#[test]
fn p6_only_without_a_local_outcome_may_the_budget_cancel() {
    for outcome in [
        InitiatorOutcome::Local,
        InitiatorOutcome::Asked,
        InitiatorOutcome::None,
        InitiatorOutcome::Executed,
    ] {
        let options = |on_budget_spent| Options {
            outcome,
            on_budget_spent,
            ..Options::default()
        };
        assert_eq!(options(OnBudgetSpent::Park).validate(), Ok(()));
        let cancels = options(OnBudgetSpent::Cancel).validate();
        let expected = match outcome {
            InitiatorOutcome::Local => Err(OptionsError::CancelWithLocalOutcome),
            InitiatorOutcome::Asked | InitiatorOutcome::None | InitiatorOutcome::Executed => Ok(()),
        };
        assert_eq!(cancels, expected, "{outcome:?}");
    }
}

#[test]
fn park_reasons_are_cut_between_characters_and_never_empty() {
    assert_eq!(ParkReason::new("").as_str(), "no reason was given");
    let exact = "x".repeat(ParkReason::MAX_BYTES);
    assert_eq!(ParkReason::new(exact.clone()).as_str(), exact);
    // The last character would begin within the bound and end past it.
    let long = format!("{}é", "x".repeat(ParkReason::MAX_BYTES - 1));
    assert_eq!(
        ParkReason::new(long).as_str(),
        &exact[..ParkReason::MAX_BYTES - 1]
    );
}
