//! The engines at an address of this machine, in plain HTTP, for a function that runs in a process of its own.

use super::{REGION, connector::EmbeddedClient};
use aws_smithy_runtime_api::{
    client::{http::HttpConnector as _, orchestrator::HttpRequest},
    http::StatusCode as SmithyStatus,
};
use aws_smithy_types::body::SdkBody;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use std::{io, net::Ipv4Addr};
use tokio::{net::TcpListener, task::JoinHandle};

/// The address while it is served.
#[derive(Debug)]
pub struct Endpoint {
    pub url: String,
    serving: JoinHandle<()>,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Serves the engines to one caller.
pub(super) async fn serve(client: EmbeddedClient) -> io::Result<Endpoint> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = Router::new().fallback(answer).with_state(client);
    let serving = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
    Ok(Endpoint { url, serving })
}

/// The engine of queues reads the region from the host.
fn as_of_aws(uri: &Uri) -> String {
    format!("https://sqs.{REGION}.amazonaws.com{}", uri.path())
}

async fn answer(
    State(client): State<EmbeddedClient>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut request = HttpRequest::new(SdkBody::from(body));
    // What cannot be said again was not said by an SDK.
    let said = request.set_method(method.as_str()).is_ok() && request.set_uri(as_of_aws(&uri)).is_ok();
    for (name, value) in &headers {
        if let Ok(value) = value.to_str() {
            request.headers_mut().append(name.as_str().to_owned(), value.to_owned());
        }
    }
    if !said {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let Ok(answered) = client.call(request).await else { return StatusCode::BAD_GATEWAY.into_response() };
    let status: SmithyStatus = answered.status();
    let status = StatusCode::from_u16(status.as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = Bytes::copy_from_slice(answered.body().bytes().unwrap_or_default()).into_response();
    *response.status_mut() = status;
    for (name, value) in answered.headers() {
        let name = axum::http::HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, value.parse()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
