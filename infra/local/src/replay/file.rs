//! Reads the file of loans line by line and keeps a sample of the years asked for. A bad line is counted and named; it costs
//! nothing else.

use super::loan::{self, Columns, LineError, Loan};
use csv::StringRecord;
use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

/// Most bad lines that are named; the others are counted.
const MOST_NAMED: usize = 5;

/// Which loans are wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Fiscal years of approval.
    pub years: RangeInclusive<i16>,
    /// Most loans.
    pub limit: usize,
}

/// What the file held.
#[derive(Debug, Default)]
pub struct Found {
    /// The sample, in the order of approval.
    pub loans: Vec<Loan>,
    pub lines: u64,
    /// Lines of the years asked for that are loans with an outcome.
    pub in_years: u64,
    /// Lines of those years without an outcome.
    pub without_outcome: u64,
    pub bad: u64,
    /// The first of the bad lines.
    pub named: Vec<BadLine>,
}

/// A line that was skipped. Names place and reason, never the value.
#[derive(Debug, PartialEq, Eq)]
pub struct BadLine {
    pub line: u64,
    pub reason: LineError,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// A file that holds nothing to replay.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{path} cannot be read")]
    Read {
        path: PathBuf,
        #[source]
        source: csv::Error,
    },
    #[error("{0} is empty: it must begin with a line of column names")]
    Empty(PathBuf),
    #[error("{path} lacks the columns {missing}")]
    Columns { path: PathBuf, missing: String },
    #[error(
        "{path} holds no loan of {first} to {last} with an outcome among its {lines} lines, {bad} of them bad"
    )]
    NoLoan { path: PathBuf, first: i16, last: i16, lines: u64, bad: u64 },
}

/// Reads the file and keeps the sample: of all loans of the years asked for those whose mixed number is smallest, so that it
/// is spread evenly over them, is the same in every run, and is part of any larger one.
pub fn read(path: &Path, wanted: &Wanted) -> Result<Found, FileError> {
    let broken = |source| FileError::Read { path: path.to_owned(), source };
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(path).map_err(broken)?;
    let header = reader.headers().map_err(broken)?;
    if header.is_empty() {
        return Err(FileError::Empty(path.to_owned()));
    }
    let columns = Columns::find(header)
        .map_err(|missing| FileError::Columns { path: path.to_owned(), missing: missing.join(", ") })?;
    let mut found = Found::default();
    let mut sample = Sample { kept: BTreeMap::new(), limit: wanted.limit };
    let mut seen = HashSet::new();
    let mut line = StringRecord::new();
    loop {
        let (at, bad) = match reader.read_record(&mut line) {
            Ok(false) => break,
            Ok(true) => {
                let taken = take(&line, &columns, wanted, &mut found, &mut seen, &mut sample);
                (line.position().cloned(), taken.err())
            }
            Err(ref error) if !error.is_io_error() => (error.position().cloned(), Some(LineError::NotText)),
            Err(error) => return Err(broken(error)),
        };
        found.lines += 1;
        if let Some(reason) = bad {
            found.bad += 1;
            if found.named.len() < MOST_NAMED {
                let line = at.map_or(found.lines + 1, |at| at.line());
                found.named.push(BadLine { line, reason });
            }
        }
    }
    found.loans = sample.in_order();
    if found.loans.is_empty() {
        let (first, last) = (*wanted.years.start(), *wanted.years.end());
        return Err(FileError::NoLoan {
            path: path.to_owned(),
            first,
            last,
            lines: found.lines,
            bad: found.bad,
        });
    }
    Ok(found)
}

fn take(
    line: &StringRecord,
    columns: &Columns,
    wanted: &Wanted,
    found: &mut Found,
    seen: &mut HashSet<u64>,
    sample: &mut Sample,
) -> Result<(), LineError> {
    if !wanted.years.contains(&columns.fiscal_year(line)?) {
        return Ok(());
    }
    let Some(loan) = loan::read(line, columns)? else {
        found.without_outcome += 1;
        return Ok(());
    };
    if !seen.insert(loan.known.number) {
        return Err(LineError::Twice);
    }
    found.in_years += 1;
    sample.offer(loan);
    Ok(())
}

/// At most `limit` loans, those with the smallest ranks.
struct Sample {
    kept: BTreeMap<u64, Loan>,
    limit: usize,
}

impl Sample {
    fn offer(&mut self, loan: Loan) {
        self.kept.insert(rank(loan.known.number), loan);
        if self.kept.len() > self.limit {
            self.kept.pop_last();
        }
    }

    fn in_order(self) -> Vec<Loan> {
        let mut loans: Vec<Loan> = self.kept.into_values().collect();
        loans.sort_by_key(|loan| (loan.known.approved_on, loan.known.number));
        loans
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): no two numbers have one rank, and the order of ranks has
/// nothing to do with the order of numbers.
fn rank(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
