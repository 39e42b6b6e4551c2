//! The events that EventBridge sends: of a schedule's tick, and of an object that was created in a bucket.

use jiff::Timestamp;
use serde_json::{Value, json};

pub(crate) fn scheduled(rule: &str, now: Timestamp) -> Value {
    let rule = format!("arn:aws:events:local:000000000000:rule/{rule}");
    event("aws.events", "Scheduled Event", &rule, json!({}), now)
}

pub(crate) fn object_created(bucket: &str, key: &str, now: Timestamp) -> Value {
    let detail = json!({ "version": "0", "bucket": { "name": bucket }, "object": { "key": key } });
    event("aws.s3", "Object Created", &format!("arn:aws:s3:::{bucket}"), detail, now)
}

fn event(source: &str, kind: &str, resource: &str, detail: Value, now: Timestamp) -> Value {
    json!({
        "version": "0",
        "id": format!("local-{}", now.as_millisecond()),
        "detail-type": kind,
        "source": source,
        "account": "000000000000",
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "region": "local",
        "resources": [resource],
        "detail": detail,
    })
}
