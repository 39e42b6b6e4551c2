//! What the local runner keeps in its folder from one run to the next.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use local::lending::{Lending, LendingError, LendingOptions};
use std::path::Path;

async fn start(state: &Path) -> Result<(), LendingError> {
    let state = Some(state.to_owned());
    Lending::start(LendingOptions { state, ..LendingOptions::default() }).await?.stop().await;
    Ok(())
}

#[tokio::test]
async fn tables_whose_keys_are_gone_are_not_given_new_ones() {
    let folder = tempfile::tempdir().unwrap();
    start(folder.path()).await.unwrap();
    let keys = folder.path().join("keys.json");
    let kept = std::fs::read(&keys).unwrap();
    std::fs::remove_file(&keys).unwrap();
    assert!(matches!(start(folder.path()).await, Err(LendingError::KeysGone(_))));
    assert!(!keys.exists(), "nothing is made in their place");
    std::fs::write(&keys, kept).unwrap();
    start(folder.path()).await.unwrap();
}

#[tokio::test]
async fn a_folder_is_one_runners_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let state = Some(folder.path().to_owned());
    let first = Lending::start(LendingOptions { state, ..LendingOptions::default() }).await.unwrap();
    assert!(matches!(start(folder.path()).await, Err(LendingError::InUse(_))));
    first.stop().await;
    start(folder.path()).await.unwrap();
}
