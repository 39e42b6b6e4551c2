//! The model that is packaged with the functions. Its version stands here and nowhere else.

/// The bytes of a file of the packaged model, read when the function is built. To be called from a crate two folders
/// below the root, as those under `functions/` and `shared/` are.
#[macro_export]
macro_rules! packaged {
    ($file:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/registry/2026.11.3/", $file))
    };
}
