use super::*;
use aws_sdk_sqs::types::MessageAttributeValue;

fn batch() -> Vec<Message> {
    ["a", "b", "c"].map(|id| Message::builder().message_id(id).build()).to_vec()
}

fn failed(answer: &Value) -> Vec<String> {
    failed_records(answer, &batch()).into_iter().collect()
}

#[test]
fn only_the_records_that_are_named_have_failed() {
    assert_eq!(failed(&json!({"batchItemFailures": [{"itemIdentifier": "b"}]})), ["b"]);
    assert_eq!(
        failed(&json!({"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "c"}]})),
        ["a", "c"]
    );
}

#[test]
fn an_answer_without_failures_means_that_all_were_handled() {
    for answer in
        [json!({"batchItemFailures": []}), json!({"batchItemFailures": null}), json!({}), json!(null)]
    {
        assert!(failed(&answer).is_empty(), "{answer}");
    }
}

#[test]
fn an_answer_that_makes_no_sense_fails_the_whole_batch() {
    for answer in [
        json!({"batchItemFailures": [{"itemIdentifier": "unknown"}]}),
        json!({"batchItemFailures": [{"itemIdentifier": ""}]}),
        json!({"batchItemFailures": [{"itemIdentifier": null}]}),
        json!({"batchItemFailures": [{"id": "a"}]}),
        json!({"batchItemFailures": "a"}),
        json!("done"),
    ] {
        assert_eq!(failed(&answer), ["a", "b", "c"], "{answer}");
    }
}

#[test]
fn what_the_sender_put_beside_a_body_reaches_the_function_in_lambdas_shape() {
    let text = |value: &str| {
        let attribute = MessageAttributeValue::builder().data_type("String").string_value(value);
        attribute.build().unwrap()
    };
    let sent = Message::builder().message_id("m-1").message_attributes("kind", text("loan")).build();
    let attributes = message_attributes(&sent);
    assert_eq!(attributes["kind"]["stringValue"], "loan");
    assert_eq!(attributes["kind"]["dataType"], "String");
    assert_eq!(message_attributes(&Message::builder().build()), json!({}));
}
