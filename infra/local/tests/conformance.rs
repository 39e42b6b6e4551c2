//! The adapters on the embedded engines: the suite that every adapter must pass, and what only this pairing can show.

use aws::{
    Aws, DynamoApplicants, DynamoEndpoints, DynamoFirms, DynamoJournal, DynamoLedger, DynamoLoans,
    DynamoNotices, DynamoQuotas, DynamoRelations, DynamoRings, DynamoSignIns, KmsDataKeys,
};
use contract::names::{DUE_INDEX, RESOLVED_INDEX};
use domain::ApplicationId;
use jiff::Timestamp;
use local::engines::{
    AttributeType, EngineOptions, Engines, IndexSpec, KeyAttribute, KeySpec, Projection, TableSpec,
};
use personal_data::PersonalData;
use ports::{
    SystemClock,
    relation::{Link, Node},
};
use std::sync::Arc;

#[path = "conformance/commands.rs"]
mod commands;
#[path = "conformance/data_keys.rs"]
mod data_keys;
#[path = "conformance/engines.rs"]
mod embedded;
#[path = "conformance/lost_answers.rs"]
mod lost_answers;
#[path = "conformance/personal_data.rs"]
mod personal;

/// Engines in memory with every table, and clients on them.
async fn engines() -> (Engines, Aws) {
    let engines = Engines::start(EngineOptions::default()).expect("engines start");
    for table in tables() {
        engines.create_table(&table).await.expect("the table is made");
    }
    let aws = Aws::from_sdk_config(&engines.sdk_config());
    (engines, aws)
}

fn id() -> ApplicationId {
    ApplicationId::from_bytes([7; 16])
}

/// The applicants as one function sees them.
fn applicants_of(aws: &Aws) -> DynamoApplicants {
    applicants_in(aws, "applicants")
}

fn applicants_in(aws: &Aws, table: &str) -> DynamoApplicants {
    let keys = KmsDataKeys::new(aws.kms(), "personal-data");
    let personal = PersonalData::new(Arc::new(keys), Arc::new(SystemClock));
    DynamoApplicants::new(aws.dynamodb.clone(), table, Arc::new(personal))
}

/// A link of that application to these nodes.
fn link_at(nodes: &[Node]) -> Link {
    Link {
        application: id(),
        firm: "91350100M000100Y43".parse().expect("a firm code"),
        nodes: nodes.to_vec(),
        at: Timestamp::UNIX_EPOCH,
        amount_fen: 1,
        bank: String::new(),
        place: None,
        account_days: None,
    }
}

fn text(name: &str) -> KeyAttribute {
    KeyAttribute { name: name.to_owned(), kind: AttributeType::Text }
}

fn table(name: &str, sort: Option<&str>) -> TableSpec {
    let key = KeySpec { partition: text("pk"), sort: sort.map(text) };
    TableSpec { name: name.to_owned(), key, indexes: Vec::new(), ttl_attribute: None }
}

fn tables() -> Vec<TableSpec> {
    let due_at = KeyAttribute { name: "due_at".to_owned(), kind: AttributeType::Number };
    let due = |projection| IndexSpec {
        name: DUE_INDEX.to_owned(),
        key: KeySpec { partition: text("due_shard"), sort: Some(due_at.clone()) },
        projection,
    };
    let resolved = IndexSpec {
        name: RESOLVED_INDEX.to_owned(),
        key: KeySpec { partition: text("bank_day"), sort: Some(text("pk")) },
        projection: Projection::All,
    };
    vec![
        TableSpec { indexes: vec![due(Projection::KeysOnly)], ..table("journeys", Some("sk")) },
        TableSpec { indexes: vec![resolved], ..table("payouts", Some("sk")) },
        TableSpec { ttl_attribute: Some("expires_at".to_owned()), ..table("relations", Some("sk")) },
        table("firms", None),
        TableSpec { ttl_attribute: Some("expires_at".to_owned()), ..table("applicants", None) },
        TableSpec { ttl_attribute: Some("expires_at".to_owned()), ..table("sign-ins", Some("sk")) },
        TableSpec {
            indexes: vec![due(Projection::All)],
            ttl_attribute: Some("expires_at".to_owned()),
            ..table("notices", None)
        },
        table("endpoints", None),
        TableSpec { ttl_attribute: Some("expires_at".to_owned()), ..table("quotas", None) },
    ]
}

/// One test per check of a port.
macro_rules! conforms {
    ($port:ident on $adapter:ident in $table:literal: $($check:ident)*) => {
        mod $port {
            use super::*;
            $(
                #[tokio::test]
                async fn $check() {
                    let (engines, aws) = engines().await;
                    ports::conformance::$port::$check(&$adapter::new(aws.dynamodb, $table)).await;
                    engines.stop().await;
                }
            )*
        }
    };
}

