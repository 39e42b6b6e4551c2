//! The analyst's routes: rings are listed, told and drawn for who signs as an analyst, and for nobody else.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use aws::DynamoRings;
use jiff::SignedDuration;
use local::{
    borrower::{Applicant, Borrower},
    gateway::HttpAnswer,
};
use ports::rings::{RingBook as _, Sighting};
use serde_json::{Value, json};
use tests::{
    TestApp,
    analyst::{Signing, get, signed},
    quick_without_acceptance, sound_owners,
};

/// Some who apply on one device, a second apart. The last one is found in a ring.
async fn farm(
    app: &TestApp,
    device: &str,
    places: std::ops::Range<usize>,
) -> Vec<(Borrower, Applicant, String)> {
    let mut all = Vec::new();
    for place in places {
        let owner = app.firm(sound_owners().nth(place).unwrap()).await;
        let applicant = Applicant { device: device.to_owned(), ..owner.applicant(place as u32, 1000) };
        let borrower = app.sign_in(applicant.clone()).await;
        let id = borrower.apply(&quick_without_acceptance(), "key-1").await.unwrap();
        app.settle().await;
        app.clock.advance(SignedDuration::from_secs(1));
        all.push((borrower, applicant, id));
    }
    all
}

/// The names of the rings of a page.
fn names(page: &Value) -> Vec<&str> {
    page["rings"].as_array().unwrap().iter().map(|ring| ring["ring"].as_str().unwrap()).collect()
}

