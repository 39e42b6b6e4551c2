//! Where the files are.

use jiff::civil::Date;
use object_store::path::Path;
use reconciliation::Format;
use std::{fmt, str::FromStr};

/// The folder of the statements and that of the reports.
const STATEMENTS: &str = "statements";
const REPORTS: &str = "reports";
/// Longest name of a bank.
const MAX_BANK: usize = 64;

/// A bank's file of one day: `statements/<bank>/<YYYY-MM-DD>.csv`, or `.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementKey {
    pub bank: String,
    pub day: Date,
    pub format: Format,
}

/// The key is not that of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a statement is called {STATEMENTS}/<bank>/<YYYY-MM-DD>.csv or .jsonl")]
pub struct NotAStatement;

impl FromStr for StatementKey {
    type Err = NotAStatement;

    fn from_str(key: &str) -> Result<Self, NotAStatement> {
        let parts: Vec<&str> = key.split('/').collect();
        let &[STATEMENTS, bank, file] = parts.as_slice() else { return Err(NotAStatement) };
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=MAX_BANK).contains(&bank.len()) || !bank.bytes().all(is_plain) {
            return Err(NotAStatement);
        }
        let (day, ending) = file.split_once('.').ok_or(NotAStatement)?;
        let format = ending.parse().map_err(|_| NotAStatement)?;
        let date: Date = day.parse().map_err(|_| NotAStatement)?;
        // The parser knows other ways to write a day, and days that have no neighbours.
        if date.to_string() != day || !(2000..=2999).contains(&date.year()) {
            return Err(NotAStatement);
        }
        Ok(Self { bank: bank.to_owned(), day: date, format })
    }
}

impl fmt::Display for StatementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = match self.format {
            Format::Csv => "csv",
            Format::JsonLines => "jsonl",
        };
        write!(f, "{STATEMENTS}/{}/{}.{ending}", self.bank, self.day)
    }
}

impl StatementKey {
    pub(crate) fn path(&self) -> Path {
        Path::from(self.to_string())
    }

    /// The report as `json` or `html`: `reports/<bank>/<YYYY-MM-DD>.<ending>`.
    pub fn report(&self, ending: &str) -> String {
        format!("{REPORTS}/{}/{}.{ending}", self.bank, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_written() {
        for text in ["statements/river-bank/2026-11-24.csv", "statements/b/2026-02-28.jsonl"] {
            let key: StatementKey = text.parse().unwrap();
            assert_eq!(key.to_string(), text);
        }
        let key: StatementKey = "statements/river-bank/2026-11-24.csv".parse().unwrap();
        assert_eq!(key.report("html"), "reports/river-bank/2026-11-24.html");
    }

    #[test]
    fn any_other_key_is_refused() {
        for text in [
            "",
            "statements",
            "statements//2026-11-24.csv",
            "statements/river-bank/2026-11-24",
            "statements/river-bank/2026-11-24.csv.gz",
            "statements/river-bank/2026-11-24.CSV",
            "statements/river-bank/20261124.csv",
            "statements/river-bank/2026-02-30.csv",
            "statements/river-bank/9999-12-31.csv",
            "statements/river-bank/-009999-01-01.csv",
            "statements/River/2026-11-24.csv",
            "statements/../2026-11-24.csv",
            "statements/a/b/2026-11-24.csv",
            "reports/river-bank/2026-11-24.csv",
            "/statements/river-bank/2026-11-24.csv",
        ] {
            assert_eq!(text.parse::<StatementKey>(), Err(NotAStatement), "{text}");
        }
    }
}
