//! Roots of trust for the check's connections: the public ones, and a bank's own.

use std::{path::Path, sync::Arc};
use tokio_rustls::rustls::{
    self, ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// The roots cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    #[error("the file is not a list of certificates in PEM form")]
    Pem(#[from] rustls::pki_types::pem::Error),
    #[error("a certificate is not usable")]
    Certificate(#[from] rustls::Error),
    #[error("the file holds no certificate")]
    Empty,
}

/// Mozilla's roots, and those of the file.
pub(super) fn config(extra: Option<&Path>) -> Result<Arc<ClientConfig>, RootsError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = extra {
        let public = roots.len();
        for certificate in CertificateDer::pem_file_iter(path)? {
            roots.add(certificate?)?;
        }
        if roots.len() == public {
            return Err(RootsError::Empty);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}
