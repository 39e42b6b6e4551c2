//! A bank's own book: every instruction it holds, and what became of the money.
//!
//! In memory, and in a file of JSON lines when one is given: one line for each change, the last line of a payout counts. A
//! bank that forgot a payout over a restart would pay it again, so the line is written before anything is answered.

use crate::bank::Behaviour;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use signing::KeyedHash;
use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::Path,
};

/// Most payouts that a book holds.
const MOST_PAYOUTS: usize = 1_000_000;

/// Where a payout stands at the bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayoutState {
    Received,
    Approved,
    Paid,
    Refused,
    Failed,
}

impl PayoutState {
    /// Whether the bank will not change its mind any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Paid | Self::Refused | Self::Failed)
    }
}

/// One payout as the bank sees it. No personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookEntry {
    pub payout_id: String,
    pub application_id: String,
    pub amount_fen: u64,
    pub state: PayoutState,
    pub bank_reference: String,
    /// When the state was last changed.
    pub at: Timestamp,
}

/// An entry and what the bank needs to carry on with it after a restart.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    #[serde(flatten)]
    pub(crate) entry: BookEntry,
    /// Stands for everything in the instruction but the callback address.
    pub(crate) terms: KeyedHash,
    pub(crate) callback_url: String,
    pub(crate) behaviour: Behaviour,
    /// The state that the bank is about to reach.
    pub(crate) verdict: PayoutState,
    /// How many reports on this loan have been made since it was paid.
    #[serde(default)]
    pub(crate) reports: u32,
}

/// All records, in the order in which they came.
#[derive(Default)]
pub(crate) struct Book {
    records: Vec<Record>,
    places: HashMap<String, usize>,
    file: Option<File>,
    is_kept_elsewhere: bool,
}

impl Book {
    /// Reads the file, which is made when it is missing, and keeps it for as long as this book lives: one process writes it at a
    /// time. A book that another process keeps can be read.
    ///
    /// A last line without an end was being written when the process died. What it said was never answered, so it is
    /// cut off; a damaged line anywhere else is an error.
    pub(crate) fn open(path: Option<&Path>) -> io::Result<Self> {
        let mut book = Self::default();
        let Some(path) = path else { return Ok(book) };
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        book.is_kept_elsewhere = match file.try_lock() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(error)) => return Err(error),
        };
        let text = fs::read_to_string(path)?;
        let mut whole = 0;
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            book.place(serde_json::from_str(line)?);
            whole += line.len();
        }
        if !book.is_kept_elsewhere {
            file.set_len(whole as u64)?;
            book.file = Some(file);
        }
        Ok(book)
    }

    pub(crate) fn get(&self, payout_id: &str) -> Option<&Record> {
        self.places.get(payout_id).and_then(|place| self.records.get(*place))
    }

    pub(crate) fn is_full(&self) -> bool {
        self.records.len() >= MOST_PAYOUTS
    }

    /// Adds or replaces the record of one payout, in the file first.
    pub(crate) fn put(&mut self, record: Record) -> io::Result<()> {
        if self.is_kept_elsewhere {
            return Err(io::Error::other("another process keeps this book"));
        }
        if let Some(file) = &mut self.file {
            write_line(file, &record)?;
        }
        self.place(record);
        Ok(())
    }

    pub(crate) fn entries(&self) -> Vec<BookEntry> {
        self.records.iter().map(|record| record.entry.clone()).collect()
    }

    /// What was received and not finished; whoever keeps the book carries on with it.
    pub(crate) fn unfinished(&self) -> Vec<String> {
        let ours = self.records.iter().filter(|_| !self.is_kept_elsewhere);
        let open = ours.filter(|record| !record.entry.state.is_final());
        open.map(|record| record.entry.payout_id.clone()).collect()
    }

    /// The reference of the next payout.
    pub(crate) fn next_reference(&self, bank: &str) -> String {
        format!("{bank}-{:08}", self.records.len() + 1)
    }

    fn place(&mut self, record: Record) {
        match self.places.get(&record.entry.payout_id) {
            Some(place) => self.records[*place] = record,
            None => {
                self.places.insert(record.entry.payout_id.clone(), self.records.len());
                self.records.push(record);
            }
        }
    }
}

/// In one write, so that a line is there or not.
fn write_line(file: &mut File, record: &Record) -> io::Result<()> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    file.write_all(&line)
}
