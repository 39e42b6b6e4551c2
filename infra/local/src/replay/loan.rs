//! One SBA loan as a firm that applies: what was known on the day of approval, apart from what became of it.
//!
//! `models/training/sba.py` reads the same columns for training. The sources that both make of the same lines are equal,
//! which the rows in `infra/local/tests/sba` hold both to.

use csv::StringRecord;
use domain::firm::SourceRow;
use jiff::civil::{Date, date};
use model::Sources;
use serde_json::Value;

/// Longest text of one cell, in characters.
const LONGEST_TEXT: usize = 200;
/// Largest amount in dollars; no sum of a million of them leaves 2^53 cents.
const LARGEST_DOLLARS: u64 = 50_000_000;
/// Two-digit years up to this one are of this century.
const LAST_YEAR: i16 = 20;

/// A column that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    Number,
    State,
    Zip,
    Bank,
    BankState,
    Industry,
    ApprovedOn,
    FiscalYear,
    Employees,
    NewExist,
    JobsCreated,
    JobsRetained,
    Franchise,
    Setting,
    Revolving,
    LowDocumentation,
    Outcome,
    Approved,
    Guaranteed,
}

/// Every column that is read, by its name in the file. What is not listed is never looked at: the term, what was disbursed
/// and when, the balance, and everything about charge-offs but the outcome.
const COLUMNS: [(Column, &str); 19] = [
    (Column::Number, "LoanNr_ChkDgt"),
    (Column::State, "State"),
    (Column::Zip, "Zip"),
    (Column::Bank, "Bank"),
    (Column::BankState, "BankState"),
    (Column::Industry, "NAICS"),
    (Column::ApprovedOn, "ApprovalDate"),
    (Column::FiscalYear, "ApprovalFY"),
    (Column::Employees, "NoEmp"),
    (Column::NewExist, "NewExist"),
    (Column::JobsCreated, "CreateJob"),
    (Column::JobsRetained, "RetainedJob"),
    (Column::Franchise, "FranchiseCode"),
    (Column::Setting, "UrbanRural"),
    (Column::Revolving, "RevLineCr"),
    (Column::LowDocumentation, "LowDoc"),
    (Column::Outcome, "MIS_Status"),
    (Column::Approved, "GrAppv"),
    (Column::Guaranteed, "SBA_Appv"),
];

/// Where each column stands in the file.
#[derive(Clone, Debug)]
pub struct Columns {
    places: [usize; COLUMNS.len()],
    width: usize,
}

impl Columns {
    /// Finds the columns by their names; the names of those that are missing otherwise.
    pub fn find(header: &StringRecord) -> Result<Self, Vec<&'static str>> {
        let mut places = [0; COLUMNS.len()];
        let mut missing = Vec::new();
        for (column, name) in COLUMNS {
            match header.iter().position(|cell| cell.trim() == name) {
                Some(place) => places[column as usize] = place,
                None => missing.push(name),
            }
        }
        if missing.is_empty() { Ok(Self { places, width: header.len() }) } else { Err(missing) }
    }

    /// The fiscal year in a line: its first four digits in a row.
    pub fn fiscal_year(&self, cells: &StringRecord) -> Result<i16, LineError> {
        if cells.len() != self.width {
            return Err(LineError::Cells { found: cells.len(), expected: self.width });
        }
        let cell = cells.get(self.places[Column::FiscalYear as usize]).unwrap_or_default().as_bytes();
        let digits = cell.windows(4).find(|four| four.iter().all(u8::is_ascii_digit));
        let year = digits.and_then(|four| std::str::from_utf8(four).ok()?.parse().ok());
        year.ok_or(LineError::FiscalYear)
    }
}

/// What became of a loan. It is known from the file, and enters nothing but the figures at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    PaidInFull,
    ChargedOff,
}

/// What was known when the loan was approved. All that an application is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// Ten digits, one loan each.
    pub number: u64,
    pub approved_on: Date,
    pub amount_cents: u64,
    /// For the firm archive: of the firm, the loan, the industry, the place and the lender.
    pub sources: Sources,
}

