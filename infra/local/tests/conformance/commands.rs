//! Commands on SQS.

use crate::{engines, id};
use aws::{Aws, QueueUrls, SqsCommandQueue};
use domain::journey::{Command, Status};
use local::engines::{Engines, Fault, QueueSpec, RUNNER, Retries};
use ports::journal::CommandQueue;
use serde_json::{Value, json};

const COMMANDS: [Command; 7] = [
    Command::StartFaceCheck { attempt: 1 },
    Command::StartPhoneCheck { attempt: 2 },
    Command::Score,
    Command::CheckGraph,
    Command::Decide,
    Command::PayOut,
    Command::Notify { status: Status::PaidOut, entry: 9 },
];

async fn queue(engines: &Engines, name: &str) -> String {
    let spec = QueueSpec { name: name.to_owned(), visibility_timeout_s: 60, dlq: None };
    engines.create_queue(&spec).await.expect("the queue is made")
}

/// The seven queues in the order of [`COMMANDS`].
async fn queues(engines: &Engines) -> ([String; 7], QueueUrls) {
    let mut urls = Vec::new();
    for name in ["face-checks", "phone-checks", "scores", "graph-checks", "decisions", "payouts", "notices"] {
        urls.push(queue(engines, name).await);
    }
    let urls: [String; 7] = urls.try_into().expect("seven queues");
    let [face, phone, scores, graph, decisions, payouts, notices] = urls.clone().map(Some);
    let wired = QueueUrls {
        face_checks: face,
        phone_checks: phone,
        scores,
        graph_checks: graph,
        decisions,
        payouts: payouts.map(|url| ("river-bank".to_owned(), url)).into_iter().collect(),
        notices,
    };
    (urls, wired)
}

/// What waits in a queue, as JSON.
async fn bodies(aws: &Aws, url: &str) -> Vec<Value> {
    let answer = aws.sqs.receive_message().queue_url(url).max_number_of_messages(10).send().await;
    let messages = answer.expect("the queue answers").messages.unwrap_or_default();
    messages.iter().map(|m| serde_json::from_str(m.body().expect("a body")).expect("JSON")).collect()
}

#[tokio::test]
async fn each_command_reaches_its_own_queue_and_its_body_holds_only_ids() {
    let (engines, aws) = engines().await;
    let (urls, wired) = queues(&engines).await;
    SqsCommandQueue::new(aws.sqs.clone(), wired)
        .send(id(), "river-bank", &COMMANDS)
        .await
        .expect("all are sent");
    let expected = [
        json!({ "application_id": id(), "command": "start_face_check", "attempt": 1 }),
        json!({ "application_id": id(), "command": "start_phone_check", "attempt": 2 }),
        json!({ "application_id": id(), "command": "score" }),
        json!({ "application_id": id(), "command": "check_graph" }),
        json!({ "application_id": id(), "command": "decide" }),
        json!({ "application_id": id(), "command": "pay_out" }),
        json!({ "application_id": id(), "command": "notify", "status": "paid_out", "entry": 9 }),
    ];
    for (url, body) in urls.iter().zip(expected) {
        assert_eq!(bodies(&aws, url).await, [body]);
    }
}

#[tokio::test]
async fn no_command_is_no_call() {
    let (engines, aws) = engines().await;
    let (_, wired) = queues(&engines).await;
    engines.reset_calls();
    SqsCommandQueue::new(aws.sqs, wired).send(id(), "river-bank", &[]).await.expect("nothing to send");
    assert!(engines.calls().is_empty());
}

#[tokio::test]
async fn when_one_command_has_no_queue_none_is_sent() {
    let (engines, aws) = engines().await;
    let (urls, wired) = queues(&engines).await;
    let refused = SqsCommandQueue::new(aws.sqs.clone(), wired).send(id(), "lake-bank", &COMMANDS).await;
    assert!(!refused.expect_err("the bank has no queue").is_retryable());
    for url in &urls {
        assert_eq!(bodies(&aws, url).await, [] as [Value; 0]);
    }
}

#[tokio::test]
async fn when_one_command_cannot_be_sent_the_others_still_are() {
    let (engines, _) = engines().await;
    let (urls, wired) = queues(&engines).await;
    let aws = Aws::from_sdk_config(&engines.sdk_config_for(RUNNER, Retries::None));
    engines.faults().fail("sqs:SendMessage", 3, Fault::Before);
    let failed = SqsCommandQueue::new(aws.sqs.clone(), wired).send(id(), "river-bank", &COMMANDS).await;
    assert!(failed.expect_err("one send fails").is_retryable());
    let mut arrived = 0;
    for url in &urls {
        arrived += bodies(&aws, url).await.len();
    }
    assert_eq!(arrived, COMMANDS.len() - 1);
}

#[tokio::test]
async fn a_sent_command_wakes_whoever_polls() {
    let (engines, aws) = engines().await;
    let (_, wired) = queues(&engines).await;
    let mut sent = engines.sent();
    assert!(!sent.has_changed().expect("the engines run"));
    SqsCommandQueue::new(aws.sqs, wired)
        .send(id(), "river-bank", &[Command::Score])
        .await
        .expect("it is sent");
    sent.changed().await.expect("the engines run");
    assert!(!sent.has_changed().expect("the engines run"));
}

#[tokio::test]
async fn a_command_that_is_received_too_often_ends_in_the_dead_letter_queue() {
    let (engines, aws) = engines().await;
    let spec = QueueSpec {
        name: "scores".to_owned(),
        visibility_timeout_s: 60,
        dlq: Some(("scores-dead".to_owned(), 2)),
    };
    let url = engines.create_queue(&spec).await.expect("both queues are made");
    assert_eq!(engines.create_queue(&spec).await.expect("they are there"), url);
    let dead = queue(&engines, "scores-dead").await;
    let wired = QueueUrls { scores: Some(url.clone()), ..QueueUrls::default() };
    SqsCommandQueue::new(aws.sqs.clone(), wired)
        .send(id(), "river-bank", &[Command::Score])
        .await
        .expect("it is sent");
    for _ in 0..2 {
        let received = aws.sqs.receive_message().queue_url(&url).send().await.expect("the queue answers");
        let [message] = received.messages() else { panic!("{received:?}") };
        let handle = message.receipt_handle().expect("a handle");
        let back =
            aws.sqs.change_message_visibility().queue_url(&url).receipt_handle(handle).visibility_timeout(0);
        back.send().await.expect("the message goes back");
    }
    assert_eq!(bodies(&aws, &url).await, [] as [Value; 0]);
    assert_eq!(bodies(&aws, &dead).await.len(), 1);
}
