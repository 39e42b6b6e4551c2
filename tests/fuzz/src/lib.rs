//! What is done with bytes from outside: one function per parser, which panics when something does not hold. The fuzzer
//! calls them with bytes of its own, and the test `corpus` with those that it has found worth keeping.

mod forest_bytes;

pub use forest_bytes::{graph, trees};

use contract::{
    http::{ApplicationRequest, Problem},
    provider::CheckCallback,
};
use counterparties::callbacks;
use domain::product::Catalogue;
use jiff::{Timestamp, civil::date};
use lambda_kit::{Incoming, http::Request, json};
use reconciliation::{Format, Statement};
use serde_json::{Value, json};
use signing::{Signer, Verifier, VerifyKey};
use std::{collections::BTreeMap, sync::LazyLock};

static PRODUCTS: LazyLock<Catalogue> = LazyLock::new(|| wiring::products().expect("the products"));
const SECRET: &str = "whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::parse([SECRET]).expect("a key"));
static VERIFIER: LazyLock<Verifier> =
    LazyLock::new(|| Verifier::new(vec![VerifyKey::parse(SECRET).expect("a key")]).expect("a key"));

fn now() -> Timestamp {
    Timestamp::from_second(1_795_000_000).expect("a time")
}

/// An HTTP request with this body, as API Gateway hands it over.
fn request(body: &[u8], headers: &Value) -> Option<Request> {
    let event = json!({
        "version": "2.0", "routeKey": "POST /v1/applications", "rawPath": "/v1/applications", "headers": headers,
        "requestContext": { "http": { "method": "POST", "sourceIp": "192.0.2.1" } },
        "body": String::from_utf8_lossy(body), "isBase64Encoded": false,
    });
    match Incoming::parse(event) {
        Ok(Incoming::Http(request)) => Some(*request),
        _ => None,
    }
}

/// A problem is short, is a client's, and points into the body.
fn assert_clear(problem: &Problem) {
    assert!((400..500).contains(&problem.status), "{problem:?}");
    assert!(problem.errors.iter().all(|error| error.pointer.is_empty() || error.pointer.starts_with('/')));
    assert!(problem.detail.as_ref().is_none_or(|detail| detail.len() < 500));
}

/// The body of `POST /v1/applications`, and any event at all.
pub fn intake(bytes: &[u8]) {
    if let Ok(event) = serde_json::from_slice::<Value>(bytes) {
        let _ = Incoming::parse(event);
    }
    let Some(request) = request(bytes, &json!({})) else { return };
    let body: ApplicationRequest = match json::parse(&request.body) {
        Ok(body) => body,
        Err(problem) => return assert_clear(&problem),
    };
    let named: Vec<String> = [
        &body.legal_representative.name,
        &body.legal_representative.resident_id,
        &body.legal_representative.phone,
        &body.legal_representative.bank_card,
    ]
    .map(Clone::clone)
    .to_vec();
    match intake::Terms::check(body, &PRODUCTS, now()) {
        Ok(terms) => {
            let product = &terms.product;
            assert!((product.min_amount_fen..=product.max_amount_fen).contains(&terms.amount_fen));
            assert!(product.terms_months.contains(&terms.term_months));
            assert!(terms.consents.data && terms.consents.credit_query);
        }
        Err(problem) => {
            assert_clear(&problem);
            let said = serde_json::to_string(&problem).expect("a problem is JSON");
            // Short values occur by chance in any text.
            for value in named.iter().filter(|value| value.chars().count() > 10 && value.is_ascii()) {
                assert!(!said.contains(value.as_str()), "the answer repeats a personal value");
            }
        }
    }
}

/// The body of a provider's callback, face and phone alike, with a right signature; and the bytes as a signature.
pub fn check_callback(bytes: &[u8]) {
    forged(bytes);
    let Some(request) = signed(bytes) else { return };
    match callbacks::read::<CheckCallback>(&request, &VERIFIER, now()) {
        Ok(genuine) => {
            let again = serde_json::to_vec(&genuine.body).expect("a callback is JSON");
            let again: CheckCallback = json::parse(&again).expect("what was read can be read again");
            assert_eq!(again.application_id, genuine.body.application_id);
        }
        Err(problem) => assert_clear(&problem),
    }
}

/// The body of a bank's callback with a right signature.
pub fn bank_callback(bytes: &[u8]) {
    let Some(request) = signed(bytes) else { return };
    let kind = match callbacks::read::<bank_callback::body::Kind>(&request, &VERIFIER, now()) {
        Ok(genuine) => genuine,
        Err(problem) => return assert_clear(&problem),
    };
    if let Err(problem) =
        bank_callback::body::read(&request.body, &kind.body, kind.message_id.as_str(), now())
    {
        assert_clear(&problem);
    }
}

fn signed(body: &[u8]) -> Option<Request> {
    let text = String::from_utf8_lossy(body);
    let id = "msg_1".parse().expect("an id");
    let headers = SIGNER.sign(&id, now(), text.as_bytes());
    let headers: BTreeMap<&str, &str> = headers.pairs().into_iter().collect();
    request(text.as_bytes(), &json!(headers))
}

/// Whatever stands in the headers, nobody without the key signs anything.
fn forged(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.splitn(3, '\n');
    let mut part = || parts.next().unwrap_or_default();
    let headers = json!({ "webhook-id": part(), "webhook-timestamp": part(), "webhook-signature": part() });
    if let Some(request) = request(b"{}", &headers) {
        assert!(callbacks::verify(&request, &VERIFIER, now()).is_err());
    }
}

/// A bank's daily file, in both forms.
pub fn statement(bytes: &[u8]) {
    for format in [Format::Csv, Format::JsonLines] {
        let Ok(statement) = Statement::parse(bytes, format) else { continue };
        let report = reconciliation::reconcile("bank", date(2026, 11, 24), &statement, &BTreeMap::new());
        assert_eq!(report.lines, (statement.lines.len() + statement.unreadable.len()) as u64);
        assert_eq!(report.agreed, 0, "we hold nothing");
        assert_eq!(report.differences.len() as u64, report.lines);
        serde_json::to_string(&report).expect("a report is JSON");
        assert!(!reconciliation::page(&report).contains("<script"));
    }
}

/// A strategy document.
pub fn strategy(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(loaded) = strategy::Strategy::load("fuzzed-1", text) {
        assert!(loaded.version().starts_with("fuzzed-1+"));
    }
}

/// A model's manifest.
pub fn manifest(bytes: &[u8]) {
    if let Ok(manifest) = model::Manifest::parse(bytes) {
        assert!(!manifest.features.is_empty());
        for pd in [0.0, 0.01, 0.5, 1.0] {
            let _ = manifest.scale.points(pd);
        }
    }
}

/// Does something with bytes, and panics when something does not hold.
pub type Target = fn(&[u8]);

/// Every target by name.
pub const TARGETS: [(&str, Target); 8] = [
    ("bank_callback", bank_callback),
    ("check_callback", check_callback),
    ("graph", graph),
    ("intake", intake),
    ("manifest", manifest),
    ("statement", statement),
    ("strategy", strategy),
    ("trees", trees),
];
