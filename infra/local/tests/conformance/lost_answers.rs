//! What the adapters make of answers that are lost, with the SDK's own repetition and without it, and of refusals.

use crate::{applicants_in, applicants_of, engines, id, link_at};
use aws::{Aws, DynamoJournal, DynamoLedger, DynamoRelations, DynamoSignIns};
use domain::{
    BasisPoints, Channel, Fen, Reason,
    journey::Event,
    ledger::{Evidence, Movement, Outcome, Payout, Resolution},
    person::{BankCard, Person, PersonName, Phone, ResidentId},
};
use jiff::Timestamp;
use local::engines::{Engines, Fault, RUNNER, Retries};
use ports::{
    PortError,
    applicants::{Applicant, ApplicantRecords, Claim, Claimed},
    journal::{AppendError, Entry, Journal},
    ledger::{Ledger, Reservation, Resolved},
    relation::{KnownLinks, Node, NodeKind, RelationGraph, Window},
    sign_ins::{Recorded, SignIn, SignIns},
};
use std::error::Error;

fn entry() -> Entry {
    let (at, by) = (Timestamp::UNIX_EPOCH, "intake/0.1.0".to_owned());
    Entry { number: 1, at, by, events: vec![Event::Expired], commands: Vec::new() }
}

fn applicant() -> Applicant {
    let person = Person {
        name: PersonName::parse("王伟").expect("a name"),
        resident_id: ResidentId::parse("11010519491231002X").expect("a resident id"),
        phone: Phone::parse("13800138000").expect("a phone"),
        bank_card: BankCard::parse("4111111111111111").expect("a card"),
    };
    let claim = Claimed { request_digest: "digest".to_owned(), claimed_at: Timestamp::UNIX_EPOCH };
    Applicant { person, claim }
}

