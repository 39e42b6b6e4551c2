//! `bank-check` against the simulated bank, which keeps every rule, and against banks that break one each.

#![allow(clippy::unwrap_used, reason = "a test panics on what must not happen")]

#[path = "bank_check/broken.rs"]
mod broken;
#[path = "bank_check/tls.rs"]
mod tls;

use broken::{Fault, SECRET};
use local::bank_check::{self, CheckKeys, CheckOptions, Report, Rule, Verdict};
use ports::SystemClock;
use signing::{Signer, Verifier, keys};
use sim::{
    Delay,
    bank::{self, BankConfig, BankHandle},
};
use std::{sync::Arc, time::Duration};

/// Long enough for a busy machine; only what never comes takes this long.
const PATIENCE: Duration = Duration::from_secs(3);

fn options(url: &str, keys: CheckKeys) -> CheckOptions {
    CheckOptions {
        allow_local: true,
        patience: PATIENCE,
        quiet: Duration::from_millis(200),
        ..CheckOptions::new(url.parse().unwrap(), keys)
    }
}

async fn check(options: CheckOptions) -> Report {
    bank_check::run(options, Arc::new(SystemClock)).await.unwrap()
}

async fn simulated(keys: sim::Keys) -> BankHandle {
    let mut config = BankConfig::new("river-bank", keys);
    config.delay = Delay::NONE;
    bank::start(config).await.unwrap()
}

fn seen(report: &Report, rule: Rule) -> &str {
    &report.findings.iter().find(|finding| finding.rule == rule).unwrap().seen
}

/// Everything but TLS, which `--allow-local` leaves out, and `Retry-After`, which a bank shows only when it throttles.
fn assert_all_met(report: &Report, not_tested: &[Rule]) {
    assert_eq!(report.rules(Verdict::NotMet), [], "\n{}", report.table());
    assert_eq!(report.rules(Verdict::NotTested), not_tested, "\n{}", report.table());
    assert!(report.certified);
}

#[tokio::test]
async fn the_simulated_bank_meets_every_rule() {
    let bank = simulated(sim::Keys::shared(SECRET).unwrap()).await;
    let report = check(options(bank.url(), CheckKeys::parse(SECRET).unwrap())).await;
    assert_all_met(&report, &[Rule::A5, Rule::A6]);
    bank.idle().await;
    bank.stop().await;
}

#[tokio::test]
async fn each_side_may_sign_with_a_key_pair_of_its_own() {
    for pair in [keys::webhook_key_pair, keys::sm2_key_pair] {
        let ((ours, our_public), (banks, bank_public)) = (pair().unwrap(), pair().unwrap());
        let keys = sim::Keys {
            own: Signer::parse([&*banks]).unwrap(),
            lender: Verifier::parse([&*our_public]).unwrap(),
            opens: None,
        };
        let bank = simulated(keys).await;
        let keys = CheckKeys::parse(&format!("{ours}\n{bank_public}\n")).unwrap();
        assert_all_met(&check(options(bank.url(), keys)).await, &[Rule::A5, Rule::A6]);
    }
}

#[tokio::test]
async fn a_bank_that_throttles_is_waited_for_and_must_say_how_long() {
    let bank = simulated(sim::Keys::shared(SECRET).unwrap()).await;
    let mut options = options(bank.url(), CheckKeys::parse(SECRET).unwrap());
    options.amount_fen = 18_100;
    let report = check(options).await;
    assert_all_met(&report, &[Rule::A5]);
    assert!(seen(&report, Rule::A6).ends_with("answers 429"));
}

#[tokio::test]
async fn a_bank_behind_tls_is_checked_with_its_own_root_and_not_without() {
    let bank = simulated(sim::Keys::shared(SECRET).unwrap()).await;
    let (url, root) = tls::in_front_of(bank.url()).await;
    let keys = CheckKeys::parse(SECRET).unwrap();
    let without = check(options(&url, keys.clone())).await;
    assert_eq!(without.rules(Verdict::NotMet), [Rule::P1, Rule::A3]);
    assert!(bank.book().is_empty());

    let with = check(CheckOptions { ca: Some(root.path().to_owned()), ..options(&url, keys) }).await;
    assert_all_met(&with, &[Rule::A5, Rule::A6]);
    assert!(seen(&with, Rule::A5).starts_with("an address that is not public"));
}

