//! Which cases there are: as tests of one store, and as a table for whoever runs them himself.

use std::{fmt, pin::Pin};

use super::Subject;

/// One behaviour of every store.
#[derive(Clone, Copy)]
pub struct Case<S = Subject> {
    /// Its name; it begins with the promise, where it is one.
    pub name: &'static str,
    /// Runs it on what is fresh and empty, and panics where the store behaves otherwise.
    pub run: fn(S) -> Pin<Box<dyn Future<Output = ()>>>,
}

impl<S> fmt::Debug for Case<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Makes a test of each case; `$make` is an `async fn() -> Subject` that makes a fresh, empty store.
#[macro_export]
macro_rules! conformance_tests {
    ($make:ident) => {
        $crate::conformance_tests! { @list @tests $make }
    };
    (@list $($how:tt)+) => {
        $crate::conformance_tests! { $($how)+,
            age {
                p4_branch_that_is_not_done_for_long_is_parked,
            }
            batch {
                empty_batch_is_nothing,
                refused_command_takes_no_other_with_it,
                reader_sees_all_of_a_batch_or_nothing,
                one_batch_or_one_by_one_is_the_same,
            }
            branch {
                p3_prepared_branches_are_kept_and_not_called,
                branches_join_until_the_decision,
                registrations_are_refused_whole,
                t4_no_branch_is_registered_after_the_decision,
                t4_registration_beside_a_decision_owes_no_orphan,
                p4_decision_owes_every_branch_its_call,
                decision_leases_the_calls_of_branches,
                messages_and_branches_share_one_decision,
                messages_join_until_the_decision,
                branch_is_called_again_after_its_delay,
                p4_parked_branch_waits_for_a_person,
                p10_park_takes_the_lease_of_a_branch,
                p10_stale_branch_changes_nothing,
                p11_calls_of_a_dead_node_are_claimable,
                p12_one_participant_does_not_stop_the_others,
                ends_of_one_transaction_share_a_batch,
                purge_takes_finished_branches,
            }
            check_back {
                check_back_is_due_after_check_after,
                decided_transaction_is_not_checked_back,
                answer_decides,
                p6_unknown_answers_never_spend_the_budget,
                p6_spent_budget_parks_a_local_outcome,
                spent_budget_cancels_where_asked_for,
                deadline_cancels_where_nobody_can_be_asked,
                p6_deadline_never_cancels_where_somebody_can_be_asked,
                p13_attempts_of_one_call_are_bounded,
            }
            claim {
                p12_claim_is_bounded_per_target,
                p12_claim_is_bounded_in_total_and_fair,
                p12_unused_share_goes_to_others,
                p12_target_without_room_costs_others_nothing,
                claim_without_room_takes_nothing,
                paused_subscription_is_passed_over,
                next_due_is_the_time_to_the_next_free_thing,
                longest_due_comes_first,
                p10_work_is_leased_to_one_node_only,
                p11_claim_of_nobody_takes_nothing,
                each_claim_raises_the_token,
            }
            decide {
                p1_same_decision_again_is_ok,
                p1_opposite_decision_is_refused_with_what_stands,
                p1_of_two_opposite_decisions_at_once_one_wins,
                p1_opposite_decisions_in_one_batch,
                cancel_of_an_unknown_id_leaves_a_tombstone,
                confirm_of_an_unknown_id_leaves_nothing,
                only_the_initiator_decides,
                p4_confirm_owes_each_message_to_every_subscription_of_then,
                p4_message_without_subscription_at_the_decision_is_parked,
                allowed_message_without_subscription_owes_nothing,
                without_messages_confirm_and_cancel_finish_at_once,
                p3_cancel_owes_nothing,
                tombstone_keeps_its_namespace,
                namespaces_do_not_mix,
            }
            delivery {
                work_carries_all_that_the_call_needs,
                last_effect_done_finishes,
                retry_is_due_after_its_delay,
                p4_parked_delivery_keeps_the_transaction_open,
                p10_stale_delivery_changes_nothing,
                p10_expired_delivery_that_nobody_took_still_completes,
                p10_settled_delivery_takes_no_second_end,
                released_delivery_is_due_at_once,
                end_of_an_unknown_delivery_is_lost,
            }
            execute {
                executed_transaction_confirms_when_all_are_tried,
                p10_refused_try_cancels_and_bars_the_others,
                p6_unanswered_try_is_made_again_until_the_deadline,
            }
            fast_path {
                admitted_work_is_leased_and_the_rest_is_claimable,
                every_decision_leases,
                target_that_is_not_admitted_is_left_for_claims,
                paused_subscription_is_not_leased,
                repeated_decision_leases_nothing,
                p11_leased_work_of_a_dead_node_is_claimable,
                p11_lease_of_a_node_taken_for_dead_does_not_last,
                one_batch_leases_each_work_once,
                without_admission_all_is_left_for_claims,
            }
            idempotence {
                initiators_commands_twice_are_once,
                ends_of_deliveries_twice_are_once,
                ends_of_check_backs_twice_are_once,
                operators_commands_twice_are_once,
                adoption_twice_is_once,
            }
            lease {
                epochs_rise_and_are_never_given_again,
                p11_heartbeat_keeps_the_work,
                p11_work_of_a_dead_node_is_freed,
                p11_heartbeat_of_a_node_taken_for_dead_is_refused,
                late_heartbeat_that_nobody_missed_is_in_time,
                resign_gives_back_at_once,
                resign_leaves_the_work_of_others,
                p10_end_after_the_node_was_buried_counts_until_somebody_takes_the_work,
                p10_end_after_the_work_was_taken_changes_nothing,
            }
            late_answer {
                p10_stale_check_back_changes_nothing,
                p10_expired_check_back_that_nobody_took_still_counts,
                answer_that_agrees_with_the_decision_is_over,
                p1_contradiction_is_recorded_and_changes_nothing,
                parked_while_asked_is_over,
                released_check_back_is_due_at_once,
                check_back_of_an_unknown_id_is_lost,
            }
            operator {
                every_action_leaves_an_audit_line,
                refused_action_leaves_no_audit_line,
                p6_operator_decides_only_what_is_parked,
                p1_operator_flips_no_decision,
                park_and_retry_of_an_undecided_transaction,
                p10_park_takes_the_lease_of_a_check_back,
                p4_park_sets_aside_all_that_is_owed,
                retry_makes_due_what_waits,
                p4_retry_adopts_a_message_that_had_no_subscription,
                retry_waits_for_a_deleted_subscription,
                p6_retry_never_cancels_where_nobody_can_be_asked,
            }
            order {
                p9_order_is_that_of_the_decisions,
                p9_one_at_a_time_per_key,
                p9_other_keys_do_not_wait,
                p9_other_subscriptions_do_not_wait,
                p9_messages_of_one_transaction_keep_their_order,
                p9_nothing_overtakes_the_first,
                p9_parked_in_the_middle_keeps_its_place,
                p9_retry_lets_nothing_pass,
                p9_order_outlives_its_subscription,
                p9_order_within_a_batch,
                p9_fast_path_keeps_order,
                p9_pause_keeps_order,
            }
            prepare {
                p3_prepare_records_and_sends_nothing,
                prepare_keeps_messages_as_given,
                prepare_again_returns_the_present_state,
                prepare_with_other_content_is_refused,
                prepare_after_cancel_is_refused,
                prepare_without_subscription_is_refused_unless_allowed,
                prepare_again_needs_no_subscription,
            }
            purge {
                p4_purge_keeps_what_is_unfinished,
                purge_removes_all_of_what_is_finished,
                purge_waits_for_the_age,
                purge_is_bounded,
                purge_of_just_so_many_leaves_no_more,
                p1_purged_id_is_refused,
                p1_horizon_stands_where_the_purge_came_to,
                purge_of_nothing_refuses_nothing,
                p1_id_from_the_future_is_not_purged_early,
                p1_tombstone_is_purged_like_the_rest,
            }
            query {
                filters_find_what_they_say,
                filters_combine,
                pages_show_each_row_once,
                detail_shows_all_of_one_transaction,
                detail_shows_the_newest_attempts,
                backlog_counts_what_is_owed,
                backlog_counts_branches_that_wait_for_a_call,
                unfinished_counts_by_phase,
                store_tells_its_time_and_health,
            }
            recall {
                r5_batch_that_writes_advances_its_line,
                r5_store_that_forgot_is_not_written_to,
                r5_loss_is_reported_until_it_is_accepted,
            }
            registration {
                p11_service_that_registers_is_asked_at_once,
                p11_service_that_registers_is_called_at_once,
                p13_registration_makes_a_bounded_number_due,
            }
            registry {
                subscription_is_kept_as_given,
                subscriptions_are_listed_by_name,
                pause_changes_nothing_else,
                p4_deleted_subscription_parks_what_it_owes,
                p4_deleted_subscription_parks_a_long_backlog,
                deleted_subscription_of_another_namespace_parks_nothing,
                service_gathers_endpoints,
                service_keeps_a_bounded_number_of_endpoints,
                service_is_replaced_when_asked,
                services_are_listed_and_deleted,
            }
            submit {
                submit_records_confirms_and_owes,
                submit_without_messages_is_confirmed,
                submit_again_returns_the_present_state,
                submit_with_other_content_is_refused,
                submit_after_prepare_confirms,
                p1_submit_after_cancel_is_refused,
                submit_without_subscription_is_refused_unless_allowed,
            }
        }
    };
    (@table, $($module:ident { $($case:ident,)+ })+) => {
        &[$($($crate::conformance::Case {
            name: stringify!($case),
            run: |subject| Box::pin($crate::conformance::$module::$case(subject)),
        },)+)+]
    };
    (@tests $make:ident, $($module:ident { $($case:ident,)+ })+) => {
        $(
            mod $module {
                $(
                    #[tokio::test]
                    async fn $case() {
                        $crate::conformance::$module::$case(super::$make().await).await;
                    }
                )+
            }
        )+
    };
}

