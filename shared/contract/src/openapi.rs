//! The OpenAPI 3.1 document, made from the types of this crate. `infra/openapi.json` is its committed copy, and
//! `tests/openapi.rs` fails when the two differ.
//!
//! Each route is declared on an empty function here, because what crosses the boundary is this crate's business and
//! the handlers' crates are several.

use crate::analyst::{RingAnswer, RingList};
use crate::http::{
    AcceptRequest, ApplicationAnswer, ApplicationRequest, CallbackAnswer, ErasureAnswer, Explanation,
    FirmSummary, Problem, ProductBody, SessionAnswer, SessionRequest,
};
use crate::{bank::BankMessage, provider::CheckCallback};
use domain::{application::Channel, journey::Status, reason::Reason, ring::RingLabel};
use utoipa::{
    IntoResponses, Modify, OpenApi,
    openapi::{
        Content, Ref, RefOr, Response, Schema,
        security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme},
    },
};

/// The committed copy, which the API serves: making the document takes longer than the rest of a cold start.
pub const COMMITTED: &str = include_str!("../../../infra/openapi.json");

/// The document as indented JSON, with a line end.
pub fn document() -> String {
    let mut text = Api::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "301 lending",
        description = "3 minutes to apply, 0 people in the loop, 1 second to pay out. Amounts are integer fen, rates basis points, times RFC 3339.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        openapi, open_session, products, firm, apply, read, explain, accept, cancel, erase,
        face_callback, phone_callback, bank_callback, rings, ring, ring_picture
    ),
    servers((url = "/", description = "Where this document was read")),
    modifiers(&Security, &Meanings, &Outage, &Words)
)]
struct Api;

struct Security;

impl Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let mut http = Http::new(HttpAuthScheme::Bearer);
        http.bearer_format = Some("JWT".to_owned());
        let components = openapi.components.get_or_insert_with(Default::default);
        components.add_security_scheme("session", SecurityScheme::Http(http));
        let what =
            "AWS Signature Version 4 for the service execute-api, by whoever may invoke the analyst's routes";
        let signature = ApiKey::Header(ApiKeyValue::with_description("Authorization", what));
        components.add_security_scheme("iam", SecurityScheme::ApiKey(signature));
    }
}

/// What a status means wherever a route has nothing of its own to say. OpenAPI wants every response described.
struct Meanings;

const MEANINGS: [(&str, &str); 6] = [
    ("200", "Done"),
    ("201", "Done"),
    ("400", "The request cannot be read: no JSON, a header that is missing, a field twice"),
    ("401", "No session, or one that is over"),
    ("404", "There is no such thing of yours"),
    ("413", "The body is too large"),
];

impl Modify for Meanings {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let items = openapi.paths.paths.values_mut();
        let operations = items.flat_map(|item| [&mut item.get, &mut item.post, &mut item.delete]).flatten();
        for (status, response) in operations.flat_map(|operation| &mut operation.responses.responses) {
            let RefOr::T(response) = response else { continue };
            if response.description.is_empty()
                && let Some((_, meaning)) = MEANINGS.iter().find(|(of, _)| of == status)
            {
                (*meaning).clone_into(&mut response.description);
            }
        }
    }
}

/// What any route under `/v1` may answer beside its own.
struct Outage;

impl Modify for Outage {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let of_ours = openapi.paths.paths.iter_mut().filter(|(path, _)| path.starts_with("/v1"));
        let operations =
            of_ours.flat_map(|(_, item)| [&mut item.get, &mut item.post, &mut item.delete]).flatten();
        for operation in operations {
            let body = Content::new(Some(Ref::from_schema_name("Problem")));
            let what = "Something went wrong on our side. 503: nothing was recorded, and the same request may come again \
                        after Retry-After";
            let response =
                Response::builder().description(what).content("application/problem+json", body).build();
            operation.responses.responses.insert("default".to_owned(), response.into());
        }
    }
}

/// What a field that says one of a few words may say.
struct Words;

impl Words {
    /// Schema, its field, and the words.
    fn all() -> Vec<(&'static str, &'static str, Vec<&'static str>)> {
        let statuses = Status::ALL.map(Status::as_str).to_vec();
        let labels = RingLabel::ALL.iter().map(|label| label.as_str()).collect();
        vec![
            ("SessionRequest", "channel", Channel::ALL.map(Channel::as_str).to_vec()),
            ("ApplicationAnswer", "status", statuses.clone()),
            ("Explanation", "status", statuses.clone()),
            ("ErasureAnswer", "status", statuses),
            ("ReasonBody", "code", Reason::ALL.iter().map(|reason| reason.code()).collect()),
            ("LabelBody", "code", labels),
            ("CheckCallback", "answer", vec!["match", "mismatch", "unknown"]),
            ("BankCallback", "outcome", vec!["paid", "refused", "failed"]),
            ("RepaidReport", "report", vec!["repaid"]),
            ("OverdueReport", "report", vec!["overdue"]),
            ("SettledReport", "report", vec!["settled"]),
        ]
    }
}

