//! The bank's daily file: what was finished on one day in China.

use super::{Bank, BookEntry, PayoutState};
use crate::request::Refusal;
use axum::{
    extract::{RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::{Timestamp, civil::Date, tz};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// China has one time all year: UTC+8.
const CHINA: tz::Offset = tz::offset(8);

const BAD_DAY: Refusal = Refusal(StatusCode::BAD_REQUEST, "day must be given once, as YYYY-MM-DD");
const BAD_FORMAT: Refusal = Refusal(StatusCode::BAD_REQUEST, "format must be csv or jsonl");
const NOT_WRITTEN: Refusal = Refusal(StatusCode::INTERNAL_SERVER_ERROR, "the statement could not be written");

/// One payout that was finished. Both forms of the file have these fields, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementLine {
    pub payout_id: String,
    pub bank_reference: String,
    pub amount_fen: u64,
    /// `paid`, `refused` or `failed`.
    pub state: PayoutState,
    /// When it was finished, RFC 3339 in UTC.
    pub at: Timestamp,
}

/// Everything that was finished on one day, in the order in which it was instructed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub day: Date,
    pub lines: Vec<StatementLine>,
}

impl Statement {
    pub(super) fn of(entries: &[BookEntry], day: Date) -> Self {
        let on_the_day =
            |entry: &&BookEntry| entry.state.is_final() && CHINA.to_datetime(entry.at).date() == day;
        let line = |entry: &BookEntry| StatementLine {
            payout_id: entry.payout_id.clone(),
            bank_reference: entry.bank_reference.clone(),
            amount_fen: entry.amount_fen,
            state: entry.state,
            at: entry.at,
        };
        Self { day, lines: entries.iter().filter(on_the_day).map(line).collect() }
    }

    /// RFC 4180 with the header `payout_id,bank_reference,amount_fen,state,at`, which stands there on an empty day too.
    pub fn to_csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut builder = csv::WriterBuilder::new();
        let mut writer = builder.has_headers(false).terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        writer.write_record(["payout_id", "bank_reference", "amount_fen", "state", "at"])?;
        for line in &self.lines {
            writer.serialize(line)?;
        }
        writer.into_inner().map_err(|error| error.into_error().into())
    }

    /// One JSON object and a line feed for each line; nothing on an empty day.
    pub fn to_json_lines(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut text = Vec::new();
        for line in &self.lines {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        Ok(text)
    }
}

#[derive(Clone, Copy)]
enum Format {
    Csv,
    JsonLines,
}

/// `day` is needed; without `format` it is `csv`.
fn wanted(query: &str) -> Result<(Date, Format), Refusal> {
    let (mut day, mut format) = (None, None);
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let again = match &*name {
            "day" => day.replace(value.parse::<Date>().map_err(|_| BAD_DAY)?).map(|_| BAD_DAY),
            "format" => {
                let wanted = match &*value {
                    "csv" => Format::Csv,
                    "jsonl" => Format::JsonLines,
                    _ => return Err(BAD_FORMAT),
                };
                format.replace(wanted).map(|_| BAD_FORMAT)
            }
            _ => None,
        };
        if let Some(refusal) = again {
            return Err(refusal);
        }
    }
    Ok((day.ok_or(BAD_DAY)?, format.unwrap_or(Format::Csv)))
}

pub(super) async fn get(
    State(bank): State<Arc<Bank>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let (day, format) = wanted(query.as_deref().unwrap_or_default())?;
    let entries = bank.book().entries();
    let statement = Statement::of(&entries, day);
    let (kind, text) = match format {
        Format::Csv => {
            ("text/csv; charset=utf-8; header=present", statement.to_csv().map_err(|_| NOT_WRITTEN)?)
        }
        Format::JsonLines => ("application/jsonl", statement.to_json_lines().map_err(|_| NOT_WRITTEN)?),
    };
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
