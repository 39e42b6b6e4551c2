//! The SDK's HTTP client on Lambda: one connector for all services, which trusts Mozilla's roots, part of the binary. The
//! SDK's own client reads the roots of the machine from some hundred files, and makes a connector for every service only to
//! see that one can be made; either took longer than everything else at a cold start.

use aws_smithy_http_client::{
    Connector,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnectorSettings, SharedHttpConnector},
    runtime_components::RuntimeComponents,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::sync::{Arc, OnceLock};
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

/// Makes its connector for the first request of all, with the settings of whichever service sends it. They are the same
/// for all services: [`crate::load`] gives them once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections {
    connector: Arc<OnceLock<SharedHttpConnector>>,
}

impl HttpClient for Connections {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.connector.get_or_init(|| connector(settings, components)).clone()
    }
}

fn connector(settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
    let mut builder = Connector::builder().connector_settings(settings.clone());
    builder.set_sleep_impl(components.sleep_impl());
    let builder = builder.tls_provider(Provider::Rustls(CryptoMode::AwsLc));
    let roots = TrustStore::empty().with_pem_certificate(roots());
    SharedHttpConnector::new(match TlsContext::builder().with_trust_store(roots).build() {
        Ok(tls) => builder.tls_context(tls).build(),
        // Without a context of ours, it takes the machine's roots.
        Err(error) => {
            tracing::warn!(%error, "the packaged roots cannot be used");
            builder.build()
        }
    })
}

/// In the only form that the SDK takes.
fn roots() -> String {
    let mut pem = String::with_capacity(256 * 1_024);
    for root in TLS_SERVER_ROOT_CERTS {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        STANDARD.encode_string(root, &mut pem);
        pem.push_str("\n-----END CERTIFICATE-----\n");
    }
    pem
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Aws;
    use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
    use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
    use rustls::{
        RootCertStore,
        pki_types::{CertificateDer, pem::PemObject as _},
    };

    #[test]
    fn every_packaged_root_is_read_as_the_sdk_reads_it() {
        let mut store = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(roots().as_bytes()) {
            store.add(root.unwrap()).unwrap();
        }
        assert_eq!(store.len(), TLS_SERVER_ROOT_CERTS.len());
        assert!(store.len() > 100, "{}", store.len());
    }

    #[tokio::test]
    async fn the_roots_are_read_for_the_first_request_and_not_for_every_client() {
        let connections = Connections::default();
        let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
            .http_client(connections.clone())
            .retry_config(RetryConfig::disabled())
            .endpoint_url(format!("http://{nowhere}"))
            .build();
        let aws = Aws::from_sdk_config(&config);
        let (kms, secrets) = (aws.kms(), aws.secrets_manager());
        assert!(connections.connector.get().is_none(), "clients alone need no connector");
        aws.warm().await;
        assert!(connections.connector.get().is_some());
        drop((kms, secrets));
    }
}
