//! The manifests of an export.

use crate::{ExportError, md5_text};
use jiff::Timestamp;
use md5::{Digest as _, Md5};
use object_store::{Error, ListResult, ObjectStore, ObjectStoreExt as _, PutPayload, path::Path};
use serde::{Deserialize, Serialize};

/// The folder that DynamoDB makes.
const FOLDER: &str = "AWSDynamoDB";
/// Lies beside the exports from the day on which the first was asked for.
const MARK: &str = "_asked";
/// Largest manifests that are read, in bytes: some 300 bytes for each file of an export.
const MOST_MANIFEST: u64 = 64 << 20;
/// What the checksum beside a manifest is called: by the developer guide, and in buckets.
const CHECKSUMS: [&str; 2] = ["checksum", "md5"];
const FORMAT: &str = "DYNAMODB_JSON";
/// Exports that may be unfinished while an older one is used.
const MOST_UNFINISHED: usize = 16;

/// `manifest-summary.json`, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub export_arn: String,
    pub table_arn: String,
    /// The moment that the export shows the table at.
    pub export_time: Timestamp,
    pub manifest_files_s3_key: String,
    pub item_count: u64,
    pub output_format: String,
    /// Only exports of a newer kind tell; what is not whole is of no use.
    #[serde(default = "full", skip_serializing_if = "String::is_empty")]
    pub export_type: String,
}

const FULL: &str = "FULL_EXPORT";

fn full() -> String {
    FULL.to_owned()
}

/// A line of `manifest-files.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataFile {
    pub item_count: u64,
    /// Base64.
    pub md5_checksum: String,
    #[serde(default)]
    pub etag: String,
    pub data_file_s3_key: String,
}

/// A finished export, with manifests that agree with their checksums and with each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    pub id: String,
    pub summary: Summary,
    pub files: Vec<DataFile>,
}

/// The newest export of a table that is finished; `None` when there is none. Calls `ListObjectsV2`, and `GetObject` for
/// each manifest and its checksum.
///
/// # Errors
/// [`ExportError`] when the manifests of the newest one are not in order: an older one in its place would tell old news.
pub async fn newest(bucket: &dyn ObjectStore, table_arn: &str) -> Result<Option<Export>, ExportError> {
    for id in ids(&list(bucket).await?).into_iter().rev().take(MOST_UNFINISHED) {
        let file = format!("{FOLDER}/{id}/manifest-summary.json");
        match get(bucket, &file).await {
            Ok(bytes) => return of(bucket, table_arn, id, &file, &bytes).await.map(Some),
            Err(ExportError::Absent { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Since when exports are asked for: when the oldest was begun of which the bucket holds anything, finished or not, or
/// when [`mark_the_first`] was called, whichever was earlier; `None` when neither is there. Calls `ListObjectsV2`.
///
/// # Errors
/// [`ExportError::Read`].
pub async fn first_begun(bucket: &dyn ObjectStore) -> Result<Option<Timestamp>, ExportError> {
    let listed = list(bucket).await?;
    let begun = |id: String| Timestamp::from_millisecond(id.split('-').next()?.parse().ok()?).ok();
    let marks = listed.objects.iter().filter(|object| object.location.filename() == Some(MARK));
    let marked = marks.filter_map(|mark| Timestamp::from_second(mark.last_modified.timestamp()).ok());
    Ok(ids(&listed).into_iter().find_map(begun).into_iter().chain(marked).min())
}

/// Leaves a mark that exports are asked for from now on: DynamoDB writes nothing at all where it may not. Calls `PutObject`.
///
/// # Errors
/// [`ExportError::Write`].
pub async fn mark_the_first(bucket: &dyn ObjectStore) -> Result<(), ExportError> {
    let file = format!("{FOLDER}/{MARK}");
    match bucket.put(&Path::from(file.as_str()), PutPayload::new()).await {
        Ok(_) => Ok(()),
        Err(source) => Err(ExportError::Write { file, source }),
    }
}

async fn list(bucket: &dyn ObjectStore) -> Result<ListResult, ExportError> {
    let listed = bucket.list_with_delimiter(Some(&Path::from(FOLDER))).await;
    listed.map_err(|source| ExportError::Read { file: FOLDER.to_owned(), source })
}

/// The ids of all exports, finished or not, oldest first: an id begins with the milliseconds of its time.
fn ids(listed: &ListResult) -> Vec<String> {
    let folders = listed.common_prefixes.iter();
    let mut ids: Vec<String> = folders.filter_map(|folder| Some(folder.filename()?.to_owned())).collect();
    ids.sort_unstable();
    ids
}

async fn of(
    bucket: &dyn ObjectStore,
    table_arn: &str,
    id: String,
    file: &str,
    bytes: &[u8],
) -> Result<Export, ExportError> {
    check(bucket, file, bytes).await?;
    let summary: Summary = serde_json::from_slice(bytes)
        .map_err(|error| ExportError::Json { file: file.to_owned(), line: error.line() as u64 })?;
    let kind = |what: String| ExportError::Kind { file: file.to_owned(), what };
    if summary.table_arn != table_arn {
        return Err(kind(format!("it is of the table {}", summary.table_arn)));
    }
    if summary.output_format != FORMAT || summary.export_type != FULL {
        return Err(kind(format!("{}, {}", summary.output_format, summary.export_type)));
    }
    let file = summary.manifest_files_s3_key.clone();
    let bytes = get(bucket, &file).await?;
    check(bucket, &file, &bytes).await?;
    let mut files: Vec<DataFile> = Vec::new();
    for (line, text) in bytes.split(|byte| *byte == b'\n').enumerate().filter(|(_, text)| !text.is_empty()) {
        let data = serde_json::from_slice(text);
        files.push(data.map_err(|_| ExportError::Json { file: file.clone(), line: line as u64 + 1 })?);
    }
    let found = files.iter().map(|file| file.item_count).fold(0, u64::saturating_add);
    if found != summary.item_count {
        return Err(ExportError::Items { file, expected: summary.item_count, found });
    }
    Ok(Export { id, summary, files })
}

/// Holds a manifest against the checksum beside it.
async fn check(bucket: &dyn ObjectStore, file: &str, bytes: &[u8]) -> Result<(), ExportError> {
    let stem = file.strip_suffix("json").unwrap_or(file);
    for ending in CHECKSUMS {
        match get(bucket, &format!("{stem}{ending}")).await {
            Ok(text) if text.trim_ascii() == md5_text(Md5::digest(bytes)).as_bytes() => return Ok(()),
            Ok(_) => return Err(ExportError::Checksum { file: file.to_owned() }),
            Err(ExportError::Absent { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(ExportError::Absent { file: format!("{stem}{}", CHECKSUMS[0]) })
}

async fn get(bucket: &dyn ObjectStore, file: &str) -> Result<Vec<u8>, ExportError> {
    let failed = |source| match source {
        Error::NotFound { .. } => ExportError::Absent { file: file.to_owned() },
        source => ExportError::Read { file: file.to_owned(), source },
    };
    let found = bucket.get(&Path::from(file)).await.map_err(failed)?;
    if found.meta.size > MOST_MANIFEST {
        return Err(ExportError::Size { file: file.to_owned(), most: MOST_MANIFEST });
    }
    Ok(found.bytes().await.map_err(failed)?.to_vec())
}
