//! Writing an export as DynamoDB does, for engines that stand in for it.

use crate::{DataFile, Summary, md5_text};
use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use md5::{Digest as _, Md5};
use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

/// Items of one data file.
const ITEMS: u64 = 200_000;

/// The export was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("the export cannot be written")]
    Io(#[from] io::Error),
    #[error("a manifest cannot be put into JSON")]
    Json(#[from] serde_json::Error),
}

/// An export that is being written into a folder that stands for a bucket.
pub struct ExportWriter {
    bucket: PathBuf,
    id: String,
    table_arn: String,
    time: Timestamp,
    most: u64,
    open: Option<GzEncoder<Summed>>,
    items: u64,
    files: Vec<DataFile>,
}

/// A file, and the MD5 of what was written into it.
struct Summed {
    file: BufWriter<File>,
    md5: Md5,
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.md5.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl ExportWriter {
    /// Begins an export of the table as it is at a moment.
    ///
    /// # Errors
    /// [`WriteError::Io`].
    pub fn begin(bucket: &Path, table_arn: &str, time: Timestamp) -> Result<Self, WriteError> {
        let id = format!("{:014}-local", time.as_millisecond());
        let folder = bucket.join("AWSDynamoDB").join(&id);
        fs::create_dir_all(folder.join("data"))?;
        // By this DynamoDB finds out whether it may write.
        fs::write(folder.join("_started"), "")?;
        let (bucket, table_arn) = (bucket.to_owned(), table_arn.to_owned());
        Ok(Self { bucket, id, table_arn, time, most: ITEMS, open: None, items: 0, files: Vec::new() })
    }

    /// At most so many items in one file.
    #[must_use]
    pub fn with_items_per_file(self, most: u64) -> Self {
        Self { most: most.max(1), ..self }
    }

    /// The identifier under which the export is found.
    pub fn id(&self) -> &str {
        &self.id
    }

    fn key(&self, name: &str) -> String {
        format!("AWSDynamoDB/{}/{name}", self.id)
    }

    fn data_key(&self) -> String {
        self.key(&format!("data/{:06}.json.gz", self.files.len()))
    }

    /// Adds an item in DynamoDB's JSON: `{"pk":{"S":"…"},…}`.
    ///
    /// # Errors
    /// [`WriteError::Io`].
    pub fn item(&mut self, item: &str) -> Result<(), WriteError> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => {
                let file = BufWriter::new(File::create(self.bucket.join(self.data_key()))?);
                GzEncoder::new(Summed { file, md5: Md5::new() }, Compression::fast())
            }
        };
        writeln!(open, "{{\"Item\":{item}}}")?;
        self.open = Some(open);
        self.items += 1;
        if self.items == self.most {
            self.close()?;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), WriteError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let mut summed = open.finish()?;
        summed.flush()?;
        self.files.push(DataFile {
            item_count: std::mem::take(&mut self.items),
            md5_checksum: md5_text(summed.md5.finalize()),
            etag: String::new(),
            data_file_s3_key: self.data_key(),
        });
        Ok(())
    }

    /// Writes the manifests; the export exists from then on. Gives its identifier.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn finish(mut self) -> Result<String, WriteError> {
        self.close()?;
        let mut lines = Vec::new();
        for file in &self.files {
            serde_json::to_writer(&mut lines, file)?;
            lines.push(b'\n');
        }
        let summary = Summary {
            export_arn: format!("{}/export/{}", self.table_arn, self.id),
            table_arn: self.table_arn.clone(),
            export_time: self.time,
            manifest_files_s3_key: self.key("manifest-files.json"),
            item_count: self.files.iter().map(|file| file.item_count).sum(),
            output_format: "DYNAMODB_JSON".to_owned(),
            export_type: "FULL_EXPORT".to_owned(),
        };
        // The summary last: it is what says that the export is finished.
        for (name, bytes) in [("manifest-files", lines), ("manifest-summary", serde_json::to_vec(&summary)?)]
        {
            let checksum = md5_text(Md5::digest(&bytes));
            fs::write(self.bucket.join(self.key(&format!("{name}.checksum"))), checksum)?;
            fs::write(self.bucket.join(self.key(&format!("{name}.json"))), bytes)?;
        }
        Ok(self.id)
    }
}
