//! What woke the function.

use crate::{Failure, Record, http::Request};
use aws_lambda_events::event::{apigw::ApiGatewayV2httpRequest, sqs::SqsEvent};
use serde_json::Value;

/// An event in one of the four shapes that the template wires.
pub enum Incoming {
    Http(Box<Request>),
    Batch(Vec<Record>),
    Schedule,
    /// An object was put into a bucket: its key.
    Created(String),
}

impl Incoming {
    /// Tells the shapes apart and reads the event.
    pub fn parse(event: Value) -> Result<Self, Failure> {
        if event.get("Records").is_some() {
            let batch: SqsEvent =
                serde_json::from_value(event).map_err(|e| Failure::new("reading an SQS event", e))?;
            return Ok(Incoming::Batch(batch.records.into_iter().map(Record::from).collect()));
        }
        if event.get("requestContext").is_some() {
            let request: ApiGatewayV2httpRequest =
                serde_json::from_value(event).map_err(|e| Failure::new("reading an HTTP event", e))?;
            return Request::try_from(request).map(|request| Incoming::Http(Box::new(request)));
        }
        match event.get("detail-type").and_then(Value::as_str) {
            Some("Scheduled Event") => return Ok(Incoming::Schedule),
            Some("Object Created") => {
                let key = event.pointer("/detail/object/key").and_then(Value::as_str);
                let key = key.ok_or_else(|| Failure::new("reading an event of S3", "it has no key"))?;
                return Ok(Incoming::Created(key.to_owned()));
            }
            _ => {}
        }
        Err(Failure::new("telling what woke the function", "the event has none of the wired shapes"))
    }
}