conforms! { journal on DynamoJournal in "journeys":
    a_journal_that_nobody_wrote_is_empty
    an_entry_reads_back_bit_for_bit
    a_number_is_written_once_and_the_first_entry_stays
    the_same_entry_written_again_is_taken
    of_two_racing_appends_exactly_one_wins
    entries_load_in_order_beyond_the_ninth
    a_journal_of_several_megabytes_loads_whole
    applications_do_not_see_each_other
    a_number_that_would_break_the_order_is_refused
    a_journal_with_a_gap_is_not_loaded
}

/// One test per check of the applicants, whose values are sealed under keys of the embedded KMS.
macro_rules! applicants_conform {
    ($($check:ident)*) => {
        mod applicants {
            use super::*;
            $(
                #[tokio::test]
                async fn $check() {
                    let (engines, aws) = engines().await;
                    ports::conformance::applicants::$check(&applicants_of(&aws)).await;
                    engines.stop().await;
                }
            )*
        }
    };
}

applicants_conform! {
    nobody_has_claimed_an_application_at_first
    the_first_claim_wins_and_the_second_is_told_of_it
    the_same_request_again_is_told_of_itself
    of_racing_claims_exactly_one_is_new
    what_is_erased_is_gone_and_the_same_request_does_not_bring_it_back
    a_payee_is_read_and_kept_however_often_and_never_when_erased
}

conforms! { due on DynamoJournal in "journeys":
    nothing_is_due_at_first
    what_is_due_comes_earliest_first_whatever_its_shard
    the_limit_keeps_the_earliest
    the_range_holds_both_ends_and_nothing_outside
    no_entry_is_due_a_moment_early
    a_sweep_that_starts_where_the_last_one_ended_misses_nothing
    an_entry_without_a_due_time_is_never_due
    a_rearmed_entry_is_due_at_its_new_time_only
    rearming_arms_an_entry_that_was_not_and_changes_nothing_else
    an_entry_that_is_not_there_cannot_be_rearmed
    the_cursor_is_nowhere_at_first_and_then_where_it_was_set
}

conforms! { sign_ins on DynamoSignIns in "sign-ins":
    a_code_signs_in_once
    another_code_of_the_same_borrower_signs_in_too
    of_racing_sign_ins_with_one_code_exactly_one_is_recorded
    what_is_erased_was_the_borrowers_and_its_codes_stay_used
}

conforms! { endpoints on DynamoEndpoints in "endpoints":
    nothing_is_held_against_an_endpoint_at_first
    an_endpoint_is_held_back_and_never_for_less_than_was_promised
    of_racing_promises_the_latest_stands
    a_disabled_endpoint_stays_so_from_the_first_time_on_until_it_is_enabled
    endpoints_do_not_see_each_other
}

conforms! { quotas on DynamoQuotas in "quotas":
    a_quota_holds_as_many_attempts_as_it_says_and_the_same_again
    each_quota_and_each_day_counts_by_itself
    racing_attempts_never_pass_a_quota
}

conforms! { notices on DynamoNotices in "notices":
    a_notice_reads_back_as_it_was_recorded
    a_notice_is_recorded_once_and_the_first_row_stays
    pending_notices_are_due_earliest_first_and_never_early
    what_is_delivered_or_dead_is_not_due
    of_racing_claims_exactly_one_holds_the_notice
    whoever_lost_the_claim_changes_nothing_but_may_say_that_it_was_delivered
    an_attempt_that_failed_is_due_later_and_at_last_dead
    a_notice_is_sent_again_whatever_became_of_it
}

conforms! { firms on DynamoFirms in "firms":
    a_firm_that_the_archive_has_never_heard_of_is_none
    a_firm_reads_back_as_it_was_loaded
    a_later_record_replaces_the_earlier_one_whole
    of_two_records_of_one_firm_the_later_is_kept
    many_firms_are_loaded_at_once
    a_model_may_have_sources_of_its_own
    a_row_from_what_cannot_be_a_source_is_refused
}

conforms! { relations on DynamoRelations in "relations":
    nobody_is_at_a_node_at_first
    a_link_stands_whole_under_each_of_its_nodes
    a_link_that_is_known_is_not_read_out_again
    linking_again_changes_nothing
    a_link_that_is_taken_back_from_a_node_stands_under_the_others
    the_same_hash_of_another_kind_is_another_node
    more_than_the_limit_is_cut_off_and_says_so
    a_node_with_more_than_a_megabyte_of_links_is_read_whole
    fault_29_of_two_members_that_apply_in_the_same_instant_at_least_one_sees_the_other
    an_outcome_stands_under_each_of_its_nodes_beside_the_links
    a_later_outcome_replaces_an_earlier_one_and_never_the_other_way_round
    outcomes_hide_no_link_however_many_there_are
    a_window_is_read_to_the_second_the_newest_first_and_nothing_else
    fault_30_a_flood_hides_what_is_older_and_nothing_newer
    outcomes_of_any_age_stand_beside_every_window
}

