//! Reading the lender's signed requests, and refusing what is not one.

use crate::{Clock, Keys};
use axum::{
    Json,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;
use signing::WebhookHeaders;

/// Why a request was not carried out. The body is `{"error": "<reason>"}`; reasons repeat nothing from the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal(pub(crate) StatusCode, pub(crate) &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(serde_json::json!({ "error": self.1 }))).into_response()
    }
}

/// The body of a request that the lender signed less than five minutes ago.
pub(crate) fn signed<T: DeserializeOwned>(
    keys: &Keys,
    clock: &Clock,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<T, Refusal> {
    let pairs = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let id = WebhookHeaders::from_pairs(pairs)
        .and_then(|headers| keys.lender.verify(&headers, body, clock()))
        .map_err(|_| Refusal(StatusCode::UNAUTHORIZED, "the signature was not accepted"))?;
    let Some(sealer) = &keys.opens else { return plain(body) };
    let opened = sealer.open(&id, body);
    plain(&opened.map_err(|_| Refusal(StatusCode::BAD_REQUEST, "the body is not sealed as was agreed"))?)
}

/// The message id of a request that has been found to be signed.
pub(crate) fn message_id(headers: &HeaderMap) -> Result<String, Refusal> {
    let id = headers.get(signing::webhook::ID_HEADER).and_then(|id| id.to_str().ok());
    id.map(str::to_owned).ok_or(Refusal(StatusCode::BAD_REQUEST, "the message has no id"))
}

/// The body of a request that needs no signature.
pub(crate) fn plain<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|_| Refusal(StatusCode::BAD_REQUEST, "the body is not in the agreed form"))
}
