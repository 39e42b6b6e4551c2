//! An endpoint of AWS with nothing in it, in plain HTTP: tables hold no items, buckets no files, and what a function only
//! calls to open a connection is refused, which opens it just as well.

use super::AnyError;
use axum::{
    Router,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use std::net::Ipv4Addr;
use tokio::net::TcpListener;

/// Serves it for as long as this process runs, and gives its URL.
pub(super) async fn start() -> Result<String, AnyError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    Ok(url)
}

async fn answer(headers: HeaderMap) -> Response {
    if !headers.contains_key("x-amz-target") {
        // Of a bucket, or nothing that we know.
        let body = "<Error><Code>NoSuchKey</Code><Message>There is no such key.</Message></Error>";
        return (StatusCode::NOT_FOUND, [("content-type", "application/xml")], body).into_response();
    }
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (status, body) = match target.split_once('.').map(|(_, action)| action) {
        Some("Query") => (StatusCode::OK, r#"{"Items":[],"Count":0,"ScannedCount":0}"#),
        Some("GetItem" | "PutItem" | "UpdateItem") => (StatusCode::OK, "{}"),
        _ => (StatusCode::BAD_REQUEST, r#"{"__type":"com.amazon.coral.service#AccessDeniedException"}"#),
    };
    (status, [("content-type", "application/x-amz-json-1.0")], body).into_response()
}
