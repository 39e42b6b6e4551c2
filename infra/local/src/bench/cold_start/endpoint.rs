//! An endpoint of AWS with nothing in it, in plain HTTP: tables hold no items, buckets no files, and what a function only
//! calls to open a connection is refused, which opens it just as well.

use super::AnyError;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};
use std::{collections::HashMap, net::Ipv4Addr, sync::Arc};
use tokio::net::TcpListener;

/// Serves it, with these secrets, for as long as this process runs, and gives its URL.
pub(super) async fn start(secrets: HashMap<String, String>) -> Result<String, AnyError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        axum::serve(listener, Router::new().fallback(answer).with_state(Arc::new(secrets))).await
    });
    Ok(url)
}

async fn answer(
    State(secrets): State<Arc<HashMap<String, String>>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !headers.contains_key("x-amz-target") {
        // Of a bucket, or nothing that we know.
        let body = "<Error><Code>NoSuchKey</Code><Message>There is no such key.</Message></Error>";
        return (StatusCode::NOT_FOUND, [("content-type", "application/xml")], body).into_response();
    }
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (status, body) = match target.split_once('.').map(|(_, action)| action) {
        Some("Query") => (StatusCode::OK, r#"{"Items":[],"Count":0,"ScannedCount":0}"#.to_owned()),
        Some("GetItem" | "PutItem" | "UpdateItem") => (StatusCode::OK, "{}".to_owned()),
        Some("GetSecretValue") => (StatusCode::OK, secret_value(&secrets, &body)),
        _ => {
            let refusal = r#"{"__type":"com.amazon.coral.service#AccessDeniedException"}"#;
            (StatusCode::BAD_REQUEST, refusal.to_owned())
        }
    };
    (status, [("content-type", "application/x-amz-json-1.0")], body).into_response()
}

/// As Secrets Manager answers; a secret that is not there is empty.
fn secret_value(secrets: &HashMap<String, String>, request: &[u8]) -> String {
    let request: Value = serde_json::from_slice(request).unwrap_or_default();
    let text = request["SecretId"].as_str().and_then(|id| secrets.get(id)).map_or("{}", String::as_str);
    json!({ "ARN": request["SecretId"], "Name": request["SecretId"], "VersionId": "1", "SecretString": text })
        .to_string()
}
