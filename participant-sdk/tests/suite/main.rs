//! What the SDK promises about a local transaction, held against every database that its fence can live in.

#[path = "../common/mod.rs"]
mod common;
mod home;

mod cut;
mod deadlock;
mod elsewhere;
mod fence;
mod grants;
mod implicit_commit;
mod inbox;
mod isolation;
mod outcome;
mod purge;
mod purge_race;
mod savepoint;
mod session;
mod start;

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
    savepoint::p5_a_savepoint_that_was_left_open_does_not_pass_for_a_commit,
    savepoint::a_nested_transaction_goes_with_the_outer_one,
    start::instances_that_start_at_once_migrate_once,
    start::missing_tables_are_named_with_the_remedy,
    start::a_database_that_may_forget_a_commit_is_warned_about,
}
