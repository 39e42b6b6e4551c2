//! Every outcome against a real server on the loopback interface.

use super::*;
use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode as Status, header as names},
    response::IntoResponse,
    routing::post,
};
use signing::{Verifier, WebhookHeaders};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn id() -> MessageId {
    "msg_1".parse().unwrap()
}

fn target(url: &str) -> Target {
    Target::new(url, Signer::parse([SECRET]).unwrap()).unwrap()
}

fn sender_with(change: impl FnOnce(&mut SenderConfig)) -> Sender {
    let mut config = SenderConfig { allow_private_addresses: true, ..SenderConfig::default() };
    change(&mut config);
    Sender::new(config).unwrap()
}

/// Serves `router` on a free port and returns its base URL. The server ends with the test's runtime.
async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// Accepts connections one after the other, reads the whole request (or the start of what is none), writes `answer`
/// and closes.
async fn serve_raw(answer: impl Into<Vec<u8>>) -> String {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            read_request(&mut stream).await;
            let _ = stream.write_all(&answer).await;
        }
    });
    url
}

/// Reads until the body `{}` that these tests send, or until it is clear that this is no POST.
async fn read_request(stream: &mut tokio::net::TcpStream) {
    let mut request = Vec::new();
    while stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
        if request.ends_with(b"{}") || request[0] != b'P' {
            break;
        }
    }
}

async fn delivery_from<A: IntoResponse + Clone + Send + Sync + 'static>(answer: A) -> Delivery {
    let url = serve(Router::new().route("/", post(move || std::future::ready(answer.clone())))).await;
    sender_with(|_| ()).send(&target(&url), &id(), b"{}".to_vec(), now()).await
}

#[tokio::test]
async fn a_taken_message_is_accepted_with_the_body_of_the_answer() {
    let delivery = delivery_from((Status::ACCEPTED, "{\"accepted\":true}")).await;
    let Delivery::Accepted { status: 202, body } = delivery else { panic!("{delivery:?}") };
    assert_eq!(body.as_bytes(), b"{\"accepted\":true}");
}

#[tokio::test]
async fn the_receiver_can_verify_what_it_receives() {
    async fn check(headers: HeaderMap, body: Bytes) -> Status {
        let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let headers_of_message = WebhookHeaders::from_pairs(pairs).unwrap();
        let verified = Verifier::parse([SECRET]).unwrap().verify(&headers_of_message, &body, now());
        let json = headers[names::CONTENT_TYPE] == "application/json";
        if json && verified == Ok(id()) { Status::OK } else { Status::UNAUTHORIZED }
    }
    let url = serve(Router::new().route("/", post(check))).await;
    let delivery =
        sender_with(|_| ()).send(&target(&url), &id(), b"{\"amount_fen\":1}".to_vec(), now()).await;
    assert_eq!(delivery.status(), Some(200));
}

#[tokio::test]
async fn a_client_error_is_refused_with_its_reason() {
    let delivery = delivery_from((Status::CONFLICT, "other amount")).await;
    let Delivery::Refused { status: 409, body } = delivery else { panic!("{delivery:?}") };
    assert_eq!(body.as_bytes(), b"other amount");
}

#[tokio::test]
async fn gone_is_gone() {
    assert_eq!(delivery_from(Status::GONE).await, Delivery::Gone);
}

