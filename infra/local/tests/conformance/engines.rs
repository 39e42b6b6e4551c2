//! The embedded engines themselves: what they count, what they keep, how they stop.

use crate::{engines, id, link_at, table, tables, text};
use aws::{Aws, DynamoJournal, DynamoLedger, DynamoLoans, DynamoRelations};
use domain::{
    BasisPoints, Fen,
    journey::Event,
    ledger::{Evidence, Movement, Outcome, Payout, Resolution},
    loan::Report,
};
use jiff::Timestamp;
use local::engines::{CallCount, EngineError, EngineOptions, Engines, KeySpec, RUNNER, Retries, TableSpec};
use ports::{
    journal::{AppendError, DueJourneys, Entry, Journal},
    ledger::{Ledger, Reservation},
    loans::{KeptLoan, LoanReports, Loans, ReportRecorded},
    relation::{KnownLinks, LoanOutcome, LoanOutcomes, Node, NodeKind, RelationGraph, Window},
};

fn entry(number: u32) -> Entry {
    let (at, by) = (Timestamp::UNIX_EPOCH, "intake/0.1.0".to_owned());
    Entry { number, at, by, events: vec![Event::Expired], commands: Vec::new() }
}

fn written(calls: u64, write_units: f64) -> CallCount {
    CallCount { calls, write_units, ..CallCount::default() }
}

fn payout() -> Payout {
    Payout {
        id: id().payout_id(),
        bank: "river-bank".to_owned(),
        product: "steady".to_owned(),
        firm_code: "91350100M000100Y43".parse().expect("a firm code"),
        amount_fen: Fen(300),
        annual_rate_bp: BasisPoints(1_460),
        term_months: 12,
        closed: None,
        resolutions: Vec::new(),
        disputes: Vec::new(),
        reserved_at: Timestamp::UNIX_EPOCH,
    }
}

const ALWAYS: Window = Window { from: Timestamp::UNIX_EPOCH, to: None };

#[tokio::test]
async fn a_call_is_counted_for_whoever_made_it() {
    let (engines, aws) = engines().await;
    let scores = Aws::from_sdk_config(&engines.sdk_config_for("score", Retries::None));
    engines.reset_calls();
    DynamoJournal::new(aws.dynamodb, "journeys").append(id(), &entry(1), None).await.expect("appended");
    DynamoJournal::new(scores.dynamodb, "journeys").append(id(), &entry(2), None).await.expect("appended");
    let by_caller = engines.calls_by_caller();
    assert_eq!(by_caller.keys().collect::<Vec<_>>(), [RUNNER, "score"]);
    assert_eq!(by_caller["score"]["dynamodb:PutItem"], written(1, 1.0));
    assert_eq!(engines.calls()["dynamodb:PutItem"], written(2, 2.0));
}

#[tokio::test]
async fn an_entry_costs_one_write_unit_and_one_more_in_the_index_when_due() {
    let (engines, aws) = engines().await;
    let journal = DynamoJournal::new(aws.dynamodb, "journeys");
    engines.reset_calls();
    journal.append(id(), &entry(1), None).await.expect("appended");
    assert_eq!(engines.calls()["dynamodb:PutItem"], written(1, 1.0));
    engines.reset_calls();
    journal.append(id(), &entry(2), Some(Timestamp::UNIX_EPOCH)).await.expect("appended");
    assert_eq!(engines.calls()["dynamodb:PutItem"], written(1, 2.0));
    engines.reset_calls();
    journal.load(id()).await.expect("loaded");
    let read = CallCount { calls: 1, read_units: 1.0, ..CallCount::default() };
    assert_eq!(engines.calls().into_iter().collect::<Vec<_>>(), [("dynamodb:Query".to_owned(), read)]);
}

