//! The data keys of KMS: on the embedded engine, and on an implementation of KMS that others wrote. Ministack's is not fit
//! for it: it encrypts without a tag, so that what was changed unwraps to something.

use crate::engines;
use aws::KmsDataKeys;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kms::{
    Client,
    config::{Credentials, SharedCredentialsProvider},
};
use ports::conformance::data_keys::{
    a_wrapped_key_does_not_show_the_key, a_wrapped_key_that_was_changed_anywhere_is_refused_for_good,
    a_wrapped_key_unwraps_to_the_key_that_was_given_out, no_two_keys_are_the_same,
    what_another_master_key_wrapped_is_refused_for_good,
};

async fn conform(keys: &KmsDataKeys, others: &KmsDataKeys) {
    a_wrapped_key_unwraps_to_the_key_that_was_given_out(keys).await;
    no_two_keys_are_the_same(keys).await;
    a_wrapped_key_does_not_show_the_key(keys).await;
    a_wrapped_key_that_was_changed_anywhere_is_refused_for_good(keys).await;
    what_another_master_key_wrapped_is_refused_for_good(keys, others).await;
}

/// The data keys of two new KMS keys.
async fn two_keys(client: &Client) -> [KmsDataKeys; 2] {
    let mut keys = Vec::new();
    for _ in 0..2 {
        let made = client.create_key().send().await.expect("a key is made");
        let id = made.key_metadata().expect("what was made").key_id().to_owned();
        keys.push(KmsDataKeys::new(client.clone(), id));
    }
    keys.try_into().expect("two keys")
}

#[tokio::test]
async fn the_data_keys_of_the_embedded_kms_conform() {
    let (engines, aws) = engines().await;
    let keys = |id: &str| KmsDataKeys::new(aws.kms(), id);
    conform(&keys("personal-data"), &keys("another")).await;
    engines.stop().await;
}

#[tokio::test]
async fn the_data_keys_of_an_independent_kms_conform() {
    let kms = winterbaume_core::MockAws::builder().with_service(winterbaume_kms::KmsService::new()).build();
    let anyone = Credentials::new("anyone", "anyone", None, None, "a test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(anyone))
        .http_client(kms.http_client())
        .build();
    let [keys, others] = two_keys(&Client::new(&config)).await;
    conform(&keys, &others).await;
}
