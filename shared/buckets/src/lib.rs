//! Opens the buckets that functions read and write files in, by the URL in a setting, and reads signed models.
//!
//! Opening makes no call; what the store answers, and how often it is asked again, is `object_store`'s.

mod models;

pub use models::{Change, ModelBucket, ModelFileError};

use object_store::{
    Certificate, ClientOptions, ObjectStore, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, Checksum},
    parse_url,
    prefix::PrefixStore,
};
use std::{sync::Arc, time::Duration};
use url::Url;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

/// The URL names no bucket that can be opened.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    #[error("the URL of a bucket is not one")]
    Url(#[from] url::ParseError),
    #[error("the bucket cannot be opened")]
    Open(#[from] object_store::Error),
}

/// `s3://bucket`, with region and credentials from the process's environment; `file:///folder` or `memory:///` locally.
/// A call is given up `within` this time, half of it for each try.
///
/// # Errors
/// [`BucketError`] for a URL of another kind.
pub fn open(url: &str, within: Duration) -> Result<Arc<dyn ObjectStore>, BucketError> {
    let url: Url = url.parse()?;
    if url.scheme() != "s3" {
        let (store, folder) = parse_url(&url)?;
        return Ok(Arc::new(PrefixStore::new(store, folder)));
    }
    Ok(Arc::new(bucket(url, within, AmazonS3Builder::from_env())?))
}

fn bucket(url: Url, within: Duration, settings: AmazonS3Builder) -> Result<AmazonS3, object_store::Error> {
    let client = packaged_roots()?
        // Only where AWS_ENDPOINT_URL names an emulator; the other services' clients do the same.
        .with_allow_http(true)
        .with_connect_timeout(within.min(Duration::from_secs(2)))
        .with_timeout(within / 2)
        .with_content_type_for_suffix("json", "application/json")
        .with_content_type_for_suffix("html", "text/html; charset=utf-8");
    let retries = RetryConfig { max_retries: 3, retry_timeout: within, ..RetryConfig::default() };
    in_its_partition(settings)
        .with_url(url)
        .with_client_options(client)
        .with_retry(retries)
        // A bucket with Object Lock takes nothing without a checksum.
        .with_checksum_algorithm(Checksum::SHA256)
        .build()
}

/// Names S3 as it is called in China: `object_store` knows its names in the partition `aws` alone. An endpoint that is set
/// already stays. Source: the partitions that the SDKs know by their regions.
fn in_its_partition(settings: AmazonS3Builder) -> AmazonS3Builder {
    let is_set = |key| settings.get_config_value(&key).is_some();
    if is_set(AmazonS3ConfigKey::Endpoint) || is_set(AmazonS3ConfigKey::S3Endpoint) {
        return settings;
    }
    let region = settings.get_config_value(&AmazonS3ConfigKey::Region).unwrap_or_default();
    match region.starts_with("cn-") {
        true => settings.with_endpoint(format!("https://s3.{region}.amazonaws.com.cn")),
        false => settings,
    }
}

/// Trusts Mozilla's roots, which are part of the binary, as the SDK's clients do on Lambda: those of the machine take longer
/// to read than the rest of a cold start.
fn packaged_roots() -> Result<ClientOptions, object_store::Error> {
    let mut options = ClientOptions::new().with_no_system_certificates(true);
    for root in TLS_SERVER_ROOT_CERTS {
        options = options.with_root_certificate(Certificate::from_der(root)?);
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;
    use object_store::{ObjectStoreExt as _, path::Path, signer::Signer as _};

    const WITHIN: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn a_bucket_and_a_folder_are_both_understood_and_anything_else_is_refused() {
        assert_eq!(
            open("s3://statements-of-ours", WITHIN).unwrap().to_string(),
            "AmazonS3(statements-of-ours)"
        );
        let memory = open("memory:///", WITHIN).unwrap();
        memory.put(&Path::from("statements/x"), "y".into()).await.unwrap();
        for refused in ["statements", "ftp://statements", ""] {
            assert!(open(refused, WITHIN).is_err(), "{refused}");
        }
    }

    #[tokio::test]
    async fn a_bucket_is_called_by_the_name_that_its_partition_has_for_it() {
        let named = [
            ("cn-north-1", None, "https://s3.cn-north-1.amazonaws.com.cn/models-of-ours/x"),
            ("cn-northwest-1", None, "https://s3.cn-northwest-1.amazonaws.com.cn/models-of-ours/x"),
            ("eu-central-1", None, "https://s3.eu-central-1.amazonaws.com/models-of-ours/x"),
            ("cn-north-1", Some("http://127.0.0.1:1"), "http://127.0.0.1:1/models-of-ours/x"),
        ];
        for (region, endpoint, expected) in named {
            let mut settings = AmazonS3Builder::new()
                .with_region(region)
                .with_access_key_id("nobody")
                .with_secret_access_key("nothing");
            if let Some(endpoint) = endpoint {
                settings = settings.with_endpoint(endpoint);
            }
            let bucket = bucket("s3://models-of-ours".parse().unwrap(), WITHIN, settings).unwrap();
            let mut url = bucket.signed_url(Method::GET, &Path::from("x"), WITHIN).await.unwrap();
            url.set_query(None);
            assert_eq!(url.as_str(), expected);
        }
    }
}
