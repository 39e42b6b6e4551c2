//! Real loans through the whole product: the strategy for them, and a sample from the request to its end.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use aws::DynamoFirms;
use domain::{Reason, decision::Decision, journey::Status};
use forest::Ensemble;
use local::replay::{
    self, ReplayArgs, applicants,
    file::{self, Wanted},
    loan::Known,
    offering::{Book, Offered},
    sending::{self, Ended},
};
use ports::firms::FirmArchive as _;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
};
use strategy::{FirmFacts, GraphFacts, Input, ProductFacts, Requested, RingFacts, ScoreFacts, Strategy};
use tests::{TestApp, TestOptions};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn offered() -> Offered {
    Offered::read(Book::Sba, &root().join("models/registry")).unwrap()
}

/// The first lines of the sample that comes with the source.
fn loans(limit: usize) -> Vec<Known> {
    let path = root().join("infra/local/tests/sba/loans.csv");
    let found = file::read(&path, &Wanted { years: 2005..=2007, limit }).unwrap();
    found.loans.into_iter().map(|loan| loan.known).collect()
}

/// The features that Python works out for each loan of the sample; NaN where one is missing.
fn features_by_python() -> BTreeMap<u64, Vec<f32>> {
    let text = std::fs::read_to_string(root().join("infra/local/tests/sba/parity.json")).unwrap();
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    let features = |row: &Value| {
        let row = row["features"].as_array().unwrap();
        row.iter().map(|x| x.as_f64().map_or(f32::NAN, |x| x as f32)).collect()
    };
    rows.iter().map(|row| (row["loan"].as_str().unwrap().parse().unwrap(), features(row))).collect()
}

async fn apply_and_settle(app: &TestApp, offered: &Offered, loans: &[Known]) -> Vec<Ended> {
    sending::store(&app.lending, loans).await.unwrap();
    let mut sent = Vec::new();
    for (serial, known) in loans.iter().enumerate() {
        let borrower = app.sign_in(applicants::applicant(known, serial as u32).unwrap()).await;
        let id = borrower.apply(&sending::wish(known, offered), &format!("key-{serial}")).await.unwrap();
        sent.push(Ok(id.parse().unwrap()));
    }
    app.settle().await;
    sending::read(&app.lending, sent).await.into_iter().map(Result::unwrap).collect()
}

/// A plain SBA loan of 50,000 dollars with this score; the archive tells nothing but the loan's own sources.
fn input(points: i32) -> Input {
    Input {
        product: ProductFacts {
            id: "sba-7a".to_owned(),
            min_amount_fen: 10_000,
            max_amount_fen: 500_000_000,
            terms_months: vec![84],
            min_rate_bp: 600,
            max_rate_bp: 1_400,
        },
        requested: Requested { amount_fen: 5_000_000, term_months: 84 },
        score: ScoreFacts {
            points,
            default_probability: 0.05,
            dimensions_present: ["firm", "loan", "industry", "place", "lender"].map(str::to_owned).to_vec(),
            missing_dimensions: Vec::new(),
        },
        firm: FirmFacts { age_days: None, supported_amount_fen: None },
        ring: RingFacts { size: 1, firms: 1, label: None },
        graph: GraphFacts {
            unproven_claims: 0,
            device_mismatches: 0,
            device_sign_ups: 0,
            device_applications: 1,
            card_applications: 1,
            phone_applications: 1,
            network_applications: 1,
            overdue_neighbours: 0,
            longest_overdue_days: 0,
            cut_off: false,
        },
    }
}

fn decide(input: &Input) -> Decision {
    let name = offered().product.strategy;
    let document = std::fs::read_to_string(root().join(format!("models/strategies/{name}.json"))).unwrap();
    Strategy::load(&name, &document).unwrap().decide(input, tests::beginning()).unwrap()
}

fn refusals(input: &Input) -> Vec<Reason> {
    match decide(input) {
        Decision::Declined { reasons } => reasons,
        approved => panic!("{approved:?}"),
    }
}

#[test]
fn the_strategy_lends_what_was_asked_for_by_band_and_needs_nothing_that_a_loan_does_not_have() {
    let mut rates = Vec::new();
    for band in offered().bands.iter().filter(|band| band.is_accepted) {
        let Decision::Approved { offer, reasons } = decide(&input(band.lowest.unwrap())) else {
            panic!("{band:?}")
        };
        assert_eq!((offer.amount_fen.0, offer.term_months, reasons), (5_000_000, 84, vec![]), "{band:?}");
        rates.push(offer.annual_rate_bp.0);
    }
    assert!(rates.is_sorted_by(|better, worse| better < worse), "{rates:?}");
    assert_eq!((rates[0], rates[rates.len() - 1]), (600, 1_400));
}

