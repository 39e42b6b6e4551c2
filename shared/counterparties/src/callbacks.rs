//! What providers and banks call back with: checked the same way wherever it comes in.

use contract::http::{CallbackAnswer, Problem};
use jiff::Timestamp;
use lambda_kit::{
    http::{self, MAX_BODY_BYTES, Request, Response, problem},
    json,
};
use serde::de::DeserializeOwned;
use signing::{
    MessageId, Verifier, VerifyError, WebhookHeaders,
    webhook::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER},
};
use steps::AdvanceError;

/// When a counterparty delivers again what we could not record, in seconds.
const AGAIN_AFTER_S: u32 = 5;

/// A body that the holder of the key sent within the last five minutes.
#[derive(Debug)]
pub struct Genuine<T> {
    pub message_id: MessageId,
    pub body: T,
}

/// Verifies the signature over the raw body, and only then reads it: strict JSON, no unknown field.
///
/// Problems: 413 for an oversized body, 401 for anything wrong with the signature, 400 and 422 for the body.
pub fn read<T: DeserializeOwned>(
    request: &Request,
    verifier: &Verifier,
    now: Timestamp,
) -> Result<Genuine<T>, Problem> {
    if request.body.len() > MAX_BODY_BYTES {
        return Err(problem(413, "body-too-large", "The body is larger than 64 KiB"));
    }
    let message_id = verify(request, verifier, now)?;
    Ok(Genuine { message_id, body: json::parse(&request.body)? })
}

/// Verifies the signature, its window and its headers. The problem is one and the same whatever was wrong, since whoever
/// forges learns from the difference; the log has the kind.
pub fn verify(request: &Request, verifier: &Verifier, now: Timestamp) -> Result<MessageId, Problem> {
    let verified = headers(request).and_then(|headers| verifier.verify(&headers, &request.body, now));
    verified.map_err(|error| {
        tracing::warn!(path = request.path, source_ip = request.source_ip, %error, "a callback was not genuine");
        unauthorised()
    })
}

/// The answer to a callback that was not signed by whom it claims to come from.
pub fn unauthorised() -> Problem {
    problem(401, "not-signed", "A valid and recent signature is needed")
}

/// 200: the callback is recorded, now or before.
pub fn recorded() -> Response {
    Response::json(200, &CallbackAnswer { recorded: true })
}

/// 200: the journey has ended, so the callback changes nothing. It need not come again.
pub fn too_late() -> Response {
    Response::json(200, &CallbackAnswer { recorded: false })
}

/// 404: there is no such application or payout, or not yet. The other side delivers again.
pub fn unknown() -> Response {
    problem(404, "unknown", "There is nothing that this callback could belong to").into()
}

/// The answer when a step was not recorded: `503` with `Retry-After` when the same callback may be recorded later,
/// `404` for an application that nobody has heard of, `409` for a step that the journey does not allow.
pub fn not_recorded(error: &AdvanceError) -> Response {
    match error {
        AdvanceError::NotFound => unknown(),
        AdvanceError::Transition(transition) => {
            tracing::error!(error = %transition, "a callback does not fit its journey");
            problem(409, "not-possible-now", "The application does not allow this now").into()
        }
        AdvanceError::Contended | AdvanceError::Port(_) => failed(error, error.is_retryable()),
    }
}

/// The answer when a call of ours failed: `503` with `Retry-After`, or `500`.
pub fn failed(error: &dyn std::error::Error, retryable: bool) -> Response {
    http::failed(error, retryable, AGAIN_AFTER_S)
}