#[tokio::test]
async fn a_failed_condition_is_counted_as_the_write_that_is_billed() {
    let (engines, aws) = engines().await;
    let journal = DynamoJournal::new(aws.dynamodb, "journeys");
    journal.append(id(), &entry(1), None).await.expect("appended");
    engines.reset_calls();
    assert!(matches!(journal.append(id(), &entry(1), None).await, Err(AppendError::Taken)));
    assert_eq!(engines.calls()["dynamodb:PutItem"], CallCount { refused: 1, ..written(1, 1.0) });
}

#[tokio::test]
async fn a_payout_costs_six_write_units_to_reserve_and_two_to_post() {
    let (engines, aws) = engines().await;
    let ledger = DynamoLedger::new(aws.dynamodb, "payouts");
    let payout = payout();
    engines.reset_calls();
    assert_eq!(ledger.reserve(&payout, Fen(1_000)).await.expect("reserved"), Reservation::New);
    let outcome = Outcome::Posted { bank_reference: "R1".to_owned() };
    let posted = Resolution { outcome, evidence: Evidence::Answer, at: Timestamp::UNIX_EPOCH };
    ledger.resolve(&payout, &posted, Movement::Post).await.expect("posted");
    let calls: Vec<_> = engines.calls().into_iter().collect();
    // Two per row in a transaction: transfer, balance and claim. Then the transfer alone, and one for the day's index.
    let expected = [("dynamodb:PutItem", written(1, 2.0)), ("dynamodb:TransactWriteItems", written(1, 6.0))];
    assert_eq!(calls, expected.map(|(name, count)| (name.to_owned(), count)));
}

#[tokio::test]
async fn a_report_on_a_loan_costs_two_write_units_for_each_row_that_it_writes_or_checks() {
    let (engines, aws) = engines().await;
    let ledger = DynamoLedger::new(aws.dynamodb.clone(), "payouts");
    let loans = DynamoLoans::new(aws.dynamodb, "payouts");
    let reserved = payout();
    assert_eq!(ledger.reserve(&reserved, Fen(1_000)).await.expect("reserved"), Reservation::New);
    let outcome = Outcome::Posted { bank_reference: "R1".to_owned() };
    let posted = Resolution { outcome, evidence: Evidence::Answer, at: Timestamp::UNIX_EPOCH };
    ledger.resolve(&reserved, &posted, Movement::Post).await.expect("posted");
    let payout = Payout { resolutions: vec![posted], ..reserved };
    let label = |text: &str| text.to_owned().try_into().expect("a reference");
    let at = Timestamp::UNIX_EPOCH;
    let repaid = |reference: &str, fen: u64| Report::Repaid {
        bank_reference: label(reference),
        principal_fen: Fen(fen),
        interest_fen: Fen(5),
        at,
    };
    let overdue = Report::Overdue { message_id: "m1".to_owned(), days: 3, overdue_fen: Fen(9), at };
    // Report and loan; with the first one the check that the payout stands; the balance; the firm's claim.
    let costs = [
        (repaid("P1", 100), 8.0),
        (repaid("P2", 200), 6.0),
        (repaid("P3", 0), 4.0),
        (overdue, 4.0),
        (Report::Settled { bank_reference: label("S1"), at }, 6.0),
    ];
    for (report, units) in costs {
        let known = loans.get(payout.id).await.expect("read");
        let before = known.unwrap_or_else(|| KeptLoan::unreported(&payout));
        let after = before.loan.after(&report).expect("it fits");
        engines.reset_calls();
        let recorded = loans.record(&payout, &report, &before, &after).await.expect("recorded");
        assert_eq!(recorded, ReportRecorded::Done);
        let calls: Vec<_> = engines.calls().into_iter().collect();
        assert_eq!(calls, [("dynamodb:TransactWriteItems".to_owned(), written(1, units))], "{report:?}");
    }
}