/// A loan of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Loan {
    pub known: Known,
    pub outcome: Outcome,
}

/// Why a line is no loan that can be replayed. Never carries what stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    #[error("has {found} cells instead of {expected}")]
    Cells { found: usize, expected: usize },
    #[error("ApprovalFY holds no year of four digits")]
    FiscalYear,
    #[error("LoanNr_ChkDgt is not 10 digits")]
    Number,
    #[error("the loan stands twice in the file; the first line was kept")]
    Twice,
    #[error("ApprovalDate is not a date like 28-Feb-97")]
    ApprovedOn,
    #[error("{0} is not an amount in dollars and cents like $60,000.00")]
    Amount(&'static str),
    #[error("{0} is longer than {LONGEST_TEXT} characters")]
    TooLong(&'static str),
    #[error("is not UTF-8 text in CSV form")]
    NotText,
}

/// One line of the file.
struct Line<'a> {
    cells: &'a StringRecord,
    columns: &'a Columns,
}

impl Line<'_> {
    /// The cell without spaces around it, in capitals.
    fn text(&self, column: Column) -> String {
        self.cells.get(self.columns.places[column as usize]).unwrap_or_default().trim().to_uppercase()
    }

    fn number(&self, column: Column) -> Option<f64> {
        self.text(column).parse().ok().filter(|number: &f64| number.is_finite())
    }

    fn cents(&self, column: Column) -> Result<Option<u64>, LineError> {
        let text = self.text(column);
        if text.is_empty() {
            return Ok(None);
        }
        cents(&text).map(Some).ok_or(LineError::Amount(name(column)))
    }
}

fn name(column: Column) -> &'static str {
    COLUMNS[column as usize].1
}

/// Reads a line. `Ok(None)` where the outcome is not told: such a loan cannot be measured.
pub fn read(cells: &StringRecord, columns: &Columns) -> Result<Option<Loan>, LineError> {
    let line = Line { cells, columns };
    let outcome = match line.text(Column::Outcome).as_str() {
        "P I F" => Outcome::PaidInFull,
        "CHGOFF" => Outcome::ChargedOff,
        _ => return Ok(None),
    };
    let number = line.text(Column::Number);
    let ten_digits = number.len() == 10 && number.bytes().all(|b| b.is_ascii_digit());
    let known = Known {
        number: number.parse().ok().filter(|_| ten_digits).ok_or(LineError::Number)?,
        approved_on: day(&line.text(Column::ApprovedOn)).ok_or(LineError::ApprovedOn)?,
        amount_cents: line.cents(Column::Approved)?.ok_or(LineError::Amount(name(Column::Approved)))?,
        sources: sources(&line)?,
    };
    Ok(Some(Loan { known, outcome }))
}

/// What `sources` of `models/training/sba.py` makes of the same line; a field that has no value is left out.
fn sources(line: &Line<'_>) -> Result<Sources, LineError> {
    let text = |column| {
        let text = line.text(column);
        if text.chars().count() > LONGEST_TEXT { Err(LineError::TooLong(name(column))) } else { Ok(text) }
    };
    let industry = text(Column::Industry)?;
    let industry = if industry == "0" { String::new() } else { industry };
    let sector: String = industry.chars().take(2).collect();
    let area: String = format!("{:0>5}", text(Column::Zip)?).chars().take(3).collect();
    let (state, lender_state) = (text(Column::State)?, text(Column::BankState)?);
    let in_state = (!state.is_empty() && !lender_state.is_empty()).then(|| yes(state == lender_state));
    let is_new = match line.text(Column::NewExist).as_str() {
        "1" => Some(yes(false)),
        "2" => Some(yes(true)),
        _ => None,
    };
    let number = |column| line.number(column).map(whole);
    let franchise = line.number(Column::Franchise).is_some_and(|code| code > 1.0);
    let told = |text: String| (!text.is_empty()).then(|| Value::from(text));
    let cents = |column| Ok(line.cents(column)?.map(Value::from));
    Ok(Sources::from([
        row(
            "firm",
            [
                ("employees", number(Column::Employees)),
                ("new", is_new),
                ("franchise", Some(yes(franchise))),
                ("jobs_created", number(Column::JobsCreated)),
                ("jobs_retained", number(Column::JobsRetained)),
            ],
        ),
        row(
            "loan",
            [
                ("approved_cents", cents(Column::Approved)?),
                ("guaranteed_cents", cents(Column::Guaranteed)?),
                ("revolving", told(text(Column::Revolving)?)),
                ("low_documentation", told(text(Column::LowDocumentation)?)),
            ],
        ),
        row("industry", [("naics", told(industry)), ("sector", told(sector))]),
        row(
            "place",
            [("state", told(state)), ("area", told(area)), ("setting", told(text(Column::Setting)?))],
        ),
        row(
            "lender",
            [("name", told(text(Column::Bank)?)), ("state", told(lender_state)), ("in_state", in_state)],
        ),
    ]))
}

