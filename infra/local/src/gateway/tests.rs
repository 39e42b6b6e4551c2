use super::*;
use aws_lambda_events::event::apigw::ApiGatewayV2httpRequest;

fn request(content_type: &str, body: &[u8]) -> HttpRequest {
    HttpRequest {
        method: "POST".to_owned(),
        path: "/v1/firms/%E5%8E%A6".to_owned(),
        query: "a=1&a=2&b=x%20y".to_owned(),
        headers: vec![
            ("Content-Type".to_owned(), content_type.to_owned()),
            ("X-Twice".to_owned(), "one".to_owned()),
            ("x-twice".to_owned(), "two".to_owned()),
            ("Cookie".to_owned(), "c=1; d=2".to_owned()),
        ],
        body: body.to_vec(),
        source_ip: "192.0.2.7".to_owned(),
    }
}

fn event_of(request: &HttpRequest) -> Value {
    let route = Route { method: "POST".to_owned(), path: "/v1/firms/{code}".to_owned(), is_signed: false };
    let parameters = parameters(&route.path, &request.path).unwrap();
    event(request, &route, &parameters, Timestamp::UNIX_EPOCH, 7).unwrap()
}

#[test]
fn a_request_becomes_an_event_of_payload_format_2() {
    let event = event_of(&request("application/json; charset=utf-8", b"{}"));
    assert_eq!(event["version"], "2.0");
    assert_eq!(event["routeKey"], "POST /v1/firms/{code}");
    assert_eq!(event["rawPath"], "/v1/firms/厦");
    assert_eq!(event["pathParameters"], json!({"code": "厦"}));
    assert_eq!(event["queryStringParameters"], json!({"a": "1,2", "b": "x y"}));
    assert_eq!(event["headers"]["x-twice"], "one,two");
    assert_eq!(event["headers"]["x-forwarded-for"], "192.0.2.7");
    assert_eq!(event["headers"].get("cookie"), None);
    assert_eq!(event["cookies"], json!(["c=1", "d=2"]));
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("{}"), &json!(false)));
    assert_eq!(event["requestContext"]["http"]["sourceIp"], "192.0.2.7");
    assert_eq!(event["requestContext"]["time"], "01/Jan/1970:00:00:00 +0000");
}

#[test]
fn the_event_is_what_lambdas_own_types_read() {
    let event: ApiGatewayV2httpRequest =
        serde_json::from_value(event_of(&request("application/json", b"{}"))).unwrap();
    assert_eq!(event.route_key.as_deref(), Some("POST /v1/firms/{code}"));
    assert_eq!(event.request_context.http.method.as_str(), "POST");
    assert_eq!(event.path_parameters["code"], "厦");
}

#[test]
fn a_body_that_is_not_text_is_encoded() {
    for (content_type, body, encoded) in [
        ("application/octet-stream", b"{}".as_slice(), true),
        ("application/json", b"\xff\xfe".as_slice(), true),
        ("application/problem+json", b"{}".as_slice(), false),
        ("text/plain", b"x".as_slice(), false),
        ("", b"x".as_slice(), true),
    ] {
        let event = event_of(&request(content_type, body));
        assert_eq!(event["isBase64Encoded"], encoded, "{content_type}");
        let expected =
            if encoded { STANDARD.encode(body) } else { String::from_utf8_lossy(body).into_owned() };
        assert_eq!(event["body"], expected, "{content_type}");
    }
    let empty = event_of(&request("application/json", b""));
    assert_eq!((empty.get("body"), &empty["isBase64Encoded"]), (None, &json!(false)));
}

#[test]
fn a_path_fits_a_pattern_segment_by_segment() {
    let pattern = "/v1/applications/{id}/accept";
    assert_eq!(parameters(pattern, "/v1/applications/a%2Fb/accept").unwrap()["id"], "a/b");
    for other in [
        "/v1/applications//accept",
        "/v1/applications/a",
        "/v1/applications/a/accept/",
        "/v1/applications/a/cancel",
        "/v1/applications/%ff/accept",
        "/v1/applications/%4/accept",
    ] {
        assert_eq!(parameters(pattern, other), None, "{other}");
    }
}

#[test]
fn an_answer_becomes_a_response() {
    let full = answer(&json!({
        "statusCode": 201,
        "headers": {"Content-Type": "text/plain", "X-Count": 3},
        "cookies": ["a=1", "b=2"],
        "body": STANDARD.encode(b"\xff"),
        "isBase64Encoded": true,
    }))
    .unwrap();
    assert_eq!((full.status, full.body.as_slice()), (201, b"\xff".as_slice()));
    assert_eq!(full.header("content-type"), Some("text/plain"));
    assert_eq!(full.header("x-count"), Some("3"));
    assert_eq!(full.headers.iter().filter(|(name, _)| name == "set-cookie").count(), 2);

    let bare = answer(&json!({"hello": "world"})).unwrap();
    assert_eq!((bare.status, bare.json()), (200, json!({"hello": "world"})));

    for bad in [
        json!({"statusCode": "many"}),
        json!({"statusCode": 99}),
        json!({"statusCode": 200, "body": "%%", "isBase64Encoded": true}),
        json!({"statusCode": 200, "headers": {"x": []}}),
    ] {
        assert_eq!(answer(&bad), None, "{bad}");
    }
}
