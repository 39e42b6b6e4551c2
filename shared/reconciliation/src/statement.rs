//! A bank's daily file, read line by line.

use domain::{Fen, Label, PayoutId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Longest file that is read, in bytes.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Most lines that are read.
pub const MAX_LINES: usize = 500_000;

/// The columns of a CSV file, in this order; the fields of a JSON line, in any.
const COLUMNS: [&str; 5] = ["payout_id", "bank_reference", "amount_fen", "state", "at"];

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180, with a header.
    Csv,
    /// One JSON object per line.
    JsonLines,
}

/// The ending is neither `csv` nor `jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a statement ends in .csv or .jsonl")]
pub struct UnknownFormat;

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(ending: &str) -> Result<Self, UnknownFormat> {
        match ending {
            "csv" => Ok(Format::Csv),
            "jsonl" => Ok(Format::JsonLines),
            _ => Err(UnknownFormat),
        }
    }
}

/// What a bank says became of a payout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Paid,
    Refused,
    Failed,
}

/// One payout as the bank has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// From 1; the header of a CSV file is line 1, and empty lines of one are not counted.
    pub number: u64,
    pub payout_id: PayoutId,
    /// 1 to 128 printable ASCII characters; empty where the bank has paid nothing.
    pub bank_reference: String,
    pub amount_fen: Fen,
    pub state: State,
    pub at: Timestamp,
}

/// A file as it was read: every line is in one of the two lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    pub lines: Vec<Line>,
    /// The numbers of the lines that could not be read, with the field that is wrong, or none when the line as a whole is.
    pub unreadable: Vec<(u64, Option<&'static str>)>,
}

/// The file as a whole cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadStatement {
    #[error("the statement is longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("the statement has more than {MAX_LINES} lines")]
    TooManyLines,
    #[error("the first line must be payout_id,bank_reference,amount_fen,state,at")]
    Header,
}

/// The fields as they are written.
#[derive(Deserialize)]
struct Fields {
    payout_id: String,
    #[serde(default)]
    bank_reference: String,
    amount_fen: u64,
    state: State,
    at: String,
}

impl Statement {
    /// Reads a file. A line that cannot be read costs nothing but itself.
    pub fn parse(bytes: &[u8], format: Format) -> Result<Self, BadStatement> {
        if bytes.len() > MAX_BYTES {
            return Err(BadStatement::TooLong);
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        match format {
            Format::Csv => Self::from_csv(bytes),
            Format::JsonLines => Self::from_json_lines(bytes),
        }
    }

    fn from_csv(bytes: &[u8]) -> Result<Self, BadStatement> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
        let header = reader.byte_headers().map_err(|_| BadStatement::Header)?;
        if !header.iter().eq(COLUMNS.map(str::as_bytes)) {
            return Err(BadStatement::Header);
        }
        let mut statement = Self::default();
        let mut record = csv::ByteRecord::new();
        loop {
            match reader.read_byte_record(&mut record) {
                Ok(false) => return Ok(statement),
                Ok(true) => {
                    let number = record.position().map_or(0, |position| position.record() + 1);
                    statement.add(number, csv_fields(&record))?;
                }
                // Bytes in memory are always read, and rows may have any number of fields.
                Err(_) => return Err(BadStatement::Header),
            }
        }
    }

    fn from_json_lines(bytes: &[u8]) -> Result<Self, BadStatement> {
        let mut statement = Self::default();
        for (number, text) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            let text = text.trim_ascii();
            if !text.is_empty() {
                statement.add(number, serde_json::from_slice(text).map_err(|_| None))?;
            }
        }
        Ok(statement)
    }

    fn add(&mut self, number: u64, fields: Result<Fields, Option<&'static str>>) -> Result<(), BadStatement> {
        if self.lines.len() + self.unreadable.len() >= MAX_LINES {
            return Err(BadStatement::TooManyLines);
        }
        match fields.and_then(|fields| line(number, fields)) {
            Ok(line) => self.lines.push(line),
            Err(field) => self.unreadable.push((number, field)),
        }
        Ok(())
    }
}

fn csv_fields(record: &csv::ByteRecord) -> Result<Fields, Option<&'static str>> {
    if record.len() != COLUMNS.len() {
        return Err(None);
    }
    let text = |place: usize| {
        let bytes = record.get(place).unwrap_or_default();
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| COLUMNS.get(place).copied())
    };
    Ok(Fields {
        payout_id: text(0)?,
        bank_reference: text(1)?,
        amount_fen: text(2)?.parse().map_err(|_| Some("amount_fen"))?,
        state: match text(3)?.as_str() {
            "paid" => State::Paid,
            "refused" => State::Refused,
            "failed" => State::Failed,
            _ => return Err(Some("state")),
        },
        at: text(4)?,
    })
}

fn line(number: u64, fields: Fields) -> Result<Line, Option<&'static str>> {
    let bad = |name: &'static str| Some(name);
    let is_needed = fields.state == State::Paid || !fields.bank_reference.is_empty();
    let bank_reference = if is_needed {
        String::from(Label::try_from(fields.bank_reference).map_err(|_| bad("bank_reference"))?)
    } else {
        String::new()
    };
    Ok(Line {
        number,
        payout_id: fields.payout_id.parse().map_err(|_| bad("payout_id"))?,
        bank_reference,
        amount_fen: Fen(fields.amount_fen),
        state: fields.state,
        at: fields.at.parse().map_err(|_| bad("at"))?,
    })
}