#[tokio::test]
async fn fault_12_a_redirect_is_not_followed() {
    static VISITS: AtomicUsize = AtomicUsize::new(0);
    async fn elsewhere() -> Status {
        VISITS.fetch_add(1, Ordering::SeqCst);
        Status::OK
    }
    let other = serve(Router::new().route("/", post(elsewhere).get(elsewhere))).await;
    for status in [Status::MOVED_PERMANENTLY, Status::FOUND, Status::SEE_OTHER, Status::TEMPORARY_REDIRECT] {
        let delivery = delivery_from((status, [(names::LOCATION, other.clone())])).await;
        assert_eq!(delivery, Delivery::Redirected { status: status.as_u16() });
        assert!(delivery.outcome_unknown());
    }
    assert_eq!(VISITS.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_throttle_tells_for_how_many_seconds() {
    let throttled =
        |value: &'static str| delivery_from((Status::TOO_MANY_REQUESTS, [(names::RETRY_AFTER, value)]));
    let after = |seconds| Delivery::Throttled { retry_after: seconds };
    assert_eq!(throttled("7").await, after(Some(Duration::from_secs(7))));
    assert_eq!(throttled("0").await, after(Some(Duration::ZERO)));
    assert_eq!(throttled("99999999").await, after(Some(crate::LONGEST_RETRY_AFTER)));
    assert_eq!(
        throttled("Fri, 31 Dec 2027 23:59:59 GMT").await,
        after(Some(crate::LONGEST_RETRY_AFTER)),
        "a date counts too"
    );
    assert_eq!(throttled("-1").await, after(None));
    assert_eq!(delivery_from(Status::TOO_MANY_REQUESTS).await, after(None));
}

#[tokio::test]
async fn a_server_error_leaves_the_outcome_unknown() {
    for status in [Status::INTERNAL_SERVER_ERROR, Status::BAD_GATEWAY, Status::GATEWAY_TIMEOUT] {
        let delivery = delivery_from(status).await;
        assert_eq!(delivery, Delivery::ServerError { status: status.as_u16(), retry_after: None });
        assert!(delivery.outcome_unknown());
    }
}

#[tokio::test]
async fn a_status_that_does_not_exist_counts_as_a_server_error() {
    let url = serve_raw(b"HTTP/1.1 799 What\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    let delivery = sender_with(|_| ()).send(&target(&url), &id(), b"{}".to_vec(), now()).await;
    assert_eq!(delivery, Delivery::ServerError { status: 799, retry_after: None });
}

#[tokio::test]
async fn a_request_timeout_answer_counts_as_a_time_out() {
    assert_eq!(delivery_from(Status::REQUEST_TIMEOUT).await, Delivery::TimedOut);
}

#[tokio::test]
async fn silence_ends_with_the_total_timeout_and_an_unknown_outcome() {
    let url = serve(Router::new().route("/", post(std::future::pending::<Status>))).await;
    let sender = sender_with(|config| config.total_timeout = Duration::from_millis(200));
    let delivery = sender.send(&target(&url), &id(), b"{}".to_vec(), now()).await;
    assert_eq!(delivery, Delivery::TimedOut);
    assert!(delivery.outcome_unknown());
}

/// Sends one byte each 20 ms, for ever.
async fn drip(mut stream: tokio::net::TcpStream) {
    read_request(&mut stream).await;
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n").await;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    while stream.write_all(b" ").await.is_ok() {
        ticks.tick().await;
    }
}

#[tokio::test]
async fn fault_12_a_body_that_drips_is_cut_off_by_the_total_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(drip(stream));
        }
    });
    let sender = sender_with(|config| config.total_timeout = Duration::from_millis(200));
    assert_eq!(sender.send(&target(&url), &id(), b"{}".to_vec(), now()).await, Delivery::TimedOut);
}

#[tokio::test]
async fn an_answer_of_seventy_kilobytes_is_not_read_to_its_end() {
    let large = Bytes::from(vec![b' '; 70 * 1024]);
    let delivery = delivery_from((Status::OK, large)).await;
    assert_eq!(delivery, Delivery::Oversized { status: 200 });
    assert!(delivery.outcome_unknown());
}

#[tokio::test]
async fn an_answer_of_exactly_the_limit_is_read() {
    let sender = sender_with(|config| config.max_response_bytes = 1000);
    let answer = |length: usize| Router::new().route("/", post(move || async move { vec![b'x'; length] }));
    let (fits, exceeds) = (serve(answer(1000)).await, serve(answer(1001)).await);
    let sent = sender.send(&target(&fits), &id(), b"{}".to_vec(), now()).await;
    assert!(matches!(sent, Delivery::Accepted { .. }));
    let sent = sender.send(&target(&exceeds), &id(), b"{}".to_vec(), now()).await;
    assert_eq!(sent, Delivery::Oversized { status: 200 });
}

#[tokio::test]
async fn a_body_of_unstated_length_is_limited_too() {
    let mut answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..70 {
        answer.extend_from_slice(b"400\r\n");
        answer.extend_from_slice(&[b' '; 1024]);
        answer.extend_from_slice(b"\r\n");
    }
    let url = serve_raw(answer).await;
    let delivery = sender_with(|_| ()).send(&target(&url), &id(), b"{}".to_vec(), now()).await;
    assert_eq!(delivery, Delivery::Oversized { status: 200 });
}

#[tokio::test]
async fn nobody_listening_is_unreachable_and_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let delivery = sender_with(|_| ()).send(&target(&url), &id(), b"{}".to_vec(), now()).await;
    assert_eq!(delivery, Delivery::Unreachable);
    assert!(!delivery.outcome_unknown());
}