/// All of them.
pub const CASES: &[Case] = conformance_tests! { @list @table };

#[cfg(test)]
mod tests {
    /// A case that is written and not listed would never run.
    #[test]
    fn every_case_is_listed() {
        let listed = include_str!("cases.rs");
        let files = [
            include_str!("age.rs"),
            include_str!("batch.rs"),
            include_str!("branch.rs"),
            include_str!("check_back.rs"),
            include_str!("claim.rs"),
            include_str!("decide.rs"),
            include_str!("delivery.rs"),
            include_str!("execute.rs"),
            include_str!("fast_path.rs"),
            include_str!("idempotence.rs"),
            include_str!("late_answer.rs"),
            include_str!("lease.rs"),
            include_str!("operator.rs"),
            include_str!("order.rs"),
            include_str!("prepare.rs"),
            include_str!("purge.rs"),
            include_str!("query.rs"),
            include_str!("recall.rs"),
            include_str!("registration.rs"),
            include_str!("registry.rs"),
            include_str!("submit.rs"),
        ];
        for line in files.iter().flat_map(|file| file.lines()) {
            let Some(case) = line.strip_prefix("pub async fn ") else {
                continue;
            };
            let name = case.split('(').next().unwrap_or(case);
            assert!(
                listed.contains(&format!(" {name},")),
                "case {name} is not listed"
            );
        }
    }
}