#[tokio::test]
async fn a_bank_with_another_key_takes_nothing_and_is_not_ready() {
    let bank = simulated(sim::Keys::shared(SECRET).unwrap()).await;
    let other = CheckKeys::parse(&keys::webhook_secret().unwrap()).unwrap();
    let report = check(options(bank.url(), other)).await;
    assert_eq!(report.rules(Verdict::NotMet), [Rule::P1]);
    assert!(!report.certified);
    assert!(bank.book().is_empty());
}

#[tokio::test]
async fn without_allow_local_nothing_is_sent_to_an_address_that_is_not_public() {
    let bank = simulated(sim::Keys::shared(SECRET).unwrap()).await;
    let options = options(bank.url(), CheckKeys::parse(SECRET).unwrap());
    let report = check(CheckOptions { allow_local: false, ..options }).await;
    assert_eq!(report.rules(Verdict::NotMet), [Rule::A5]);
    assert_eq!(report.rules(Verdict::Met), []);
    assert!(bank.book().is_empty());
}

#[tokio::test]
async fn a_bank_that_is_not_there_is_not_ready() {
    let report = check(options("http://127.0.0.1:1", CheckKeys::parse(SECRET).unwrap())).await;
    assert_eq!(report.rules(Verdict::NotMet), [Rule::P1, Rule::A3]);
    assert!(!report.certified);
}

async fn rules_broken_by(fault: Fault) -> Vec<Rule> {
    let url = broken::start(fault).await;
    let mut options = options(&url, CheckKeys::parse(SECRET).unwrap());
    options.answer_within = Duration::from_secs(2);
    let report = check(options).await;
    assert_eq!(report.certified, report.rules(Verdict::NotMet).is_empty(), "{fault:?}");
    report.rules(Verdict::NotMet)
}

#[tokio::test]
async fn the_bank_of_these_tests_meets_every_rule_when_it_has_no_fault() {
    assert_eq!(rules_broken_by(Fault::None).await, []);
}

#[tokio::test]
async fn each_breakage_is_reported_as_exactly_the_rule_that_it_breaks() {
    let checks = Fault::EACH
        .into_iter()
        .map(|(fault, rules)| tokio::spawn(async move { (fault, rules, rules_broken_by(fault).await) }));
    let mut wrong = Vec::new();
    for check in futures::future::join_all(checks).await {
        let (fault, rules, broken) = check.unwrap();
        if broken != rules {
            wrong.push((fault, broken));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn every_rule_that_a_bank_can_break_has_a_bank_that_breaks_it() {
    // Two rules have tests of their own: a bank that takes nothing, and an address that is not public.
    let mut broken = vec![Rule::P1, Rule::A5];
    broken.extend(Fault::EACH.iter().flat_map(|(_, rules)| rules.iter()));
    assert!(Rule::ALL.iter().all(|rule| broken.contains(rule)));
}

#[tokio::test]
async fn a_bank_that_verifies_nothing_is_told_every_rule_on_signatures_and_no_other() {
    let broken = rules_broken_by(Fault::VerifiesNothing).await;
    assert_eq!(broken, [Rule::S1, Rule::S2, Rule::S3, Rule::S4, Rule::S5, Rule::S6, Rule::S8]);
}

#[tokio::test]
async fn a_bank_that_pays_whenever_it_is_told_to_is_told_every_rule_on_repetition_and_no_other() {
    let broken = rules_broken_by(Fault::PaysAgainAlways).await;
    assert_eq!(broken, [Rule::I1, Rule::I2, Rule::I3, Rule::I4, Rule::T2]);
}

#[tokio::test]
async fn a_report_names_no_key_and_every_rule_with_its_line_of_the_page() {
    let bank = simulated(sim::Keys::shared(SECRET).unwrap()).await;
    let report = check(options(bank.url(), CheckKeys::parse(SECRET).unwrap())).await;
    let json = serde_json::to_value(&report).unwrap();
    let page = include_str!("../../bank-kit/BANKS.md");
    for finding in json["findings"].as_array().unwrap() {
        let (file, line) = finding["page"].as_str().unwrap().split_once(':').unwrap();
        let line = page.lines().nth(line.parse::<usize>().unwrap() - 1).unwrap();
        assert_eq!(file, "BANKS.md");
        assert_eq!(
            line,
            format!("| {} | {} |", finding["rule"].as_str().unwrap(), finding["demands"].as_str().unwrap())
        );
    }
    let secret = SECRET.trim_start_matches("whsec_");
    assert!(!json.to_string().contains(secret) && !report.table().contains(secret));
    assert!(report.summary().contains("Every required rule is met"));
}
