//! Reading every file of an export, several at once.

use crate::{DataFile, Export, ExportError, decode};
use bytes::Bytes;
use object_store::{Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, path::Path};
use std::{
    collections::VecDeque,
    num::NonZero,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};
use tokio::{sync::mpsc as pieces, task::JoinSet};

/// Bytes asked for at once.
const PIECE: u64 = 8 << 20;
/// Pieces of a file that wait to be unpacked.
const PIECES_AHEAD: usize = 2;
/// Rows handed over at once, and lots of them that wait.
const LOT: usize = 512;
const LOTS_AHEAD: usize = 16;

/// Makes rows of lines. Each thread that unpacks has one of its own, for all the files that it takes.
pub trait Rows: Send + 'static {
    type Row: Send + 'static;

    /// The row of a line; `None` for one that does not matter. The error says why it is none, without its values.
    fn row(&mut self, line: &[u8]) -> Result<Option<Self::Row>, String>;
}

/// Reads all rows, in an order that is not always the same, on as many threads as there are cores, and gives them to `take`
/// on one more. What `take` came to is given back only when every file was what the manifests say. Calls `HeadObject` for
/// each file, and `GetObject` for each 8 MB of it.
///
/// # Errors
/// [`ExportError`] with the name of the file that is not in order, or of the first line that is no row.
pub async fn read<R: Rows, T: Send + 'static>(
    bucket: &Arc<dyn ObjectStore>,
    export: &Export,
    rows: impl Fn() -> R,
    mut taken: T,
    take: impl Fn(&mut T, R::Row) -> Result<(), String> + Send + 'static,
) -> Result<T, ExportError> {
    let left: VecDeque<DataFile> = export.files.iter().cloned().collect();
    let left = Arc::new(Mutex::new(left));
    let (lots, arriving) = mpsc::sync_channel::<Vec<R::Row>>(LOTS_AHEAD);
    let taking = tokio::task::spawn_blocking(move || -> Result<T, String> {
        while let Ok(lot) = arriving.recv() {
            for row in lot {
                // Whoever waits to hand over more finds nobody there any more.
                take(&mut taken, row)?;
            }
        }
        Ok(taken)
    });
    let mut workers = JoinSet::new();
    for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
        let (bucket, left, lots, rows) = (Arc::clone(bucket), Arc::clone(&left), lots.clone(), rows());
        workers.spawn(work(bucket, left, lots, rows));
    }
    drop(lots);
    let mut outcome = Ok(());
    while let Some(worker) = workers.join_next().await {
        let worker = worker.map_err(|_| ExportError::BrokenOff).flatten();
        // Of several failures the one that names a file tells most.
        outcome = match (outcome, worker) {
            (Ok(()) | Err(ExportError::BrokenOff), Err(error)) => Err(error),
            (outcome, _) => outcome,
        };
    }
    let taken = taking.await.map_err(|_| ExportError::BrokenOff)?;
    let file = || format!("AWSDynamoDB/{}", export.id);
    let taken = taken.map_err(|what| ExportError::Kind { file: file(), what });
    match outcome {
        Err(ExportError::BrokenOff) if taken.is_err() => taken,
        Err(error) => Err(error),
        Ok(()) => taken,
    }
}

/// Takes one file after another until none is left.
async fn work<R: Rows>(
    bucket: Arc<dyn ObjectStore>,
    left: Arc<Mutex<VecDeque<DataFile>>>,
    lots: mpsc::SyncSender<Vec<R::Row>>,
    mut rows: R,
) -> Result<(), ExportError> {
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    while let Some(file) = next() {
        let (send, receive) = pieces::channel(PIECES_AHEAD);
        let key = Path::from(file.data_file_s3_key.as_str());
        let fetching = tokio::spawn(fetch(Arc::clone(&bucket), key, send));
        let (name, lots) = (file.data_file_s3_key.clone(), lots.clone());
        let decoding = tokio::task::spawn_blocking(move || {
            let outcome = decode_file(&file, receive, &mut rows, &lots);
            (outcome, rows)
        });
        let (outcome, same) = decoding.await.map_err(|_| ExportError::BrokenOff)?;
        rows = same;
        fetching.abort();
        if let Err(error) = outcome {
            left.lock().unwrap_or_else(PoisonError::into_inner).clear();
            return Err(match error {
                ExportError::Read { source: Error::NotFound { .. }, .. } => {
                    ExportError::Absent { file: name }
                }
                error => error,
            });
        }
    }
    Ok(())
}

fn decode_file<R: Rows>(
    file: &DataFile,
    pieces: pieces::Receiver<Result<Bytes, Error>>,
    rows: &mut R,
    lots: &mpsc::SyncSender<Vec<R::Row>>,
) -> Result<(), ExportError> {
    let hand_over = |lot: Vec<R::Row>| lots.send(lot).map_err(|_| ExportError::BrokenOff);
    let mut lot = Vec::with_capacity(LOT);
    decode::lines(file, pieces, |number, line| {
        let row = rows.row(line).map_err(|why| {
            let file = file.data_file_s3_key.clone();
            ExportError::Row { file, line: number, why }
        })?;
        lot.extend(row);
        match lot.len() == LOT {
            true => hand_over(std::mem::replace(&mut lot, Vec::with_capacity(LOT))),
            false => Ok(()),
        }
    })?;
    hand_over(lot)
}

/// Sends a file piece by piece, all of one version of it.
async fn fetch(bucket: Arc<dyn ObjectStore>, key: Path, to: pieces::Sender<Result<Bytes, Error>>) {
    let meta = match bucket.head(&key).await {
        Ok(meta) => meta,
        Err(error) => return drop(to.send(Err(error)).await),
    };
    let mut from = 0;
    while from < meta.size {
        let until = (from + PIECE).min(meta.size);
        let range = Some(GetRange::Bounded(from..until));
        let options = GetOptions { range, if_match: meta.e_tag.clone(), ..GetOptions::default() };
        let piece = match bucket.get_opts(&key, options).await {
            Ok(found) => found.bytes().await,
            Err(error) => Err(error),
        };
        let has_failed = piece.is_err();
        if to.send(piece).await.is_err() || has_failed {
            return;
        }
        from = until;
    }
}
