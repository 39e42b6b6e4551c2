//! One data file, from the bytes that come in to its lines.

use crate::{DataFile, ExportError, md5_text};
use bytes::{Buf as _, Bytes};
use flate2::bufread::MultiGzDecoder;
use md5::{Digest as _, Md5};
use object_store::Error;
use std::io::{self, BufRead, BufReader, Read};
use tokio::sync::mpsc::Receiver;

/// Longest line that is read, in bytes: an item of 400 KB with every character escaped.
const MOST_LINE: u64 = 4 << 20;
/// What is unpacked at once.
const UNPACKED: usize = 256 << 10;

/// Compressed bytes as they come in, and their MD5.
struct Incoming {
    pieces: Receiver<Result<Bytes, Error>>,
    piece: Bytes,
    md5: Md5,
    failure: Option<Error>,
}

impl Read for Incoming {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(into)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Incoming {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(error)) => {
                    self.failure = Some(error);
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                None => break,
            }
        }
        Ok(&self.piece)
    }

    fn consume(&mut self, count: usize) {
        self.md5.update(&self.piece[..count]);
        self.piece.advance(count);
    }
}

/// Calls `row` with the number and the bytes of every line. Blocks its thread while pieces are on their way.
///
/// # Errors
/// [`ExportError`] with the file's name. Rows were seen before it showed; they must not be used then.
pub(crate) fn lines(
    file: &DataFile,
    pieces: Receiver<Result<Bytes, Error>>,
    mut row: impl FnMut(u64, &[u8]) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let name = || file.data_file_s3_key.clone();
    let mut incoming = Incoming { pieces, piece: Bytes::new(), md5: Md5::new(), failure: None };
    let is_empty = incoming.fill_buf().is_ok_and(<[u8]>::is_empty);
    let mut found = 0;
    let mut unpacked = BufReader::with_capacity(UNPACKED, MultiGzDecoder::new(&mut incoming));
    let mut line = Vec::new();
    let outcome = loop {
        line.clear();
        if is_empty {
            break Ok(());
        }
        match (&mut unpacked).take(MOST_LINE).read_until(b'\n', &mut line) {
            Ok(0) => break Ok(()),
            Ok(count) if count as u64 == MOST_LINE => {
                return Err(ExportError::Row {
                    file: name(),
                    line: found + 1,
                    why: "it is too long".to_owned(),
                });
            }
            Ok(_) => {}
            Err(error) => break Err(error),
        }
        found += 1;
        row(found, line.trim_ascii_end())?;
    };
    drop(unpacked);
    if let Some(source) = incoming.failure {
        return Err(ExportError::Read { file: name(), source });
    }
    // What is damaged cannot be unpacked, or unpacks to something else: the sum tells of both.
    outcome.map_err(|source| ExportError::Damaged { file: name(), source })?;
    if md5_text(incoming.md5.finalize()) != file.md5_checksum {
        return Err(ExportError::Checksum { file: name() });
    }
    match found == file.item_count {
        true => Ok(()),
        false => Err(ExportError::Items { file: name(), expected: file.item_count, found }),
    }
}
