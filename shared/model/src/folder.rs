//! Where a model lies in the bucket of models.

/// Folder of a model in the bucket, and the name that its manifest is signed under.
pub fn folder(version: &str) -> String {
    format!("registry/{version}")
}

/// Name of the file beside a manifest that holds its signature.
pub const SIGNATURE: &str = "manifest.sig";