impl Modify for Words {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let schemas = &mut openapi.components.get_or_insert_with(Default::default).schemas;
        for (schema, field, words) in Self::all() {
            if let Some(RefOr::T(Schema::Object(object))) = schemas.get_mut(schema)
                && let Some(RefOr::T(Schema::Object(field))) = object.properties.get_mut(field)
            {
                field.enum_values = Some(words.into_iter().map(Into::into).collect());
            }
        }
    }
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
#[expect(dead_code, reason = "carries the declaration")]
fn openapi() {}

/// Sign in: a channel's one-time code becomes a session of 15 minutes.
#[utoipa::path(post, path = "/v1/sessions", request_body = SessionRequest, responses(
    (status = 201, body = SessionAnswer),
    (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "The code is not valid or was used before", body = Problem, content_type = "application/problem+json"),
    (status = 413, body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "Bad fields, each named", body = Problem, content_type = "application/problem+json"),
))]
#[expect(dead_code, reason = "carries the declaration")]
fn open_session() {}

/// What can be applied for.
#[utoipa::path(get, path = "/v1/products", security(("session" = [])), responses(
    (status = 200, body = Vec<ProductBody>),
    (status = 401, body = Problem, content_type = "application/problem+json"),
))]
#[expect(dead_code, reason = "carries the declaration")]
fn products() {}

/// What the firm archive fills in for the borrower.
#[utoipa::path(get, path = "/v1/firms/{code}", security(("session" = [])),
    params(("code" = String, Path, description = "Unified social credit code")),
    responses(
        (status = 200, body = FirmSummary),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The archive does not know this firm", body = Problem, content_type = "application/problem+json"),
))]
#[expect(dead_code, reason = "carries the declaration")]
fn firm() {}

/// Apply. The same key and body give the same answer; another body under the same key is refused.
#[utoipa::path(post, path = "/v1/applications", security(("session" = [])), request_body = ApplicationRequest,
    params(("Idempotency-Key" = String, Header, description = "1 to 128 printable ASCII characters, new for each application")),
    responses(
        (status = 202, description = "The checks are running", body = ApplicationAnswer),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The first request with this key is still running; or the firm has a loan that is not settled", body = Problem, content_type = "application/problem+json"),
        (status = 413, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Bad fields, each named; or the key was used for another request", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "A quota of the day is full: the detail names it. A day is one in China; Retry-After says in how many seconds the next one begins", body = Problem, content_type = "application/problem+json"),
))]
#[expect(dead_code, reason = "carries the declaration")]
fn apply() {}

/// Where an application stands.
#[utoipa::path(get, path = "/v1/applications/{id}", security(("session" = [])), params(("id" = String, Path)), responses(
    (status = 200, body = ApplicationAnswer),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such application of this borrower", body = Problem, content_type = "application/problem+json"),
))]
#[expect(dead_code, reason = "carries the declaration")]
fn read() {}

/// Why the decision is as it is.
#[utoipa::path(get, path = "/v1/applications/{id}/explanation", security(("session" = [])), params(("id" = String, Path)), responses(
    (status = 200, body = Explanation),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
#[expect(dead_code, reason = "carries the declaration")]
fn explain() {}

/// Accept the offer that was seen.
#[utoipa::path(post, path = "/v1/applications/{id}/accept", security(("session" = [])), params(("id" = String, Path)),
    request_body = AcceptRequest, responses(
        (status = 200, body = ApplicationAnswer),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "There is no such offer now", body = Problem, content_type = "application/problem+json"),
        (status = 413, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Bad fields, each named", body = Problem, content_type = "application/problem+json"),
))]
#[expect(dead_code, reason = "carries the declaration")]
fn accept() {}

/// Cancel, as long as no bank has been instructed.
#[utoipa::path(post, path = "/v1/applications/{id}/cancel", security(("session" = [])), params(("id" = String, Path)), responses(
    (status = 200, body = ApplicationAnswer),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "Too late", body = Problem, content_type = "application/problem+json"),
))]
#[expect(dead_code, reason = "carries the declaration")]
fn cancel() {}

/// Withdraw consent: ends an application that is still running, and erases its personal data and the sign-ins. May be called again.
#[utoipa::path(delete, path = "/v1/applications/{id}/personal-data", security(("session" = [])), params(("id" = String, Path)), responses(
    (status = 200, description = "Erased; and what is kept without it, and why", body = ErasureAnswer),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "Not erased: the type is /problems/payout-under-way, /problems/loan-outstanding or /problems/kept-by-law, the detail says what is kept and until when", body = Problem, content_type = "application/problem+json"),
))]
#[expect(dead_code, reason = "carries the declaration")]
fn erase() {}

