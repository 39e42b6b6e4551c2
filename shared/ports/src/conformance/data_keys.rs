//! What whoever gives out data keys promises.

use crate::{PortError, data_keys::DataKeys};
use std::collections::HashSet;

pub async fn a_wrapped_key_unwraps_to_the_key_that_was_given_out(keys: &dyn DataKeys) {
    let given = keys.generate().await.unwrap();
    assert_eq!(keys.unwrap(&given.wrapped).await.unwrap().bytes(), given.plain.bytes());
    assert_eq!(keys.unwrap(&given.wrapped).await.unwrap().bytes(), given.plain.bytes(), "again and again");
}

pub async fn no_two_keys_are_the_same(keys: &dyn DataKeys) {
    let (mut plain, mut wrapped) = (HashSet::new(), HashSet::new());
    for _ in 0..8 {
        let given = keys.generate().await.unwrap();
        assert!(plain.insert(*given.plain.bytes()) && wrapped.insert(given.wrapped));
    }
}

pub async fn a_wrapped_key_does_not_show_the_key(keys: &dyn DataKeys) {
    let given = keys.generate().await.unwrap();
    assert!(!given.wrapped.windows(8).any(|part| given.plain.bytes().windows(8).any(|key| key == part)));
}

pub async fn a_wrapped_key_that_was_changed_anywhere_is_refused_for_good(keys: &dyn DataKeys) {
    let wrapped = keys.generate().await.unwrap().wrapped;
    for place in 0..wrapped.len() {
        let mut changed = wrapped.clone();
        changed[place] ^= 1;
        let refused = keys.unwrap(&changed).await;
        assert!(matches!(refused, Err(PortError::Broken { .. })), "byte {place}");
    }
    for wrong in [&[][..], &wrapped[..wrapped.len() - 1], b"no wrapped key at all"] {
        assert!(matches!(keys.unwrap(wrong).await, Err(PortError::Broken { .. })));
    }
}

/// `others` are the keys of another master key, or of another purpose.
pub async fn what_another_master_key_wrapped_is_refused_for_good(keys: &dyn DataKeys, others: &dyn DataKeys) {
    let foreign = others.generate().await.unwrap();
    assert!(matches!(keys.unwrap(&foreign.wrapped).await, Err(PortError::Broken { .. })));
}
