//! Answers that the embedded engine never gives and the service does: items left unwritten, transactions that met, too
//! many calls. The service is a script of answers behind the SDK.

use aws::{DynamoJournal, DynamoLedger, DynamoRelations};
use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
};
use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use domain::{
    ApplicationId, BasisPoints, Fen,
    ledger::{Evidence, Movement, Outcome, Payout, Resolution},
};
use jiff::Timestamp;
use ports::{
    journal::Journal,
    ledger::{Ledger, Reservation, Resolved},
    relation::{Link, Node, NodeKind, RelationGraph},
};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

/// Gives one answer after the other and keeps what was asked.
#[derive(Clone, Debug)]
struct Script {
    answers: Arc<Mutex<VecDeque<(u16, Value)>>>,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = (u16, Value)>) -> Self {
        Self { answers: Arc::new(Mutex::new(answers.into_iter().collect())), asked: Arc::default() }
    }

    fn client(&self) -> Client {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("ap-southeast-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "script"))
            .http_client(self.clone())
            .retry_config(RetryConfig::disabled());
        Client::from_conf(config.build())
    }

    fn asked(&self) -> Vec<Value> {
        self.asked.lock().expect("no test panicked").clone()
    }
}

impl HttpConnector for Script {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = request.body().bytes().expect("a body in memory");
        self.asked.lock().expect("no test panicked").push(serde_json::from_slice(body).expect("JSON"));
        let (status, answer) =
            self.answers.lock().expect("no test panicked").pop_front().expect("the script has ended");
        let status = status.try_into().expect("an HTTP status");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(answer.to_string()))))
    }
}