/// What either check's provider is answered.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "carries the declaration")]
enum CheckCallbackResponse {
    /// Recorded, or of no effect any more
    #[response(status = 200)]
    Recorded(CallbackAnswer),
    #[response(status = 400, content_type = "application/problem+json")]
    Unreadable(Problem),
    /// The signature does not hold
    #[response(status = 401, content_type = "application/problem+json")]
    NotSigned(Problem),
    /// The answer is to another check, or about another person
    #[response(status = 403, content_type = "application/problem+json")]
    NotBound(Problem),
    /// There is no such application, or not yet: deliver again
    #[response(status = 404, content_type = "application/problem+json")]
    Unknown(Problem),
    /// The application does not allow this now
    #[response(status = 409, content_type = "application/problem+json")]
    NotPossibleNow(Problem),
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// Bad fields, each named
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
}

/// The face check's answer, signed by its provider (Standard Webhooks).
#[utoipa::path(post, path = "/v1/callbacks/face", request_body = CheckCallback, responses(CheckCallbackResponse))]
#[expect(dead_code, reason = "carries the declaration")]
fn face_callback() {}

/// The phone check's answer, signed by its provider (Standard Webhooks).
#[utoipa::path(post, path = "/v1/callbacks/phone", request_body = CheckCallback, responses(CheckCallbackResponse))]
#[expect(dead_code, reason = "carries the declaration")]
fn phone_callback() {}

/// A bank's final word on a payout, or its report on a loan, signed by the bank (Standard Webhooks).
#[utoipa::path(post, path = "/v1/callbacks/banks/{bank}", request_body = BankMessage, params(("bank" = String, Path)), responses(
    (status = 200, description = "Recorded, now or before", body = CallbackAnswer),
    (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "The signature does not hold", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The payout belongs to another bank", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such payout, or not yet: deliver again", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "The word or report contradicts an earlier one, or nothing was paid out", body = Problem, content_type = "application/problem+json"),
    (status = 413, body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "Bad fields, each named; or figures that cannot be", body = Problem, content_type = "application/problem+json"),
))]
#[expect(dead_code, reason = "carries the declaration")]
fn bank_callback() {}

/// The rings that the checks have found, the one that was seen last first. For risk analysts.
#[utoipa::path(get, path = "/v1/rings", security(("iam" = [])),
    params(
        ("limit" = Option<u32>, Query, description = "1 to 200; 50 unless given"),
        ("after" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses(
        (status = 200, body = RingList),
        (status = 403, description = "Not signed, or not by an analyst"),
        (status = 422, description = "Bad parameters, each named", body = Problem, content_type = "application/problem+json"),
))]
#[expect(dead_code, reason = "carries the declaration")]
fn rings() {}

/// A ring by any of its names: what it is, why, and when it was seen. For risk analysts.
#[utoipa::path(get, path = "/v1/rings/{ring}", security(("iam" = [])), params(("ring" = String, Path)), responses(
    (status = 200, body = RingAnswer),
    (status = 403, description = "Not signed, or not by an analyst"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "Not the name of a ring", body = Problem, content_type = "application/problem+json"),
))]
#[expect(dead_code, reason = "carries the declaration")]
fn ring() {}

/// A ring as a picture: its applications, what they share, and its figures. For risk analysts.
#[utoipa::path(get, path = "/v1/rings/{ring}/picture", security(("iam" = [])), params(("ring" = String, Path)), responses(
    (status = 200, body = String, content_type = "image/svg+xml"),
    (status = 403, description = "Not signed, or not by an analyst"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "Not the name of a ring", body = Problem, content_type = "application/problem+json"),
))]
#[expect(dead_code, reason = "carries the declaration")]
fn ring_picture() {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bank::{BankOutcome, ReportKind};
    use domain::checks::CheckAnswer;
    use serde::de::DeserializeOwned;
    use serde_json::Value;

    fn are_read<T: DeserializeOwned>(words: &[&str]) -> bool {
        words.iter().all(|word| serde_json::from_value::<T>((*word).into()).is_ok())
    }

    #[test]
    fn every_word_stands_in_the_document_and_is_one_that_the_code_reads() {
        let document: Value = serde_json::from_str(&document()).unwrap();
        for (schema, field, words) in Words::all() {
            let known = &document["components"]["schemas"][schema]["properties"][field]["enum"];
            assert_eq!(*known, serde_json::json!(words), "{schema} {field}");
            let is_read = match field {
                "status" => are_read::<Status>(&words),
                "channel" => are_read::<Channel>(&words),
                "answer" => are_read::<CheckAnswer>(&words),
                "outcome" => are_read::<BankOutcome>(&words),
                "report" => are_read::<ReportKind>(&words),
                _ => are_read::<Reason>(&words) || are_read::<RingLabel>(&words),
            };
            assert!(is_read, "{schema} {field}");
        }
    }
}
