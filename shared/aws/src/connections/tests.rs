use super::*;
use crate::Aws;
use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
const BROKEN_OFF: &str = "HTTP/1.1 200 OK\r\ncontent-le";

/// Answers every request in the same way, and counts the connections.
async fn server(answer: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, connections) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = connections.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut request = [0; 4_096];
                while stream.read(&mut request).await.unwrap_or(0) > 0 {
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    if answer == BROKEN_OFF {
                        return;
                    }
                }
            });
        }
    });
    (address, connections)
}

fn connector() -> Connector {
    Connector::new(&HttpConnectorSettings::builder().build())
}

async fn get(connector: &Connector, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let mut response = connector.call(request).await?;
    let body = std::mem::replace(response.body_mut(), SdkBody::taken());
    assert_eq!(aws_smithy_types::byte_stream::ByteStream::new(body).collect().await.unwrap().to_vec(), b"{}");
    Ok(response)
}

fn request(address: SocketAddr) -> HttpRequest {
    HttpRequest::get(format!("http://{address}/")).unwrap()
}

#[tokio::test]
async fn a_connection_is_used_again_and_a_poisoned_one_is_not() {
    let (address, connections) = server(OK).await;
    let connector = connector();
    for _ in 0..3 {
        assert_eq!(get(&connector, request(address)).await.unwrap().status().as_u16(), 200);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    let (capture, mut last) = (CaptureSmithyConnection::new(), request(address));
    last.add_extension(capture.clone());
    get(&connector, last).await.unwrap();
    capture.get().unwrap().poison();
    get(&connector, request(address)).await.unwrap();
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_may_be_sent_again_is_told_from_what_may_not() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = get(&connector(), request(nobody)).await.unwrap_err();
    assert!(refused.is_io(), "{refused:?}");
    let (address, _) = server(BROKEN_OFF).await;
    let broken_off = get(&connector(), request(address)).await.unwrap_err();
    assert_eq!(broken_off.as_other(), Some(ErrorKind::TransientError), "{broken_off:?}");
    let no_host = HttpRequest::get("/nowhere").unwrap();
    let unusable = get(&connector(), no_host).await.unwrap_err();
    assert!(!unusable.is_io() && !unusable.is_timeout() && unusable.as_other().is_none(), "{unusable:?}");
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_given_up_in_time_for_another_try() {
    // It accepts connections, by its system, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = HttpConnectorSettings::builder().connect_timeout(Duration::from_millis(50)).build();
    let address = silent.local_addr().unwrap();
    let request = HttpRequest::get(format!("https://{address}/")).unwrap();
    let late = get(&Connector::new(&settings), request).await.unwrap_err();
    assert!(late.is_timeout(), "{late:?}");
}

#[tokio::test]
async fn a_server_that_none_of_the_roots_vouches_for_gets_no_request() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let handshake = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        TlsAcceptor::from(Arc::new(config)).accept(stream).await.map(drop)
    });
    let request = HttpRequest::get(format!("https://localhost:{port}/")).unwrap();
    let refused = get(&connector(), request).await.unwrap_err();
    assert!(format!("{refused:?}").contains("UnknownIssuer"), "{refused:?}");
    assert!(handshake.await.unwrap().is_err(), "the handshake is not finished");
}

#[tokio::test]
async fn the_roots_are_read_for_the_first_request_and_not_for_every_client() {
    let (address, connected) = server(OK).await;
    let connections = Connections::default();
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
        .http_client(connections.clone())
        .retry_config(RetryConfig::disabled())
        .endpoint_url(format!("http://{address}"))
        .build();
    let aws = Aws::from_sdk_config(&config);
    let (_kms, secrets) = (aws.kms(), aws.secrets_manager());
    assert!(connections.connector.get().is_none(), "clients alone need no connector");
    aws.warm().await;
    secrets.list_secrets().send().await.unwrap();
    assert_eq!(connected.load(Ordering::SeqCst), 1, "all services share the pool");
}

#[test]
fn the_roots_are_mozillas() {
    assert!(webpki_roots::TLS_SERVER_ROOTS.len() > 100);
    assert!(tls().is_ok());
}
