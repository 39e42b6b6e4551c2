//! The guard before a bucket. A bucket is a folder here and no engine answers for it, so what a role allows is looked at
//! before the folder is.

use super::{Asked, Denied, Names, Roles};
use async_trait::async_trait;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, path::Path,
};
use std::{fmt, sync::Arc};
use wiring::BucketGuard;

/// Stands before the buckets of one function. One that the template does not name is nobody's.
pub(crate) fn guard(roles: &Arc<Roles>, function: &'static str) -> BucketGuard {
    let roles = Arc::clone(roles);
    Arc::new(move |setting, inner| {
        let bucket = roles.buckets.get(&(function.to_owned(), setting.to_owned()));
        let bucket = bucket.cloned().unwrap_or_default();
        Arc::new(GuardedBucket { inner, roles: Arc::clone(&roles), function, bucket })
    })
}

#[derive(Debug)]
struct GuardedBucket {
    inner: Arc<dyn ObjectStore>,
    roles: Arc<Roles>,
    function: &'static str,
    /// Its logical id.
    bucket: String,
}

impl fmt::Display for GuardedBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}", self.inner, self.function)
    }
}

impl GuardedBucket {
    fn allow(&self, path: &str, asked: &[Asked]) -> Result<()> {
        self.roles.check(self.function, asked).map_err(|denied| refused(path, denied))
    }

    fn allow_reading(&self, location: &Path) -> Result<()> {
        self.allow(location.as_ref(), &self.roles.names().object_read(&self.bucket, location.as_ref()))
    }

    fn allow_writing(&self, location: &Path) -> Result<()> {
        self.allow(location.as_ref(), &self.roles.names().object_written(&self.bucket, location.as_ref()))
    }

    fn allow_listing(&self) -> Result<()> {
        self.allow("", &Names::bucket_listed(&self.bucket))
    }
}

fn refused(path: &str, denied: Denied) -> Error {
    Error::PermissionDenied { path: path.to_owned(), source: denied.into() }
}

fn not_granted(operation: &str) -> Error {
    Error::NotImplemented { operation: operation.to_owned(), implementer: "guarded bucket".to_owned() }
}

#[async_trait]
impl ObjectStore for GuardedBucket {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.allow_writing(location)?;
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.allow_writing(location)?;
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.allow_reading(location)?;
        match self.inner.get_opts(location, options).await {
            // Whoever may not list a bucket does not hear what is not in it.
            Err(absent @ Error::NotFound { .. }) => self.allow_listing().and(Err(absent)),
            answer => answer,
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.allow_listing() {
            Ok(()) => self.inner.list(prefix),
            Err(refused) => async { Err(refused) }.into_stream().boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.allow_listing()?;
        self.inner.list_with_delimiter(prefix).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        locations.and_then(|_| async { Err(not_granted("delete")) }).boxed()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(not_granted("copy"))
    }
}
