//! What an application costs, held to the counts in `infra/cost.txt`.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use local::cost;

#[tokio::test]
async fn an_application_of_each_case_costs_what_is_written_down() {
    let counted = cost::pinned::text(&cost::measure().await.unwrap());
    let written = std::fs::read_to_string(cost::pinned::path()).unwrap();
    let differences: Vec<String> = written
        .lines()
        .zip(counted.lines())
        .filter(|(written, counted)| written != counted)
        .map(|(written, counted)| format!("- {written}\n+ {counted}"))
        .collect();
    assert!(written == counted, "cargo run -- cost --write writes it anew:\n{}", differences.join("\n"));
}