impl HttpClient for Script {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

fn id() -> ApplicationId {
    // Its last digit is 0, so that its share of waiting is none.
    ApplicationId::from_bytes([0x10; 16])
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

fn cancelled(row: &str, counter: &str) -> (u16, Value) {
    let reasons = json!([{ "Code": row }, { "Code": counter }]);
    let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    (400, json!({ "__type": kind, "Message": "Transaction cancelled", "CancellationReasons": reasons }))
}

fn link(nodes: usize) -> Link {
    let nodes = (0..nodes).map(|n| Node { kind: NodeKind::Address, hash: n.to_string() }).collect();
    let firm = "91350100M000100Y43".parse().expect("a firm code");
    Link {
        application: id(),
        firm,
        nodes,
        at: Timestamp::UNIX_EPOCH,
        amount_fen: 0,
        bank: String::new(),
        place: None,
        account_days: None,
    }
}

/// The answer that leaves one item of the table `relations` unwritten.
fn one_left() -> (u16, Value) {
    let put = json!({ "PutRequest": { "Item": { "pk": { "S": "address#1" }, "sk": { "S": "left" } } } });
    (200, json!({ "UnprocessedItems": { "relations": [put] } }))
}

#[tokio::test]
async fn what_the_service_leaves_unwritten_is_put_before_it_again_and_nothing_else() {
    let script = Script::new([one_left(), (200, json!({ "UnprocessedItems": {} }))]);
    DynamoRelations::new(script.client(), "relations").link(&link(3)).await.unwrap();
    let asked = script.asked();
    let items = |call: usize| asked[call]["RequestItems"]["relations"].as_array().unwrap().clone();
    assert_eq!(items(0).len(), 3);
    let again = items(1);
    assert_eq!(again.len(), 1);
    assert_eq!(again[0]["PutRequest"]["Item"]["sk"]["S"], "left");
}

#[tokio::test]
async fn a_service_that_never_writes_the_rest_is_unavailable_after_six_tries() {
    let script = Script::new((0..6).map(|_| one_left()));
    let error = DynamoRelations::new(script.client(), "relations").link(&link(3)).await.unwrap_err();
    assert!(error.is_retryable());
    assert_eq!(script.asked().len(), 6);
}

#[tokio::test]
async fn more_nodes_than_a_batch_holds_are_written_in_several() {
    let script = Script::new((0..3).map(|_| (200, json!({}))));
    DynamoRelations::new(script.client(), "relations").link(&link(51)).await.unwrap();
    let sizes: Vec<usize> = script
        .asked()
        .iter()
        .map(|call| call["RequestItems"]["relations"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [25, 25, 1]);
}

#[tokio::test]
async fn a_reservation_that_met_another_on_the_limit_is_made_again() {
    let meetings = [cancelled("None", "TransactionConflict"), cancelled("ThrottlingError", "None")];
    let script = Script::new(meetings.into_iter().chain([(200, json!({}))]));
    let ledger = DynamoLedger::new(script.client(), "payouts");
    assert_eq!(ledger.reserve(&payout(), Fen(1_000)).await.unwrap(), Reservation::New);
    assert_eq!(script.asked().len(), 3);
}

#[tokio::test]
async fn a_full_limit_is_not_believed_while_the_row_itself_is_in_conflict() {
    let pending = json!({
        "pk": { "S": format!("payout#{}", id()) }, "sk": { "S": "pending" },
        "payout_id": { "S": id().to_string() }, "bank": { "S": "river-bank" }, "product": { "S": "steady" },
        "firm_code": { "S": "91350100M000100Y43" }, "amount_fen": { "N": "300" },
        "annual_rate_bp": { "N": "1460" }, "term_months": { "N": "12" },
        "reserved_at": { "S": "1970-01-01T00:00:00Z" },
    });
    let in_conflict = cancelled("TransactionConflict", "ConditionalCheckFailed");
    let there = cancelled("ConditionalCheckFailed", "ConditionalCheckFailed");
    let script = Script::new([in_conflict, there, (200, json!({ "Items": [pending], "Count": 1 }))]);
    let ledger = DynamoLedger::new(script.client(), "payouts");
    let reservation = ledger.reserve(&payout(), Fen(1_000)).await.unwrap();
    assert_eq!(reservation, Reservation::Exists(Box::new(payout())));
}

#[tokio::test]
async fn a_post_that_met_a_transaction_is_made_again_and_six_times_at_most() {
    let met = || (400, json!({ "__type": "com.amazonaws.dynamodb.v20120810#TransactionConflictException" }));
    let posted = Resolution {
        outcome: Outcome::Posted { bank_reference: "R1".to_owned() },
        evidence: Evidence::Answer,
        at: Timestamp::UNIX_EPOCH,
    };
    let script = Script::new([met(), met(), (200, json!({}))]);
    let ledger = DynamoLedger::new(script.client(), "payouts");
    assert_eq!(ledger.resolve(&payout(), &posted, Movement::Post).await.unwrap(), Resolved::Done);
    assert_eq!(script.asked().len(), 3);
    let script = Script::new((0..6).map(|_| met()));
    let ledger = DynamoLedger::new(script.client(), "payouts");
    assert!(ledger.resolve(&payout(), &posted, Movement::Post).await.unwrap_err().is_retryable());
    assert_eq!(script.asked().len(), 6);
}

#[tokio::test]
async fn a_reservation_that_keeps_meeting_others_is_unavailable_after_six_tries() {
    let script = Script::new((0..6).map(|_| cancelled("None", "TransactionConflict")));
    let ledger = DynamoLedger::new(script.client(), "payouts");
    assert!(ledger.reserve(&payout(), Fen(1_000)).await.unwrap_err().is_retryable());
    assert_eq!(script.asked().len(), 6);
}

#[tokio::test]
async fn a_cancellation_for_a_reason_that_does_not_pass_is_broken_at_once() {
    let script = Script::new([cancelled("None", "ValidationError")]);
    let ledger = DynamoLedger::new(script.client(), "payouts");
    assert!(!ledger.reserve(&payout(), Fen(1_000)).await.unwrap_err().is_retryable());
}

#[tokio::test]
async fn too_many_calls_and_faults_of_the_service_are_unavailable_and_refusals_are_broken() {
    let answers = [
        (400, "ThrottlingException", true),
        (400, "ProvisionedThroughputExceededException", true),
        (500, "InternalServerError", true),
        (503, "SomethingNew", true),
        (400, "AccessDeniedException", false),
        (400, "ValidationException", false),
    ];
    for (status, code, retryable) in answers {
        let kind = format!("com.amazonaws.dynamodb.v20120810#{code}");
        let script = Script::new([(status, json!({ "__type": kind, "message": "about an item: 王伟" }))]);
        let error = DynamoJournal::new(script.client(), "journeys").load(id()).await.unwrap_err();
        assert_eq!(error.is_retryable(), retryable, "{code}");
        let told = format!("{error:?}");
        assert!(told.contains(code) && !told.contains("王伟"), "{told}");
    }
}
