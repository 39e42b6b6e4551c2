//! Exports of a DynamoDB table in a bucket: found, checked, and read line by line.
//!
//! DynamoDB writes an export as gzipped JSON lines under `AWSDynamoDB/<export id>/data/`, and two manifests beside them
//! once it is finished: `manifest-summary.json`, and `manifest-files.json` with a line per file that tells its MD5 and its
//! items ("DynamoDB table export output format" in its developer guide). Nothing is read of an export without a summary,
//! and nothing that was read counts until the checksums of every file and every number of items agree.

mod decode;
mod manifest;
mod read;
mod write;

pub use manifest::{DataFile, Export, Summary, first_begun, mark_the_first, newest};
pub use read::{Rows, read};
pub use write::{ExportWriter, WriteError};

/// Why an export is not to be used.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("{file} cannot be read")]
    Read {
        file: String,
        #[source]
        source: object_store::Error,
    },
    #[error("{file} cannot be written")]
    Write {
        file: String,
        #[source]
        source: object_store::Error,
    },
    #[error("{file} is not there")]
    Absent { file: String },
    #[error("{file} is larger than {most} bytes")]
    Size { file: String, most: u64 },
    #[error("{file} is not the JSON that it should be, at line {line}")]
    Json { file: String, line: u64 },
    #[error("{file} is not what DynamoDB wrote: its MD5 is another")]
    Checksum { file: String },
    #[error("{file} is damaged")]
    Damaged {
        file: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{file} holds {found} items and should hold {expected}")]
    Items { file: String, expected: u64, found: u64 },
    #[error("line {line} of {file} is not a row of the table: {why}")]
    Row { file: String, line: u64, why: String },
    #[error("{file} is of another kind: {what}")]
    Kind { file: String, what: String },
    #[error("reading the export was broken off")]
    BrokenOff,
}

impl ExportError {
    /// Whether the bucket could not be read, so that the same export may be had another time.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Read { .. } | Self::Write { .. } | Self::BrokenOff)
    }
}

/// MD5 as the manifests write it.
fn md5_text(digest: impl AsRef<[u8]>) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(digest)
}

#[cfg(test)]
mod tests;
