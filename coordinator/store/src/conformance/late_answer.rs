//! Answers that come when somebody else has the check-back in hand, or when the decision is made.

use std::time::Duration;

use earnest_protocol::{CheckBackAnswer, Decision, InitiatorOutcome, LeaseToken, Options, Phase};

use super::{LEASE, Subject, answered, check_back::asked, confirm, id, park};
use crate::{CheckBackWork, Command, Reply};

/// An answer under an older lease changes nothing, whatever it says.
pub async fn p10_stale_check_back_changes_nothing(s: Subject) {
    let first = asked(
        &s,
        Options {
            outcome: InitiatorOutcome::None,
            ..Options::default()
        },
    )
    .await;
    s.advance(LEASE + Duration::from_secs(1));
    let other = s.node().await;
    let second = s.one_check_back(other).await;
    assert!(second.token > first.token);
    let before = s.dump().await;
    let answers = [
        CheckBackAnswer::Committed,
        CheckBackAnswer::RolledBack,
        CheckBackAnswer::InProgress,
        CheckBackAnswer::Unknown,
    ];
    let mut commands: Vec<_> = answers
        .into_iter()
        .map(|answer| answered(&first, answer))
        .collect();
    commands.push(Command::ReleaseCheckBack {
        id: first.id,
        token: first.token,
    });
    commands.push(Command::DeadlinePassed {
        id: first.id,
        token: first.token,
    });
    let never = LeaseToken(second.token.0 + 7);
    commands.push(answered(
        &CheckBackWork {
            token: never,
            ..second.clone()
        },
        CheckBackAnswer::Committed,
    ));
    for command in commands {
        let shown = format!("{command:?}");
        assert_eq!(s.ok(command).await, Reply::LostLease, "{shown}");
        assert_eq!(s.dump().await, before, "{shown}");
    }
    assert_eq!(
        s.ok_row(answered(&second, CheckBackAnswer::Committed))
            .await
            .state
            .phase,
        Phase::Confirming
    );
}

/// A slow answer that nobody else asked for meanwhile still counts.
pub async fn p10_expired_check_back_that_nobody_took_still_counts(s: Subject) {
    let work = asked(&s, Options::default()).await;
    s.advance(LEASE * 3);
    let row = s.ok_row(answered(&work, CheckBackAnswer::Committed)).await;
    assert_eq!(row.state.phase, Phase::Confirming);
}

/// The initiator decided while it was asked, and both say the same: nothing to write.
pub async fn answer_that_agrees_with_the_decision_is_over(s: Subject) {
    let work = asked(&s, Options::default()).await;
    s.ok(confirm(1)).await;
    let before = s.dump().await;
    for answer in [
        CheckBackAnswer::Committed,
        CheckBackAnswer::InProgress,
        CheckBackAnswer::Unknown,
    ] {
        assert_eq!(s.ok(answered(&work, answer)).await, Reply::LostLease);
    }
    assert_eq!(s.dump().await, before);
}

/// P1: an answer that contradicts the decision is recorded, and flips nothing.
pub async fn p1_contradiction_is_recorded_and_changes_nothing(s: Subject) {
    let work = asked(&s, Options::default()).await;
    let stands = s.ok_row(confirm(1)).await;
    let reply = s.ok(answered(&work, CheckBackAnswer::RolledBack)).await;
    assert_eq!(reply, Reply::Contradicted(Box::new(stands.clone())));
    let detail = s.detail(1).await;
    assert_eq!(detail.transaction, stands);
    assert_eq!(
        detail.transaction.state.phase.decision(),
        Some(Decision::Confirm)
    );
    let codes: Vec<_> = detail
        .attempts
        .iter()
        .map(|attempt| attempt.code.as_str())
        .collect();
    assert_eq!(codes, ["contradiction"]);
    s.dump().await.check();
}

/// A parked transaction's late answer: *unknown* moves nothing.
pub async fn parked_while_asked_is_over(s: Subject) {
    let work = asked(&s, Options::default()).await;
    s.ok(park(1)).await;
    let before = s.dump().await;
    assert_eq!(
        s.ok(answered(&work, CheckBackAnswer::Unknown)).await,
        Reply::LostLease
    );
    assert_eq!(s.dump().await, before);
}

/// Given back: due again at once, as the same attempt, and the old token is spent.
pub async fn released_check_back_is_due_at_once(s: Subject) {
    let work = asked(&s, Options::default()).await;
    let release = || Command::ReleaseCheckBack {
        id: work.id,
        token: work.token,
    };
    let row = s.ok_row(release()).await;
    assert_eq!((row.holder, row.check_attempts), (None, 0));
    assert_eq!(s.ok(release()).await, Reply::LostLease);
    let node = s.node().await;
    let again = s.one_check_back(node).await;
    assert_eq!(again.attempt, 1);
    assert_eq!(
        s.ok(answered(&work, CheckBackAnswer::Committed)).await,
        Reply::LostLease
    );
}

/// Unknown ids are nobody's work.
pub async fn check_back_of_an_unknown_id_is_lost(s: Subject) {
    let work = asked(&s, Options::default()).await;
    let other = CheckBackWork { id: id(9), ..work };
    assert_eq!(
        s.ok(answered(&other, CheckBackAnswer::Committed)).await,
        Reply::LostLease
    );
    let release = Command::ReleaseCheckBack {
        id: id(9),
        token: other.token,
    };
    assert_eq!(s.ok(release).await, Reply::LostLease);
    assert!(s.detail_of(id(9)).await.is_none());
}
