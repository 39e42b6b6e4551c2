//! The embedded engines themselves: what they count, what they keep, how they stop.

use crate::{engines, table, tables, text};
use aws::{Aws, DynamoJournal, DynamoLedger, DynamoRelations};
use domain::{
    ApplicationId, BasisPoints, Fen,
    journey::Event,
    ledger::{Evidence, Movement, Outcome, Payout, Resolution},
};
use jiff::Timestamp;
use local::engines::{CallCount, EngineError, EngineOptions, Engines, KeySpec, TableSpec};
use ports::{
    journal::{AppendError, DueJourneys, Entry, Journal},
    ledger::{Ledger, Reservation},
    relation::{Link, Node, NodeKind, RelationGraph},
};

fn id() -> ApplicationId {
    ApplicationId::from_bytes([7; 16])
}

fn entry(number: u32) -> Entry {
    let (at, by) = (Timestamp::UNIX_EPOCH, "intake/0.1.0".to_owned());
    Entry { number, at, by, events: vec![Event::Expired], commands: Vec::new() }
}

fn written(calls: u64, write_units: f64) -> CallCount {
    CallCount { calls, write_units, ..CallCount::default() }
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
async fn a_payout_costs_six_write_units_to_reserve_and_five_to_post() {
    let (engines, aws) = engines().await;
    let ledger = DynamoLedger::new(aws.dynamodb, "payouts");
    let payout = Payout {
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
    };
    engines.reset_calls();
    assert_eq!(ledger.reserve(&payout, Fen(1_000)).await.expect("reserved"), Reservation::New);
    let outcome = Outcome::Posted { bank_reference: "R1".to_owned() };
    let posted = Resolution { outcome, evidence: Evidence::Answer, at: Timestamp::UNIX_EPOCH };
    ledger.resolve(&payout, &posted, Movement::Post).await.expect("posted");
    let calls: Vec<_> = engines.calls().into_iter().collect();
    // Two per row in a transaction: transfer, balances and claim, then transfer and balances; one for the day's index.
    let expected = [("dynamodb:TransactWriteItems", written(2, 11.0))];
    assert_eq!(calls, expected.map(|(name, count)| (name.to_owned(), count)));
}

#[tokio::test]
async fn a_link_costs_one_call_and_one_write_unit_per_node() {
    let (engines, aws) = engines().await;
    let graph = DynamoRelations::new(aws.dynamodb, "relations");
    let nodes = (0..7).map(|n| Node { kind: NodeKind::Address, hash: n.to_string() }).collect();
    let firm = "91350100M000100Y43".parse().expect("a firm code");
    engines.reset_calls();
    graph.link(&Link { application: id(), firm, nodes, at: Timestamp::UNIX_EPOCH }).await.expect("linked");
    assert_eq!(engines.calls()["dynamodb:BatchWriteItem"], written(1, 7.0));
}

#[tokio::test]
async fn what_was_answered_survives_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = EngineOptions { data_dir: Some(folder.path().join("data")) };
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
