//! What holds over every sequence of events.

use earnest_protocol::{
    CheckBackAnswer, Decision, Effect, Event, InitiatorOutcome, Jitter, OnBudgetSpent, Options,
    ParkReason, Phase, State, transition,
};
use proptest::{
    prelude::*,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};

fn any_options() -> impl Strategy<Value = Options> {
    let outcome = prop_oneof![
        Just(InitiatorOutcome::Local),
        Just(InitiatorOutcome::Asked),
        Just(InitiatorOutcome::None),
        Just(InitiatorOutcome::Executed)
    ];
    let spent = prop_oneof![Just(OnBudgetSpent::Park), Just(OnBudgetSpent::Cancel)];
    (outcome, spent, 0..6_u32).prop_map(|(outcome, on_budget_spent, check_back_budget)| Options {
        outcome,
        on_budget_spent,
        check_back_budget,
        ..Options::default()
    })
}

fn any_event() -> impl Strategy<Value = Event> {
    let decision = || prop_oneof![Just(Decision::Confirm), Just(Decision::Cancel)];
    let answer = prop_oneof![
        1 => Just(CheckBackAnswer::Committed),
        1 => Just(CheckBackAnswer::RolledBack),
        6 => Just(CheckBackAnswer::InProgress),
        6 => Just(CheckBackAnswer::Unknown),
    ];
    prop_oneof![
        1 => decision().prop_map(Event::Decide),
        1 => decision().prop_map(|decision| Event::OperatorDecides(decision, "ada".into())),
        8 => (answer, any::<u32>()).prop_map(|(answer, chance)| Event::Answered(answer, Jitter(chance))),
        1 => Just(Event::DeadlinePassed),
        4 => Just(Event::EffectDone),
        2 => Just(Event::EffectParked),
        2 => Just(Event::EffectUnparked),
        1 => Just(Event::Park(ParkReason::new("look at it first"))),
        1 => Just(Event::Unpark),
        2 => (0..3_u32).prop_map(Event::BranchesRegistered),
        4 => Just(Event::TriedOk),
        1 => Just(Event::TryRefused { service: "account".parse().expect("a name"), reason: "no".into() }),
    ]
}

/// Always the same sequences: a failure is a failure for everybody.
fn for_all<S: Strategy>(strategy: S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    if let Err(failure) = runner.run(&strategy, test) {
        panic!("{failure}");
    }
}

type Step = (Event, (u32, u32));

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((any_event(), (0..4_u32, 0..3_u32)), 0..60)
}

#[test]
fn p1_p2_decision_is_made_once_and_never_flips() {
    for_all((any_options(), steps()), |(options, steps)| {
        let mut state = State::prepared(options);
        let mut stands: Option<Decision> = None;
        let mut finished = 0;
        for (event, owed) in steps {
            let Ok((next, effects)) = transition(state.clone(), event, |_| owed) else {
                continue;
            };
            for effect in &effects {
                match effect {
                    Effect::Decided(decision, _) => {
                        prop_assert_eq!(stands, None, "decided twice");
                        stands = Some(*decision);
                    }
                    Effect::Finished => finished += 1,
                    _ => {}
                }
            }
            prop_assert_eq!(next.phase.decision(), stands);
            prop_assert_eq!(next.phase.is_final(), finished == 1);
            prop_assert!(finished <= 1, "finished twice");
            state = next;
        }
        Ok(())
    });
}

#[test]
fn every_step_leads_to_a_valid_state() {
    for_all((any_options(), steps()), |(options, steps)| {
        let mut state = State::prepared(options);
        prop_assert_eq!(state.validate(), Ok(()));
        for (event, owed) in steps {
            if let Ok((next, _)) = transition(state.clone(), event, |_| owed) {
                prop_assert_eq!(next.validate(), Ok(()));
                prop_assert_eq!(next.options, state.options, "options are declared once");
                state = next;
            }
        }
        Ok(())
    });
}

/// K3: what was owed is done, open or parked; nothing else ends it, and nothing is lost.
#[test]
fn p4_effects_are_neither_lost_nor_made_up() {
    for_all((any_options(), steps()), |(options, steps)| {
        let mut state = State::prepared(options);
        let (mut owed_ever, mut done) = (0, 0);
        for (event, owed) in steps {
            let is_done = event == Event::EffectDone;
            let Ok((next, effects)) = transition(state.clone(), event, |_| owed) else {
                continue;
            };
            if effects
                .iter()
                .any(|effect| matches!(effect, Effect::Decided(..)))
            {
                owed_ever = owed.0 + owed.1;
            }
            done += u32::from(is_done);
            prop_assert_eq!(owed_ever, done + next.open_effects + next.parked_effects);
            state = next;
        }
        Ok(())
    });
}

#[test]
fn p6_unknown_answers_never_change_phase_or_budget() {
    let unknowns = prop::collection::vec(any::<u32>(), 0..300);
    for_all(
        (any_options(), steps(), unknowns),
        |(options, steps, unknowns)| {
            let mut state = State::prepared(options);
            for (event, owed) in steps {
                if let Ok((next, _)) = transition(state.clone(), event, |_| owed) {
                    state = next;
                }
            }
            let before = state.clone();
            for chance in unknowns {
                let event = Event::Answered(CheckBackAnswer::Unknown, Jitter(chance));
                let stepped = transition(state, event, |_| (9, 9));
                let Ok((next, effects)) = stepped else {
                    return Err(TestCaseError::fail("refused"));
                };
                let only_waits = effects
                    .iter()
                    .all(|effect| matches!(effect, Effect::ArmCheckBack(_)));
                prop_assert!(only_waits, "{:?}", effects);
                state = next;
            }
            let unanswered = state.unanswered;
            prop_assert_eq!(
                state,
                State {
                    unanswered,
                    ..before
                }
            );
            Ok(())
        },
    );
}

/// However often it says so, the budget is spent after exactly as many *in progress* answers as it allows,
/// whatever was not answered in between.
#[test]
fn p6_budget_counts_only_what_was_answered() {
    let answers = prop::collection::vec(any::<bool>(), 0..40);
    for_all((any_options(), answers), |(options, answers)| {
        let mut state = State::prepared(options);
        let mut in_progress = 0;
        for is_answer in answers {
            let answer = if is_answer {
                CheckBackAnswer::InProgress
            } else {
                CheckBackAnswer::Unknown
            };
            let stepped = transition(state, Event::Answered(answer, Jitter(0)), |_| (0, 0));
            let Ok((next, _)) = stepped else {
                return Err(TestCaseError::fail("refused"));
            };
            state = next;
            in_progress += u32::from(is_answer);
            let waits = state.phase == Phase::Prepared && state.parked.is_none();
            prop_assert_eq!(waits, in_progress < options.check_back_budget.max(1));
        }
        Ok(())
    });
}
