//! What the SDK promises about a local transaction, held against every database that its fence can live in.

#[path = "../common/mod.rs"]
mod common;
mod home;

mod branch;
mod branch_race;
mod cut;
mod deadlock;
mod elsewhere;
mod fence;
mod grants;
mod implicit_commit;
mod inbox;
mod isolation;
mod nested;
mod outcome;
mod purge;
mod purge_race;
mod reserve;
mod savepoint;
mod session;
mod start;
mod tcc;
mod try_call;
mod warnings;

/// Makes every case a test of its own on every database.
macro_rules! on_every_database {
    ($($subject:ident :: $case:ident,)*) => {
        on! { sqlite earnest::sqlx::Sqlite; $($subject :: $case,)* }
        on! { memory earnest::memory::Memory; $($subject :: $case,)* }
        on! { postgres earnest::sqlx::Postgres; $($subject :: $case,)* }
        on! { mysql earnest::sqlx::MySql; $($subject :: $case,)* }
    };
}

/// The same on every database that is a server.
macro_rules! on_every_server {
    ($($subject:ident :: $case:ident,)*) => {
        on! { postgres_server earnest::sqlx::Postgres; $($subject :: $case,)* }
        on! { mysql_server earnest::sqlx::MySql; $($subject :: $case,)* }
    };
}

macro_rules! on {
    ($name:ident $database:ty; $($subject:ident :: $case:ident,)*) => {
        mod $name {
            $(
                #[tokio::test]
                async fn $case() {
                    crate::$subject::$case::<$database>().await;
                }
            )*
        }
    };
}

on_every_database! {
    branch::p7_every_order_and_repetition_of_calls_runs_each_step_at_most_once,
    branch::p7_the_same_call_at_the_same_time_runs_once,
    branch::p7_try_and_cancel_at_the_same_time_leave_nothing_reserved,
    branch::p7_an_unanswered_commit_is_found_done_when_the_call_comes_again,
    branch::p7_a_commit_without_effect_is_made_again,
    branch::p7_a_lost_local_transaction_is_not_answered_ok,
    branch::p7_what_does_not_run_to_its_end_leaves_nothing,
    branch::t6_a_call_older_than_the_horizon_runs_nothing_and_leaves_nothing,
    branch::calls_for_somebody_else_are_unknown_and_leave_nothing,
    branch::a_payload_that_cannot_be_read_fails_and_its_cancel_succeeds,
    tcc::t4_a_branch_is_registered_before_its_try_and_confirmed_after_commit,
    tcc::t5_a_refused_try_bars_commit_and_cancels,
    tcc::t5_a_try_that_is_given_up_bars_commit_and_cancels,
    tcc::p6_a_try_without_an_answer_is_no_refusal_and_cancels,
    tcc::messages_before_and_after_a_try_share_its_transaction,
    tcc::p6_what_a_coordinator_does_not_record_is_not_tried,
    tcc::execute_says_what_it_came_to,
    reserve::p3_reservations_come_first_and_are_confirmed_by_the_commit,
    reserve::t5_a_refused_reservation_opens_nothing_and_cancels,
    reserve::p5_nothing_is_locked_while_others_try,
    reserve::m4_rolled_back_that_was_said_meanwhile_bars_the_local_transaction,
    branch_race::p7_confirm_and_cancel_at_the_same_time_never_both_run,
    try_call::p7_a_try_whose_answer_is_lost_is_called_again_and_runs_once,
    try_call::p6_a_slow_try_is_not_given_up_for_the_next_call,
    try_call::p6_an_instance_that_is_gone_is_passed_over,
    try_call::p7_a_branch_is_tried_at_its_own_database_only,
    nested::p5_what_a_try_opens_is_decided_by_its_own_commit,
    nested::p5_a_nested_refusal_refuses_and_leaves_nothing,
    fence::p5_committed_is_answered_for_what_committed,
    fence::p5_rolled_back_is_answered_once_the_fence_is_in_the_way,
    fence::p5_rolled_back_bars_the_late_transaction,
    fence::m4_an_open_transaction_is_never_answered_rolled_back,
    fence::p6_a_database_that_is_away_is_unknown,
    elsewhere::p5_another_database_answers_unknown_and_fences_nothing,
    outcome::p5_a_commit_that_fails_is_fenced_and_cancelled,
    outcome::p5_a_commit_that_happened_although_it_was_not_answered_is_confirmed,
    outcome::p5_a_local_transaction_that_was_lost_does_not_confirm,
    outcome::p5_a_drop_after_prepare_cancels_only_after_fencing,
    outcome::a_transaction_that_is_dropped_leaves_nothing_behind,
    inbox::p8_a_message_that_comes_again_has_its_effect_once,
    inbox::p8_the_same_message_at_the_same_time_has_its_effect_once,
    inbox::p8_a_failing_handler_leaves_nothing_and_the_message_comes_again,
    inbox::p8_a_handler_that_loses_its_local_transaction_is_not_acknowledged,
    inbox::p8_an_unanswered_commit_is_found_taken_when_the_message_comes_again,
    inbox::p8_a_handlers_own_messages_leave_with_its_commit,
    purge::p5_what_was_purged_is_not_taken_for_rolled_back,
    purge::p8_what_was_purged_is_not_run_again,
    purge::old_rows_go_in_batches_and_young_ones_stay,
}

on_every_server! {
    cut::p5_a_session_that_was_killed_is_fenced_and_cancelled,
    cut::p5_a_commit_that_lands_late_is_waited_for,
    cut::p5_nothing_is_told_while_a_commit_may_still_land,
    deadlock::p5_what_was_lost_to_a_deadlock_does_not_confirm,
    deadlock::p8_what_was_lost_to_a_deadlock_is_not_acknowledged,
    grants::the_grants_that_are_printed_are_enough,
    isolation::p5_outcomes_are_right_at_every_isolation_level,
    isolation::p8_an_effect_happens_once_at_every_isolation_level,
    purge_race::p5_a_purge_in_the_way_of_a_check_back_is_not_taken_for_rolled_back,
    purge_race::p8_a_purge_in_the_way_of_a_late_duplicate_does_not_let_it_run_again,
    purge_race::p8_what_was_taken_and_purged_meanwhile_does_not_run_again,
    branch_race::p7_calls_of_a_branch_are_right_at_every_isolation_level,
    branch_race::t6_a_purge_in_the_way_of_a_late_try_does_not_let_it_run,
    savepoint::p5_a_savepoint_that_was_left_open_does_not_pass_for_a_commit,
    savepoint::a_nested_transaction_goes_with_the_outer_one,
    start::instances_that_start_at_once_migrate_once,
    start::missing_tables_are_named_with_the_remedy,
    start::a_database_that_may_forget_a_commit_is_warned_about,
}
