//! The committed API document is the one that the code makes.

#[test]
fn the_committed_document_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/openapi.json");
    let committed = std::fs::read_to_string(path).unwrap();
    let made = contract::openapi::document();
    assert!(committed == made, "stale: run `cargo run --release -- openapi > infra/openapi.json`");
}