conforms! { ties on DynamoRelations in "relations":
    a_firm_has_no_ties_at_first
    a_tie_stands_under_its_firm_and_its_party
    a_tie_that_is_delivered_again_keeps_its_first_day_and_counts_each_day_once
    more_ties_than_the_limit_are_cut_off_and_say_so
}

conforms! { acts on DynamoRelations in "relations":
    nothing_was_done_at_a_node_at_first
    an_act_stands_under_its_node_once_for_each_hour
    acts_are_read_from_the_hour_in_which_a_window_begins
    an_act_that_is_forgotten_was_of_that_one_in_that_hour
}

conforms! { rings on DynamoRings in "relations":
    a_book_is_empty_at_first
    a_ring_keeps_its_history_and_is_listed_as_it_was_seen_last
    rings_that_turn_out_to_be_one_keep_the_smallest_name_in_whatever_order_it_shows
    a_settlement_undoes_earlier_merges_and_no_later_one_whatever_is_written_first
}

conforms! { ledger on DynamoLedger in "payouts":
    a_ledger_is_empty_at_first
    a_reserved_payout_reads_back_and_is_set_aside
    reserving_twice_is_one_reservation
    racing_reservations_of_one_payout_are_one_reservation
    fault_14_the_same_key_with_other_terms_is_refused_and_changes_nothing
    a_reached_limit_leaves_nothing_behind
    an_amount_above_the_whole_limit_leaves_nothing_behind
    a_firm_has_one_loan_at_a_time
    of_racing_loans_to_one_firm_exactly_one_is_reserved
    a_firm_whose_payout_failed_may_have_another
    a_closed_payout_can_never_be_reserved_and_moves_nothing
    what_is_reserved_cannot_be_closed
    what_is_reserved_stays_reserved_when_the_limit_is_full_or_lowered
    fault_18_concurrent_reservations_never_exceed_the_limit
    each_product_has_accounts_of_its_own
    the_largest_amount_is_kept_to_the_fen
    posting_moves_the_money_to_paid_and_twice_is_once
    voiding_gives_the_amount_back_and_twice_is_once
    racing_resolutions_move_the_money_once
    fault_16_a_post_and_a_void_that_race_agree_on_one_outcome
    a_resolution_under_a_number_that_is_taken_changes_nothing
    the_banks_own_answer_corrects_the_ledger_with_a_transfer_of_its_own
    a_correction_never_takes_a_firm_away_from_another_loan
    a_loan_that_was_paid_late_has_its_firm_again_until_it_is_reversed
    loans_that_were_paid_late_keep_the_firm_after_the_one_that_has_it_is_void
    a_loan_that_is_paid_late_while_the_one_that_has_the_firm_is_void_has_the_firm_in_the_end
    a_loan_that_was_paid_late_and_reversed_waits_for_no_firm
    what_is_voided_is_never_reserved_again
    a_payout_that_another_worker_took_over_is_not_void_on_our_own_word
    nobody_takes_over_a_payout_that_is_resolved
    a_contradicting_word_is_kept_once_and_not_without_end
    the_resolutions_of_a_day_in_china_are_found_by_bank
    a_payout_that_was_never_reserved_is_not_there
}

/// One test per check of the loans, which need the ledger beside them.
macro_rules! loans_conform {
    ($($check:ident)*) => {
        mod loans {
            use super::*;
            $(
                #[tokio::test]
                async fn $check() {
                    let (engines, aws) = engines().await;
                    let ledger = DynamoLedger::new(aws.dynamodb.clone(), "payouts");
                    let loans = DynamoLoans::new(aws.dynamodb, "payouts");
                    ports::conformance::loans::$check(&ledger, &loans).await;
                    engines.stop().await;
                }
            )*
        }
    };
}

loans_conform! {
    a_loan_is_not_there_before_its_first_report
    every_kind_of_report_reads_back_and_so_does_the_loan
    repaid_principal_goes_back_to_the_limit_and_interest_does_not
    a_report_under_a_key_that_is_taken_changes_nothing
    a_report_on_a_loan_that_has_moved_on_is_overtaken
    racing_copies_of_one_repayment_are_recorded_once
    racing_repayments_all_count_and_never_exceed_the_principal
    a_firm_has_an_outstanding_loan_from_its_reservation_to_its_settlement
    a_settlement_never_takes_a_firm_away_from_another_loan
    a_payout_whose_loan_was_reported_on_cannot_be_reversed
    a_reversed_payout_takes_no_report
    of_a_first_report_and_a_reversal_that_race_exactly_one_happens
}