fn row<const N: usize>(source: &str, fields: [(&str, Option<Value>); N]) -> (String, SourceRow) {
    let told = fields.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?)));
    (source.to_owned(), told.collect())
}

fn yes(is_so: bool) -> Value {
    Value::from(u8::from(is_so))
}

/// A whole number as one, so that the archive keeps `4` and not `4.0`.
fn whole(number: f64) -> Value {
    let fits = number.fract() == 0.0 && number.abs() < 9e15;
    if fits { Value::from(number as i64) } else { Value::from(number) }
}

/// `$60,000.00` as 6,000,000. Digits only: nothing passes through floating point.
fn cents(text: &str) -> Option<u64> {
    let bare: String = text.chars().filter(|c| !matches!(c, '$' | ',') && !c.is_whitespace()).collect();
    let (dollars, cents) = bare.split_once('.').unwrap_or((&bare, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if dollars.is_empty() || cents.len() > 2 || !digits(dollars) || !digits(cents) {
        return None;
    }
    let dollars = dollars.parse::<u64>().ok().filter(|dollars| *dollars <= LARGEST_DOLLARS)?;
    let cents: u64 = format!("{cents:0<2}").parse().ok()?;
    Some(dollars * 100 + cents)
}

/// `28-FEB-97`, later than 1970-01-01 as in training.
fn day(text: &str) -> Option<Date> {
    const MONTHS: [&str; 12] =
        ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
    let mut parts = text.split('-');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let digits =
        |text: &str, most| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if parts.next().is_some() || !digits(day, 2) || year.len() != 2 || !digits(year, 2) {
        return None;
    }
    let month = MONTHS.iter().position(|name| *name == month)? as i8 + 1;
    let year: i16 = year.parse().ok()?;
    let century = if year <= LAST_YEAR { 2000 } else { 1900 };
    let day = Date::new(century + year, month, day.parse().ok()?).ok()?;
    (day > date(1970, 1, 1)).then_some(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_stands_at_its_own_place_in_the_list() {
        assert!(COLUMNS.iter().enumerate().all(|(place, (column, _))| *column as usize == place));
    }

    #[test]
    fn amounts_are_read_to_the_cent_and_nothing_else_is_one() {
        assert_eq!(cents("$60,000.00 "), Some(6_000_000));
        assert_eq!(cents("1234.5"), Some(123_450));
        assert_eq!(cents("$0.07"), Some(7));
        for bad in ["", "$", "-5", "($5.00)", "1e3", "5.001", "5.0.0", "99,999,999,999"] {
            assert_eq!(cents(bad), None, "{bad}");
        }
    }

    #[test]
    fn two_digit_years_are_of_this_century_up_to_2020() {
        assert_eq!(day("28-FEB-97"), Some(date(1997, 2, 28)));
        assert_eq!(day("1-OCT-05"), Some(date(2005, 10, 1)));
        assert_eq!(day("31-DEC-20"), Some(date(2020, 12, 31)));
        for bad in ["", "30-FEB-05", "5-10-05", "1-OCT-2005", "1-JAN-70", "1-OCT-21", "1-OCT-05-x"] {
            assert_eq!(day(bad), None, "{bad}");
        }
    }
}