#[tokio::test]
async fn a_server_without_tls_is_unreachable_over_https() {
    let url = serve_raw(b"HTTP/1.1 200 OK\r\n\r\n").await.replace("http:", "https:");
    let delivery = sender_with(|_| ()).send(&target(&url), &id(), b"{}".to_vec(), now()).await;
    assert_eq!(delivery, Delivery::Unreachable);
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_leaves_the_outcome_unknown() {
    for answer in [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf", b"what is this\r\n\r\n"] {
        let url = serve_raw(answer).await;
        let delivery = sender_with(|_| ()).send(&target(&url), &id(), b"{}".to_vec(), now()).await;
        assert_eq!(delivery, Delivery::Broken);
        assert!(delivery.outcome_unknown());
    }
}

#[tokio::test]
async fn fault_24_private_loopback_and_metadata_addresses_are_refused_before_anything_is_sent() {
    let sender = Sender::new(SenderConfig::default()).unwrap();
    for url in [
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1:8443/",
        "https://[::1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://[fd00:ec2::254]/",
    ] {
        let delivery = sender.send(&target(url), &id(), b"{}".to_vec(), now()).await;
        assert_eq!(delivery, Delivery::AddressRefused, "{url}");
    }
}

#[tokio::test]
async fn fault_24_a_name_that_leads_to_a_private_address_is_refused_after_resolution() {
    let sender = Sender::new(SenderConfig::default()).unwrap();
    let delivery = sender.send(&target("https://localhost/"), &id(), b"{}".to_vec(), now()).await;
    assert_eq!(delivery, Delivery::AddressRefused);
}

#[tokio::test]
async fn plain_http_is_refused_outside_of_tests() {
    let sender = Sender::new(SenderConfig::default()).unwrap();
    let delivery = sender.send(&target("http://1.1.1.1/"), &id(), b"{}".to_vec(), now()).await;
    assert_eq!(delivery, Delivery::AddressRefused);
}

#[test]
fn only_web_addresses_without_a_password_are_targets() {
    let signer = || Signer::parse([SECRET]).unwrap();
    for bad in [
        "",
        "bank",
        "/payouts",
        "ftp://bank.test/",
        "file:///etc/hosts",
        "https://",
        "https://u:p@bank.test/",
    ] {
        assert_eq!(Target::new(bad, signer()).unwrap_err(), BadTarget, "{bad}");
    }
    assert!(Target::new("https://bank.test/payouts", signer()).is_ok());
}

#[tokio::test]
async fn a_question_is_answered_with_a_parsed_value() {
    let url = serve(Router::new().route("/", post(|| async { "{\"state\":\"paid\"}" }))).await;
    let answer: serde_json::Value =
        sender_with(|_| ()).ask(&target(&url), &id(), b"{}".to_vec(), now()).await.unwrap();
    assert_eq!(answer["state"], "paid");
}

#[tokio::test]
async fn fault_12_a_question_that_is_refused_or_answered_with_garbage_has_no_answer() {
    let garbage = serve(Router::new().route("/", post(|| async { "<html>" }))).await;
    let refusing = serve(Router::new().route("/", post(|| async { Status::NOT_FOUND }))).await;
    let sender = sender_with(|_| ());
    let (garbage, refusing) = (target(&garbage), target(&refusing));
    let answer = sender.ask::<serde_json::Value>(&garbage, &id(), b"{}".to_vec(), now()).await;
    assert_eq!(answer, Err(Unanswered::Garbage { status: 200 }));
    let answer = sender.ask::<serde_json::Value>(&refusing, &id(), b"{}".to_vec(), now()).await;
    assert!(matches!(answer, Err(Unanswered::NotAccepted(Delivery::Refused { status: 404, .. }))));
}

#[tokio::test]
async fn clones_share_one_connection() {
    let connections = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let counted = Arc::clone(&connections);
    let listener = axum::serve::ListenerExt::tap_io(listener, move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let router = Router::new().route("/", post(|| async { Status::OK }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let (first, target) = (sender_with(|_| ()), target(&url));
    let second = first.clone();
    for sender in [&first, &second, &first] {
        let delivery = sender.send(&target, &id(), b"{}".to_vec(), now()).await;
        assert!(matches!(delivery, Delivery::Accepted { .. }));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}