#[test]
fn the_strategy_declines_what_is_below_its_cut_off_and_every_ring_and_bad_neighbour() {
    let cut_off =
        offered().bands.iter().filter(|band| band.is_accepted).filter_map(|band| band.lowest).min().unwrap();
    assert_eq!(refusals(&input(cut_off - 1)), [Reason::ScoreLow]);
    let but = |change: fn(&mut Input)| {
        let mut input = input(700);
        change(&mut input);
        refusals(&input)
    };
    assert_eq!(but(|i| i.ring = RingFacts { size: 3, firms: 3, label: None }), [Reason::RingSuspected]);
    assert_eq!(but(|i| i.graph.device_applications = 50), [Reason::RingSuspected]);
    assert_eq!(but(|i| i.graph.longest_overdue_days = 30), [Reason::OverdueLinked]);
    assert_eq!(but(|i| i.score.dimensions_present.truncate(1)), [Reason::DataMissing]);
    assert_eq!(but(|i| i.firm.supported_amount_fen = Some(9_999)), [Reason::AmountUnsupported]);
}

#[tokio::test]
async fn real_loans_are_scored_as_training_would_and_each_is_paid_out_or_declined_by_its_score() {
    let offered = offered();
    let offering = Some(Arc::new(offered.offering.clone()));
    let app = TestApp::start_with(TestOptions { offering, ..TestOptions::default() }).await;
    local::models::put(&app.lending, &offered.model).await.unwrap();
    let loans = loans(30);
    let ended = apply_and_settle(&app, &offered, &loans).await;
    let ensemble = Ensemble::load(&offered.model).unwrap();
    let python = features_by_python();
    let mut approved = 0;
    for (known, ended) in loans.iter().zip(&ended) {
        let (score, number) = (ended.score.as_ref().unwrap(), known.number);
        let bits = |row: &[f32]| {
            row.iter().map(|x| if x.is_nan() { None } else { Some(x.to_bits()) }).collect::<Vec<_>>()
        };
        assert_eq!(bits(score.features.as_slice()), bits(&python[&number]), "features of loan {number}");
        let expected = ensemble.score(&python[&number]).unwrap();
        assert_eq!(
            (score.default_probability, score.points),
            (expected.pd, expected.points),
            "loan {number}"
        );
        let is_accepted = offered.bands[offered.band_of(score.points)].is_accepted;
        match ended.decision.as_ref().unwrap() {
            Decision::Approved { offer, reasons } => {
                approved += 1;
                assert!(is_accepted && reasons.is_empty() && ended.status == Status::PaidOut, "{ended:?}");
                assert_eq!(offer.amount_fen.0, known.amount_cents);
            }
            Decision::Declined { reasons } => {
                assert!(!is_accepted && ended.status == Status::Declined, "{ended:?}");
                assert_eq!(reasons, &[Reason::ScoreLow], "nothing else speaks against a loan");
            }
        }
    }
    assert!(approved > 0 && approved < loans.len(), "{approved} of {} approved", loans.len());
    assert_eq!(app.paid_by_banks().len(), approved);
    app.stop().await;
}

fn args(limit: u32, years: RangeInclusive<i16>) -> ReplayArgs {
    let csv = root().join("infra/local/tests/sba/loans.csv");
    ReplayArgs { csv, model: Book::Sba, limit, years, borrowers: 8, models: root().join("models/registry") }
}

#[tokio::test]
async fn the_command_tells_what_the_decisions_were_worth_and_what_was_kept_out() {
    let mut out = Vec::new();
    replay::run(&args(16, 2005..=2007), &mut out).await.unwrap();
    let told = String::from_utf8(out).unwrap();
    assert!(told.contains("60 lines; 60 loans of the fiscal years 2005 to 2007 with an outcome"), "{told}");
    assert!(told.contains("16 of them apply"), "{told}");
    let ends = told.lines().find_map(|line| line.strip_prefix("Ends: ")).unwrap();
    let counts = ends.split(|c: char| !c.is_ascii_digit()).filter_map(|count| count.parse::<u32>().ok());
    assert_eq!(counts.sum::<u32>(), 16, "{ends}");
    for part in
        ["approved", "declined", "AUC 0.", "KS 0.", "lift", "p50 / p99", "Kept out", "divide by twelve"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("RING_SUSPECTED") && !told.contains("without an end"), "{told}");
}

#[tokio::test]
async fn loans_that_the_model_was_trained_on_are_not_replayed() {
    let years = offered().trained_up_to..=2007;
    let error = replay::run(&args(1, years), &mut Vec::new()).await.unwrap_err().to_string();
    assert!(error.contains("--years must begin later"), "{error}");
}

#[tokio::test]
async fn the_archive_holds_what_was_known_on_the_day_of_approval_and_nothing_else() {
    let offered = offered();
    let offering = Some(Arc::new(offered.offering.clone()));
    let app = TestApp::start_with(TestOptions { offering, ..TestOptions::default() }).await;
    let loans = loans(60);
    sending::store(&app.lending, &loans).await.unwrap();
    let archive = DynamoFirms::new(app.lending.aws.dynamodb.clone(), "firms");
    for (serial, known) in loans.iter().enumerate() {
        let code = applicants::applicant(known, serial as u32).unwrap().firm_code.parse().unwrap();
        let firm = archive.get(&code).await.unwrap().unwrap();
        assert_eq!(firm.sources, known.sources);
        let sources: Vec<&str> = firm.sources.keys().map(String::as_str).collect();
        assert_eq!(sources, ["firm", "industry", "lender", "loan", "place"]);
    }
    app.stop().await;
}