fn text(answer: &HttpAnswer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

fn assert_forbidden(answer: &HttpAnswer, why: &str) {
    assert_eq!((answer.status, answer.json()), (403, json!({ "message": "Forbidden" })), "{why}");
}

const ROUTES: [&str; 3] = [
    "/v1/rings",
    "/v1/rings/019aa0e1-0000-7000-8000-000000000001",
    "/v1/rings/019aa0e1-0000-7000-8000-000000000001/picture",
];

#[tokio::test]
async fn a_ring_is_listed_told_and_drawn_with_nothing_personal_for_an_analyst_who_signs() {
    let app = TestApp::start().await;
    let members = farm(&app, "one-device", 10..15).await;
    let (_, _, last) = members.last().unwrap();

    let list = signed(&app, "/v1/rings").await;
    let page = list.json();
    assert_eq!((list.status, names(&page).len()), (200, 1), "{page}");
    let listed = &page["rings"][0];
    assert_eq!(listed["label"]["code"], "device_farm");
    assert_eq!(listed["label"]["zh"], "设备农场");
    assert_eq!((&listed["applications"], &listed["firms"]), (&json!(5), &json!(5)));
    assert_eq!(listed["found_by"], last.as_str());
    assert!(page.get("next").is_none());

    let path = format!("/v1/rings/{}", names(&page)[0]);
    let told = signed(&app, &path).await;
    let ring = told.json();
    assert_eq!(told.status, 200, "{ring}");
    for name in ["ring", "also_known_as", "label", "applications", "firms", "found_by", "seen_at"] {
        assert_eq!(ring[name], listed[name], "{name}");
    }
    assert_eq!(ring["features"]["device_applications"], 5);
    assert_eq!(ring["features"]["profile"]["devices"], 1);
    assert_eq!(ring["findings"][0]["label"]["code"], "device_farm");
    assert!(ring["findings"][0]["points"].is_u64() && ring["findings"][0]["zh"].is_string());
    assert_eq!(ring["evidence"][0]["kind"], "device");
    assert_eq!(ring["members"].as_array().unwrap().len(), 5);
    let history = ring["history"].as_array().unwrap();
    assert_eq!(history[0]["found_by"], last.as_str(), "the latest comes first");
    let sizes: Vec<u64> = history.iter().map(|seen| seen["applications"].as_u64().unwrap()).collect();
    assert!(sizes.is_sorted_by(|a, b| a > b) && sizes[0] == 5, "{sizes:?}");
    assert_eq!(ring["history_cut_off"], false);

    let drawn = signed(&app, &format!("{path}/picture")).await;
    let picture = text(&drawn);
    assert_eq!((drawn.status, drawn.header("content-type")), (200, Some("image/svg+xml")));
    assert!(picture.starts_with("<svg ") && picture.contains("设备农场") && picture.contains(last));
    let policy = drawn.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("sandbox"), "{policy}");

    let answers = [&list, &told, &drawn];
    for answer in answers {
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        for (_, who, _) in &members {
            for value in [
                &who.name,
                &who.resident_id,
                &who.phone,
                &who.bank_card,
                &who.subject,
                &who.device,
                &who.network,
            ] {
                assert!(!text(answer).contains(value.as_str()), "{value}");
            }
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn pages_follow_each_other_from_the_ring_that_was_seen_last_even_while_others_are_seen_again() {
    let app = TestApp::start().await;
    for (device, first) in [("one", 10), ("two", 15), ("three", 20)] {
        farm(&app, device, first..first + 3).await;
    }
    let whole = signed(&app, "/v1/rings").await.json();
    let first = signed(&app, "/v1/rings?limit=2").await.json();
    assert_eq!((names(&whole).len(), names(&first)), (3, names(&whole)[..2].to_vec()));
    let next = first["next"].as_str().unwrap();

    farm(&app, "two", 18..19).await;
    let rest = signed(&app, &format!("/v1/rings?after={next}&limit=2")).await.json();
    assert_eq!(names(&rest), names(&whole)[2..]);
    assert!(rest.get("next").is_none());
    let moved = signed(&app, "/v1/rings?limit=1").await.json();
    assert_eq!(names(&moved), [names(&whole)[1]], "it was seen again");
    app.stop().await;
}

#[tokio::test]
async fn a_ring_answers_to_each_name_that_it_had_and_tells_its_history_back_to_a_bound() {
    let app = TestApp::start().await;
    farm(&app, "one-device", 10..13).await;
    let book = DynamoRings::new(app.lending.aws.dynamodb.clone(), "relations");
    let name = book.list().await.unwrap()[0].ring;
    let seen = book.history(name, 1).await.unwrap().remove(0);
    // Another check knew the ring by a smaller name, and from then on many find it by that.
    let stands = "00000000-0000-7000-8000-000000000001".parse().unwrap();
    let known = book.history(name, 1_000).await.unwrap().len();
    for second in 1..=i64::try_from(analyst::MOST_SIGHTINGS).unwrap() {
        let at = seen.at + SignedDuration::from_secs(second);
        let later = Sighting { ring: stands, merged: vec![name], at, ..seen.clone() };
        book.record(&later).await.unwrap();
        if second == 1 {
            let told = signed(&app, &format!("/v1/rings/{name}")).await.json();
            assert_eq!(told["history"].as_array().unwrap().len(), known + 1, "under both names");
            assert_eq!(told["history_cut_off"], false);
        }
    }
    for asked in [name, stands] {
        let told = signed(&app, &format!("/v1/rings/{asked}")).await.json();
        assert_eq!((&told["ring"], &told["also_known_as"]), (&json!(stands), &json!([name])));
        let history = told["history"].as_array().unwrap();
        assert_eq!((history.len(), &told["history_cut_off"]), (analyst::MOST_SIGHTINGS, &json!(true)));
        assert_eq!(history[0]["seen_at"], told["seen_at"], "the latest is told");
        let drawn = signed(&app, &format!("/v1/rings/{asked}/picture")).await;
        assert!(text(&drawn).contains("at least 200 times"));
    }
    app.stop().await;
}

#[tokio::test]
async fn what_is_not_there_or_not_a_name_is_a_problem_that_says_so() {
    let app = TestApp::start().await;
    for path in &ROUTES[1..] {
        let answer = signed(&app, path).await;
        assert_eq!((answer.status, answer.json()["type"].as_str()), (404, Some("/problems/not-found")));
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    for (path, pointers) in [
        ("/v1/rings/ring-1", vec!["/ring"]),
        ("/v1/rings/019AA0E1-0000-7000-8000-000000000001/picture", vec!["/ring"]),
        ("/v1/rings/%C3%A9%00", vec!["/ring"]),
        ("/v1/rings?limit=0", vec!["/limit"]),
        ("/v1/rings?limit=201", vec!["/limit"]),
        ("/v1/rings?limit=1&limit=2", vec!["/limit"]),
        ("/v1/rings?after=yesterday&limit=-1", vec!["/limit", "/after"]),
        ("/v1/rings?after=", vec!["/after"]),
    ] {
        let answer = signed(&app, path).await;
        let problem = answer.json();
        let named = problem["errors"].as_array().unwrap_or_else(|| panic!("{path}: {problem}"));
        let named: Vec<&str> = named.iter().map(|error| error["pointer"].as_str().unwrap()).collect();
        assert_eq!((answer.status, named), (422, pointers), "{path}");
    }
    app.stop().await;
}

#[tokio::test]
async fn fault_28_a_book_that_cannot_be_read_is_said_to_be_busy_and_no_ring_is_said_not_to_be_there() {
    let app = TestApp::start_with(tests::TestOptions::default()).await;
    for path in ROUTES {
        app.lending.engines.faults().fail("dynamodb:Query", 1, local::engines::Fault::Before);
        let answer = signed(&app, path).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{path}");
    }
    app.stop().await;
}

#[tokio::test]
async fn fault_23_a_borrowers_token_opens_no_route_of_the_analyst_and_an_analysts_signature_none_of_the_borrower()
 {
    let app = TestApp::start().await;
    let owner = app.firm(sound_owners().next().unwrap()).await;
    let borrower = app.sign_in(owner.applicant(1, 1000)).await;
    let token = ("authorization".to_owned(), format!("Bearer {}", borrower.token()));
    for path in ROUTES {
        assert_forbidden(&get(&app, path, std::slice::from_ref(&token)).await, path);
        let mut both = Signing::right(&app).headers(path);
        both.push(token.clone());
        assert_forbidden(&get(&app, path, &both).await, "a token beside a signature");
    }
    for path in ["/v1/products", "/v1/applications/019aa0e1-0000-7000-8000-000000000001"] {
        assert_eq!(signed(&app, path).await.status, 401, "{path}");
        assert_ne!(
            get(&app, path, std::slice::from_ref(&token)).await.status,
            403,
            "{path} is open to a token"
        );
    }
    assert_eq!(get(&app, "/openapi.json", &[]).await.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn fault_23_an_unsigned_request_opens_no_route_of_the_analyst_and_reads_nothing() {
    let app = TestApp::start().await;
    app.lending.engines.reset_calls();
    for path in ROUTES {
        assert_forbidden(&get(&app, path, &[]).await, path);
        for missing in ["authorization", "x-amz-date"] {
            let mut headers = Signing::right(&app).headers(path);
            headers.retain(|(name, _)| name != missing);
            assert_forbidden(&get(&app, path, &headers).await, missing);
        }
    }
    assert_eq!(app.lending.engines.calls().len(), 0, "a refused request costs no call");
    assert_eq!(signed(&app, ROUTES[0]).await.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn fault_23_a_signature_by_another_key_is_refused() {
    let app = TestApp::start().await;
    let right = Signing::right(&app);
    let (id, secret) = right.pair.split_once(':').unwrap();
    let other_secret = format!("{id}:{}", secret.chars().rev().collect::<String>());
    for pair in
        [other_secret, format!("AKLO0000000000000000:{secret}"), format!("{}:{secret}", id.to_lowercase())]
    {
        let headers = Signing { pair: pair.clone(), ..right.clone() }.headers(ROUTES[0]);
        assert_forbidden(&get(&app, ROUTES[0], &headers).await, &pair);
    }
    app.stop().await;
}

#[tokio::test]
async fn fault_23_a_signature_that_is_more_than_five_minutes_old_or_early_is_refused() {
    let app = TestApp::start().await;
    let right = Signing::right(&app);
    for (seconds, status) in [(-301, 403), (-300, 200), (0, 200), (300, 200), (301, 403), (-86_400, 403)] {
        let at = right.at + SignedDuration::from_secs(seconds);
        let headers = Signing { at, ..right.clone() }.headers(ROUTES[0]);
        assert_eq!(get(&app, ROUTES[0], &headers).await.status, status, "{seconds} s");
    }
    let mut redated =
        Signing { at: right.at - SignedDuration::from_hours(1), ..right.clone() }.headers(ROUTES[0]);
    let now = right.headers(ROUTES[0]).into_iter().find(|(name, _)| name == "x-amz-date").unwrap();
    redated.retain(|(name, _)| name != "x-amz-date");
    redated.push(now);
    assert_forbidden(&get(&app, ROUTES[0], &redated).await, "an old signature under a new date");
    app.stop().await;
}

#[tokio::test]
async fn fault_23_a_signature_for_another_service_or_region_is_refused() {
    let app = TestApp::start().await;
    let right = Signing::right(&app);
    for signing in [
        Signing { service: "s3".to_owned(), ..right.clone() },
        Signing { region: "eu-central-1".to_owned(), ..right.clone() },
    ] {
        let mut headers = signing.headers(ROUTES[0]);
        assert_forbidden(&get(&app, ROUTES[0], &headers).await, "as it was signed");
        // Said to be for us.
        for (_, value) in headers.iter_mut().filter(|(name, _)| name == "authorization") {
            *value =
                value.replace("/s3/", &format!("/{}/", right.service)).replace("eu-central-1", &right.region);
        }
        assert_forbidden(&get(&app, ROUTES[0], &headers).await, "as somebody relabelled it");
    }
    app.stop().await;
}

#[tokio::test]
async fn fault_23_a_signature_for_another_path_query_or_host_is_refused() {
    let app = TestApp::start().await;
    let right = Signing::right(&app);
    let limited = "/v1/rings?limit=2";
    for (wanted, signed_for) in [
        (ROUTES[0], limited),
        (limited, ROUTES[0]),
        ("/v1/rings?limit=3", limited),
        (ROUTES[1], ROUTES[0]),
        (ROUTES[2], ROUTES[1]),
        ("/v1/rings/./picture", "/v1/rings/picture"),
    ] {
        let headers = right.headers(signed_for);
        assert_forbidden(&straight(&app, wanted, &headers).await, wanted);
        assert_ne!(straight(&app, wanted, &right.headers(wanted)).await.status, 500, "{wanted}");
    }
    let mut elsewhere = Signing { host: "lending.example".to_owned(), ..right.clone() }.headers(ROUTES[0]);
    assert_eq!(straight(&app, ROUTES[0], &elsewhere).await.status, 200, "asked for under that name");
    elsewhere.retain(|(name, _)| name != "host");
    elsewhere.push(("host".to_owned(), right.host.clone()));
    assert_forbidden(&straight(&app, ROUTES[0], &elsewhere).await, "another host");
    elsewhere.retain(|(name, _)| name != "host");
    assert_forbidden(&straight(&app, ROUTES[0], &elsewhere).await, "no host");
    app.stop().await;
}

#[tokio::test]
async fn fault_23_what_a_signature_leaves_out_cannot_be_added() {
    let app = TestApp::start().await;
    let right = Signing::right(&app).headers(ROUTES[0]);
    for (name, value) in [
        ("x-amz-security-token", "session"),
        ("x-amz-meta", "anything"),
        ("x-amz-date", "20261123T020000Z"),
        ("host", "lending.example"),
    ] {
        let mut headers = right.clone();
        headers.push((name.to_owned(), value.to_owned()));
        assert_forbidden(&straight(&app, ROUTES[0], &headers).await, name);
    }
    for (from, to) in [
        ("host;x-amz-date", "x-amz-date"),
        ("host;x-amz-date", "host"),
        ("host;x-amz-date", "x-amz-date;host"),
        ("host;x-amz-date", "host;host;x-amz-date"),
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        ("Signature=", "Signature=0"),
        ("Signature=", "Signature"),
        (", Signature=", ", Other=1, Signature="),
    ] {
        let mut headers = right.clone();
        for (_, value) in headers.iter_mut().filter(|(name, _)| name == "authorization") {
            assert!(value.contains(from), "{value}");
            *value = value.replace(from, to);
        }
        assert_forbidden(&straight(&app, ROUTES[0], &headers).await, to);
    }
    assert_eq!(straight(&app, ROUTES[0], &right).await.status, 200);
    app.stop().await;
}

/// Through the gateway with exactly these headers; a client would put in some and straighten the path.
async fn straight(app: &TestApp, path: &str, headers: &[(String, String)]) -> HttpAnswer {
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    app.lending.stack.request("GET", path, &headers, "").await
}
