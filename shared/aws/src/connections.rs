//! The SDK's HTTP client on Lambda: HTTP/1.1, one pool of connections for all services, and Mozilla's roots, which are part of
//! the binary as they are used. The SDK's own client makes a connector for each service only to see that one can be made, and
//! for each reads all roots, out of files or out of PEM, the only forms that it takes; that took longer than everything else
//! at a cold start.

use aws_smithy_runtime_api::client::{
    connection::{CaptureSmithyConnection, ConnectionMetadata},
    http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::{body::SdkBody, retry::ErrorKind};
use futures::future::BoxFuture;
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{CaptureConnection, HttpConnector as TcpConnector, capture_connection},
    },
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use std::{
    error::Error,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};
use tower_service::Service;

type BoxError = Box<dyn Error + Send + Sync>;

/// Makes its connector for the first request of all, with the settings of whichever service sends it. They are the same
/// for all services: [`crate::load`] gives them once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections {
    connector: Arc<OnceLock<SharedHttpConnector>>,
}

impl HttpClient for Connections {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.connector.get_or_init(|| SharedHttpConnector::new(Connector::new(settings))).clone()
    }
}

/// Sends requests. How long an answer may take is the SDK's own affair ([`crate::load`] gives it a limit for an attempt): what
/// it gives up is dropped.
#[derive(Debug)]
struct Connector {
    client: Result<Client<Within<HttpsConnector<TcpConnector>>, SdkBody>, rustls::Error>,
}

impl Connector {
    fn new(settings: &HttpConnectorSettings) -> Self {
        let mut tcp = TcpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let limit = settings.connect_timeout();
        let client = tls().map(|tls| {
            let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
            let connecting = Within { inner: https.wrap_connector(tcp), limit };
            Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connecting)
        });
        Self { client }
    }
}

/// Looks the name up, connects and shakes hands, all within a limit.
#[derive(Clone, Debug)]
struct Within<C> {
    inner: C,
    limit: Option<Duration>,
}

/// A connection took longer than it may.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no connection within {0:?}")]
struct NoConnection(Duration);

impl<C> Service<Uri> for Within<C>
where
    C: Service<Uri, Error: Into<BoxError>, Future: Send + 'static>,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<C::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, limit) = (self.inner.call(uri), self.limit);
        Box::pin(async move {
            match limit {
                None => connecting.await.map_err(Into::into),
                Some(limit) => match tokio::time::timeout(limit, connecting).await {
                    Ok(connected) => connected.map_err(Into::into),
                    Err(_) => Err(NoConnection(limit).into()),
                },
            }
        })
    }
}

/// The roots' names and keys, which the compiler has put where they are read.
fn tls() -> Result<ClientConfig, rustls::Error> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = match &self.client {
            Ok(client) => client,
            Err(error) => return HttpConnectorFuture::ready(Err(ConnectorError::user(error.clone().into()))),
        };
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into()))),
        };
        let connection = capture_connection(&mut request);
        if let Some(capture) = request.extensions().get::<CaptureSmithyConnection>() {
            capture.set_connection_retriever(move || used(&connection));
        }
        let answer = client.request(request);
        HttpConnectorFuture::new(async move {
            let response = answer.await.map_err(failed)?;
            HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// The connection that a request was sent on, which the SDK keeps from being used again when something is wrong with it.
fn used(connection: &CaptureConnection) -> Option<ConnectionMetadata> {
    let connection = connection.clone();
    connection.connection_metadata().as_ref()?;
    let poison = move || {
        if let Some(connected) = connection.connection_metadata().as_ref() {
            connected.poison();
        }
    };
    Some(ConnectionMetadata::builder().proxied(false).poison_fn(poison).build())
}

/// What the SDK may do about it: it sends again after a connection that took too long or broke, or an answer that broke off.
fn failed(error: hyper_util::client::legacy::Error) -> ConnectorError {
    if source::<NoConnection>(&error).is_some() {
        return ConnectorError::timeout(error.into());
    }
    let is_io = error.is_connect() || source::<std::io::Error>(&error).is_some();
    match source::<hyper::Error>(&error) {
        Some(http) if http.is_user() => ConnectorError::user(error.into()),
        Some(http) if http.is_incomplete_message() => {
            ConnectorError::other(error.into(), Some(ErrorKind::TransientError))
        }
        Some(http) if http.is_closed() || http.is_canceled() => ConnectorError::io(error.into()),
        _ if is_io => ConnectorError::io(error.into()),
        _ => ConnectorError::other(error.into(), None),
    }
}

/// The first error of a type among an error and what it came from.
fn source<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|error| error.downcast_ref())
}

#[cfg(test)]
mod tests;
