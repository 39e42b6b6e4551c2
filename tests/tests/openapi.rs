//! The committed API document is the one that the code makes.

use serde_json::Value;

#[test]
fn every_response_says_what_it_means_as_openapi_wants() {
    let document: Value = serde_json::from_str(&contract::openapi::document()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let meaning = response["description"].as_str().unwrap_or_default();
                assert!(!meaning.is_empty(), "{method} {path} {status}");
            }
        }
    }
}

#[test]
fn the_committed_document_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/openapi.json");
    let committed = std::fs::read_to_string(path).unwrap();
    let made = contract::openapi::document();
    assert!(committed == made, "stale: run `cargo run --release -- openapi > infra/openapi.json`");
}
