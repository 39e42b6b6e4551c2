//! The SDK's HTTP client on Lambda: it trusts Mozilla's roots, which are part of the binary. The SDK's own client reads the
//! roots of the machine from some hundred files, which took longer than everything else at a cold start.

use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

pub(crate) fn client() -> SharedHttpClient {
    let builder = Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
    match TlsContext::builder().with_trust_store(TrustStore::empty().with_pem_certificate(roots())).build() {
        Ok(tls) => builder.tls_context(tls).build_https(),
        // Without a context of ours, the client takes the machine's roots.
        Err(error) => {
            tracing::warn!(%error, "the packaged roots cannot be used");
            builder.build_https()
        }
    }
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
}