fn headers(request: &Request) -> Result<WebhookHeaders, VerifyError> {
    let names = [ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER];
    WebhookHeaders::from_pairs(names.into_iter().filter_map(|name| Some((name, request.header(name)?))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambda_kit::Incoming;
    use serde::Deserialize;
    use serde_json::json;
    use signing::{Secret, Signer, VerifyKey, keys::webhook_secret};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        amount_fen: u64,
    }

    const BODY: &str = r#"{"amount_fen":5}"#;

    fn now() -> Timestamp {
        "2026-11-02T08:00:00Z".parse().unwrap()
    }

    fn secret() -> Secret {
        Secret::parse(&webhook_secret().unwrap()).unwrap()
    }

    fn trusting(keys: &[&Secret]) -> Verifier {
        Verifier::new(keys.iter().map(|key| key.verify_key()).collect::<Vec<VerifyKey>>()).unwrap()
    }

    fn signed(secret: &Secret, at: Timestamp, body: &str) -> serde_json::Map<String, serde_json::Value> {
        let signer = Signer::new(vec![secret.clone()]).unwrap();
        let headers = signer.sign(&"msg_1".parse().unwrap(), at, body.as_bytes());
        headers.pairs().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
    }

    fn request(headers: serde_json::Map<String, serde_json::Value>, body: &str) -> Request {
        let event = json!({
            "version": "2.0", "routeKey": "POST /v1/callbacks/face", "rawPath": "/v1/callbacks/face",
            "headers": headers, "body": body, "isBase64Encoded": false,
            "requestContext": { "http": { "method": "POST", "sourceIp": "192.0.2.1" } }
        });
        match Incoming::parse(event).unwrap() {
            Incoming::Http(request) => *request,
            _ => panic!("must be an HTTP request"),
        }
    }

    #[test]
    fn a_signed_body_is_read_with_its_message_id() {
        let key = secret();
        let read =
            read::<Body>(&request(signed(&key, now(), BODY), BODY), &trusting(&[&key]), now()).unwrap();
        assert_eq!((read.message_id.as_str(), read.body.amount_fen), ("msg_1", 5));
    }

    #[test]
    fn fault_19_both_keys_of_a_rotation_are_trusted_and_a_third_is_not() {
        let (old, new, third) = (secret(), secret(), secret());
        let verifier = trusting(&[&old, &new]);
        let status = |key: &Secret| {
            read::<Body>(&request(signed(key, now(), BODY), BODY), &verifier, now()).map_err(|p| p.status)
        };
        assert!(status(&old).is_ok() && status(&new).is_ok());
        assert_eq!(status(&third).unwrap_err(), 401);
    }

    #[test]
    fn fault_19_whatever_is_wrong_with_a_signature_the_answer_is_the_same() {
        let key = secret();
        let verifier = trusting(&[&key]);
        let good = signed(&key, now(), BODY);
        let without = |name: &str| {
            let mut headers = good.clone();
            headers.remove(name);
            headers
        };
        let doubled = {
            let mut headers = good.clone();
            let value = headers[SIGNATURE_HEADER].as_str().unwrap();
            headers.insert(SIGNATURE_HEADER.to_owned(), format!("{value},{value}").into());
            headers
        };
        let old: Timestamp = "2026-11-02T07:54:59Z".parse().unwrap();
        let forgeries = [
            request(good.clone(), r#"{"amount_fen":6}"#),
            request(without(ID_HEADER), BODY),
            request(without(TIMESTAMP_HEADER), BODY),
            request(without(SIGNATURE_HEADER), BODY),
            request(doubled, BODY),
            request(signed(&key, old, BODY), BODY),
            request(signed(&secret(), now(), BODY), BODY),
        ];
        let answers: Vec<String> = forgeries
            .iter()
            .map(|request| {
                serde_json::to_string(&read::<Body>(request, &verifier, now()).unwrap_err()).unwrap()
            })
            .collect();
        assert!(answers.iter().all(|answer| *answer == answers[0] && answer.contains("401")), "{answers:?}");
    }

    #[test]
    fn fault_19_the_window_is_five_minutes_to_the_second() {
        let key = secret();
        let at = |time: &str| {
            let headers = signed(&key, time.parse().unwrap(), BODY);
            read::<Body>(&request(headers, BODY), &trusting(&[&key]), now()).is_ok()
        };
        assert!(at("2026-11-02T07:55:00Z") && at("2026-11-02T08:05:00Z"));
        assert!(!at("2026-11-02T07:54:59Z") && !at("2026-11-02T08:05:01Z"));
    }

    #[test]
    fn a_genuine_body_is_still_read_strictly() {
        let key = secret();
        let status = |body: &str| {
            let request = request(signed(&key, now(), body), body);
            read::<Body>(&request, &trusting(&[&key]), now()).unwrap_err().status
        };
        assert_eq!(status(r#"{"amount_fen":5,"amount_fen":6}"#), 422);
        assert_eq!(status(r#"{"amount_fen":5,"paid":true}"#), 422);
        assert_eq!(status("not json"), 400);
        assert_eq!(status(&"x".repeat(MAX_BODY_BYTES + 1)), 413);
    }
}