fn sign_in() -> SignIn {
    SignIn {
        borrower: "borrower".to_owned(),
        code: "code".to_owned(),
        channel: Channel::OnlineBank,
        device: "d".to_owned(),
        network: "n".to_owned(),
        place: None,
        at: Timestamp::UNIX_EPOCH,
    }
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

async fn without_retries() -> (Engines, Aws) {
    let (engines, _) = engines().await;
    let aws = Aws::from_sdk_config(&engines.sdk_config_for(RUNNER, Retries::None));
    (engines, aws)
}

const ALWAYS: Window = Window { from: Timestamp::UNIX_EPOCH, to: None };

#[tokio::test]
async fn a_claim_that_the_sdk_repeated_is_still_new() {
    let (engines, aws) = engines().await;
    let applicants = applicants_of(&aws);
    engines.faults().fail("dynamodb:PutItem", 1, Fault::After);
    assert_eq!(applicants.claim(id(), &applicant()).await.expect("claimed"), Claim::New);
    assert_eq!(engines.faults().waiting(), 0);
    let again = applicants.claim(id(), &applicant()).await.expect("claimed");
    assert_eq!(again, Claim::Taken(applicant().claim));
}

#[tokio::test]
async fn a_sign_in_that_the_sdk_repeated_is_recorded_and_not_used_up() {
    let (engines, aws) = engines().await;
    let sign_ins = DynamoSignIns::new(aws.dynamodb, "sign-ins");
    engines.faults().fail("dynamodb:PutItem", 1, Fault::After);
    assert_eq!(sign_ins.record(&sign_in()).await.expect("recorded"), Recorded::Yes);
    assert_eq!(engines.faults().waiting(), 0);
    assert_eq!(sign_ins.record(&sign_in()).await.expect("recorded"), Recorded::CodeUsed);
}

#[tokio::test]
async fn an_append_that_the_sdk_repeated_is_taken_by_itself() {
    let (engines, aws) = engines().await;
    let journal = DynamoJournal::new(aws.dynamodb, "journeys");
    engines.faults().fail("dynamodb:PutItem", 1, Fault::After);
    assert!(matches!(journal.append(id(), &entry(), None).await, Err(AppendError::Taken)));
    assert_eq!(journal.load(id()).await.expect("loaded"), [entry()]);
}

#[tokio::test]
async fn a_reservation_that_the_sdk_repeated_is_made_once() {
    let (engines, aws) = engines().await;
    let ledger = DynamoLedger::new(aws.dynamodb, "payouts");
    engines.faults().fail("dynamodb:TransactWriteItems", 1, Fault::After);
    let reservation = ledger.reserve(&payout(), Fen(1_000)).await.expect("reserved");
    assert!(matches!(reservation, Reservation::New | Reservation::Exists(_)), "{reservation:?}");
    let drawn = ledger.drawn("river-bank", "steady").await.expect("counted");
    assert_eq!(drawn, 300);
}

#[tokio::test]
async fn a_post_that_the_sdk_repeated_stands_once() {
    let (engines, aws) = engines().await;
    let ledger = DynamoLedger::new(aws.dynamodb, "payouts");
    assert_eq!(ledger.reserve(&payout(), Fen(1_000)).await.expect("reserved"), Reservation::New);
    let outcome = Outcome::Posted { bank_reference: "R1".to_owned() };
    let posted = Resolution { outcome, evidence: Evidence::Answer, at: Timestamp::UNIX_EPOCH };
    engines.faults().fail("dynamodb:PutItem", 1, Fault::After);
    let resolved = ledger.resolve(&payout(), &posted, Movement::Post).await.expect("resolved");
    assert_eq!((resolved, engines.faults().waiting()), (Resolved::Taken, 0), "by itself");
    let found = ledger.get(payout().id).await.expect("read").expect("it is there");
    assert_eq!(found.resolutions, [posted]);
}

#[tokio::test]
async fn an_append_whose_request_is_lost_leaves_nothing_and_one_whose_answer_is_lost_leaves_the_entry() {
    let (engines, aws) = without_retries().await;
    let journal = DynamoJournal::new(aws.dynamodb, "journeys");
    for (fault, left) in [(Fault::Before, 0), (Fault::After, 1)] {
        engines.faults().fail_nth_call(1, fault);
        let failed = journal.append(id(), &entry(), None).await;
        assert!(matches!(failed, Err(AppendError::Port(error)) if error.is_retryable()));
        assert_eq!(journal.load(id()).await.expect("loaded").len(), left);
    }
}

#[tokio::test]
async fn every_step_of_a_payout_may_lose_its_answer_and_be_taken_again() {
    for fault in [Fault::Before, Fault::After] {
        for nth in 1..=2 {
            for ends_paid in [true, false] {
                resolve_with_faults(fault, nth, ends_paid).await;
            }
        }
    }
}

/// Reserves and resolves a payout; the nth call of each step fails and the step is then taken again.
async fn resolve_with_faults(fault: Fault, nth: u32, ends_paid: bool) {
    let (engines, aws) = without_retries().await;
    let ledger = DynamoLedger::new(aws.dynamodb, "payouts");
    let payout = payout();
    engines.faults().fail_nth_call(nth, fault);
    if let Err(error) = ledger.reserve(&payout, Fen(300)).await {
        assert!(error.is_retryable());
    }
    engines.faults().clear();
    let again = ledger.reserve(&payout, Fen(300)).await.expect("reserved");
    assert!(matches!(again, Reservation::New | Reservation::Exists(_)), "{again:?}");
    engines.faults().fail_nth_call(nth, fault);
    let (outcome, movement, left) = match ends_paid {
        true => (Outcome::Posted { bank_reference: "R1".to_owned() }, Movement::Post, 300),
        false => (Outcome::Voided { reason: Reason::BankRefused }, Movement::Void, 0),
    };
    let resolution = Resolution { outcome, evidence: Evidence::Answer, at: Timestamp::UNIX_EPOCH };
    if let Err(error) = ledger.resolve(&payout, &resolution, movement).await {
        assert!(error.is_retryable() && engines.faults().waiting() == 0);
    }
    engines.faults().clear();
    let again = ledger.resolve(&payout, &resolution, movement).await.expect("resolved");
    assert!(matches!(again, Resolved::Done | Resolved::Taken));
    let found = ledger.get(payout.id).await.expect("read").expect("it is there");
    assert_eq!(found.resolutions, [resolution]);
    let drawn = ledger.drawn("river-bank", "steady").await.expect("counted");
    assert_eq!(drawn, left);
}

#[tokio::test]
async fn a_link_that_was_interrupted_is_completed_by_linking_again() {
    let (engines, aws) = without_retries().await;
    let graph = DynamoRelations::new(aws.dynamodb, "relations");
    let nodes: Vec<Node> = (0..40).map(|n| Node { kind: NodeKind::Address, hash: n.to_string() }).collect();
    let link = link_at(&nodes);
    engines.faults().fail("dynamodb:BatchWriteItem", 2, Fault::Before);
    assert!(graph.link(&link).await.expect_err("the second batch is lost").is_retryable());
    graph.link(&link).await.expect("linked");
    for node in &nodes {
        assert_eq!(
            graph.neighbours(node, ALWAYS, 10, &KnownLinks::default()).await.expect("read").links.len(),
            1
        );
    }
}

#[tokio::test]
async fn a_refusal_is_broken_and_tells_nothing_of_what_was_written() {
    let (_engines, aws) = engines().await;
    let nowhere = applicants_in(&aws, "nowhere");
    let missing_table = nowhere.claim(id(), &applicant()).await.expect_err("there is no such table");
    let claim = Claimed { request_digest: "x".repeat(410_000), ..applicant().claim };
    let huge = Applicant { claim, ..applicant() };
    let too_large = applicants_of(&aws).claim(id(), &huge).await.expect_err("an item has at most 400 KB");
    for (error, code) in [(missing_table, "ResourceNotFoundException"), (too_large, "ValidationException")] {
        assert!(!error.is_retryable());
        let told = told(&error);
        assert!(told.contains(code), "{told}");
        for secret in ["王伟", "11010519491231002X", "13800138000", "4111111111111111", "xxxx"] {
            assert!(!told.contains(secret), "{told}");
        }
    }
}

/// All that an error and its sources say, in both of their ways.
fn told(error: &PortError) -> String {
    let mut told = format!("{error:?}");
    let mut source: Option<&dyn Error> = Some(error);
    while let Some(error) = source {
        told.push_str(&format!(": {error}"));
        source = error.source();
    }
    told
}