#[tokio::test]
async fn asking_for_a_firms_loan_costs_half_a_read_unit_and_reading_a_loan_one() {
    let (engines, aws) = engines().await;
    let loans = DynamoLoans::new(aws.dynamodb, "payouts");
    engines.reset_calls();
    loans.outstanding(&payout().firm_code).await.expect("read");
    let read = CallCount { calls: 1, read_units: 0.5, ..CallCount::default() };
    assert_eq!(engines.calls()["dynamodb:GetItem"], read);
    engines.reset_calls();
    loans.get(payout().id).await.expect("read");
    let read = CallCount { calls: 1, read_units: 1.0, ..CallCount::default() };
    assert_eq!(engines.calls()["dynamodb:GetItem"], read);
}

#[tokio::test]
async fn an_outcome_costs_one_write_unit_per_node_and_none_to_read_beside_the_links() {
    let (engines, aws) = engines().await;
    let graph = DynamoRelations::new(aws.dynamodb, "relations");
    let nodes: Vec<Node> = (0..7).map(|n| Node { kind: NodeKind::Phone, hash: n.to_string() }).collect();
    let link = link_at(&nodes);
    graph.link(&link).await.expect("linked");
    let payout = id().payout_id();
    let outcome = LoanOutcome { payout, overdue_days: 31, at: Timestamp::UNIX_EPOCH, version: 1 };
    engines.reset_calls();
    graph.mark(&nodes, &outcome).await.expect("marked");
    assert_eq!(engines.calls()["dynamodb:PutItem"], written(7, 7.0));
    engines.reset_calls();
    assert_eq!(
        graph.neighbours(&nodes[0], ALWAYS, 50, &KnownLinks::default()).await.expect("read").outcomes,
        [outcome]
    );
    let read = CallCount { calls: 1, read_units: 1.0, ..CallCount::default() };
    assert_eq!(engines.calls().into_iter().collect::<Vec<_>>(), [("dynamodb:Query".to_owned(), read)]);
}

#[tokio::test]
async fn a_link_costs_one_call_and_one_write_unit_per_node() {
    let (engines, aws) = engines().await;
    let graph = DynamoRelations::new(aws.dynamodb, "relations");
    let nodes: Vec<Node> = (0..7).map(|n| Node { kind: NodeKind::Address, hash: n.to_string() }).collect();
    engines.reset_calls();
    graph.link(&link_at(&nodes)).await.expect("linked");
    assert_eq!(engines.calls()["dynamodb:BatchWriteItem"], written(1, 7.0));
}

#[tokio::test]
async fn what_was_answered_survives_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = EngineOptions { data_dir: Some(folder.path().join("data")), ..EngineOptions::default() };
    for run in 1..=3 {
        let engines = Engines::start(options.clone()).expect("engines start");
        for table in tables() {
            engines.create_table(&table).await.expect("the table is there or made");
        }
        let journal = DynamoJournal::new(Aws::from_sdk_config(&engines.sdk_config()).dynamodb, "journeys");
        journal.append(id(), &entry(run), Some(Timestamp::UNIX_EPOCH)).await.expect("appended");
        assert_eq!(journal.load(id()).await.expect("loaded").len(), run as usize);
        let due = journal.due(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH, 10).await.expect("read");
        assert_eq!(due.len(), run as usize);
        // Dropping the engines loses no more than stopping them does.
        if run == 1 {
            engines.stop().await;
        }
    }
}

#[tokio::test]
async fn a_table_that_is_there_in_another_shape_is_refused() {
    let (engines, _) = engines().await;
    let other_key =
        TableSpec { key: KeySpec { partition: text("id"), sort: None }, ..table("payouts", None) };
    let no_index = table("journeys", Some("sk"));
    for spec in [other_key, no_index] {
        let refused = engines.create_table(&spec).await;
        assert!(matches!(refused, Err(EngineError::OtherShape { table }) if table == spec.name));
    }
}

#[tokio::test]
async fn after_the_stop_every_call_fails_as_if_the_network_were_down() {
    let (engines, aws) = engines().await;
    engines.stop().await;
    let journal = DynamoJournal::new(aws.dynamodb, "journeys");
    assert!(journal.load(id()).await.expect_err("nobody answers").is_retryable());
}
