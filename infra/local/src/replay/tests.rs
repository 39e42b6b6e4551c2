//! The file of loans: read as training reads it, blind to the outcome, and bad lines at no cost to the others.

use super::{
    file::{self, FileError, Found, Wanted},
    loan::{Known, Outcome},
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// 60 lines of the SBA file.
const LOANS: &str = include_str!("../../tests/sba/loans.csv");
/// What Python makes of them.
const PARITY: &str = include_str!("../../tests/sba/parity.json");

fn wanted(limit: usize) -> Wanted {
    Wanted { years: 2005..=2007, limit }
}

fn read(text: impl AsRef<[u8]>, limit: usize) -> Result<Found, FileError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("loans.csv");
    fs::write(&path, text).unwrap();
    file::read(&path, &wanted(limit))
}

fn knowns(found: Found) -> Vec<Known> {
    found.loans.into_iter().map(|loan| loan.known).collect()
}

/// The lines with the cell of one column changed in each but the first.
fn change(column: &str, to: impl Fn(&str) -> String) -> Vec<u8> {
    let mut reader = csv::Reader::from_reader(LOANS.as_bytes());
    let place = reader.headers().unwrap().iter().position(|name| name == column).unwrap();
    let mut changed = csv::Writer::from_writer(Vec::new());
    changed.write_record(reader.headers().unwrap()).unwrap();
    for line in reader.records() {
        let line = line.unwrap();
        let cells =
            line.iter().enumerate().map(|(at, cell)| if at == place { to(cell) } else { cell.to_owned() });
        changed.write_record(cells).unwrap();
    }
    changed.into_inner().unwrap()
}

/// The rows of the parity file by loan number.
fn parity() -> Vec<Value> {
    serde_json::from_str(PARITY).unwrap()
}

#[test]
fn a_line_gives_the_sources_that_training_makes_of_it() {
    let found = read(LOANS, 1_000).unwrap();
    assert_eq!((found.bad, found.in_years, found.loans.len()), (0, 60, 60));
    let parity = parity();
    assert_eq!(parity.len(), 60);
    for loan in found.loans {
        let number = format!("{:010}", loan.known.number);
        let row = parity.iter().find(|row| row["loan"] == number.as_str()).unwrap();
        let expected = row["sources"].as_object().unwrap();
        assert!(expected.keys().eq(loan.known.sources.keys()), "{number}");
        for (source, fields) in expected {
            let told = fields.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
            let ours = &loan.known.sources[source];
            assert_eq!(told.clone().count(), ours.len(), "{number} {source} {ours:?}");
            for (field, value) in told {
                assert_eq!(ours.get(field), Some(value), "{number} {source}.{field}");
            }
        }
        assert_eq!(row["charged_off"] == true, loan.outcome == Outcome::ChargedOff, "{number}");
    }
}

#[test]
fn the_features_are_those_that_python_works_out_bit_for_bit() {
    let registry = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/registry");
    let manifest = fs::read(registry.join("sba-2026.11.1/manifest.json")).unwrap();
    let manifest = model::Manifest::parse(&manifest).unwrap();
    let parity = parity();
    for loan in read(LOANS, 1_000).unwrap().loans {
        let number = format!("{:010}", loan.known.number);
        let row = parity.iter().find(|row| row["loan"] == number.as_str()).unwrap();
        let ours = model::extract(&manifest, &loan.known.sources, loan.known.approved_on);
        let ours: Vec<Option<u32>> = ours.iter().map(|x| (!x.is_nan()).then(|| x.to_bits())).collect();
        let python = row["features"].as_array().unwrap().iter();
        let python: Vec<Option<u32>> = python.map(|x| x.as_f64().map(|x| (x as f32).to_bits())).collect();
        assert_eq!(ours, python, "loan {number}");
    }
}

#[test]
fn what_became_of_a_loan_changes_nothing_that_an_application_knows() {
    let known = knowns(read(LOANS, 1_000).unwrap());
    let turned = |outcome: &str| if outcome == "CHGOFF" { "P I F" } else { "CHGOFF" }.to_owned();
    let found = read(change("MIS_Status", turned), 1_000).unwrap();
    let charged_off = found.loans.iter().filter(|loan| loan.outcome == Outcome::ChargedOff).count();
    let before = read(LOANS, 1_000).unwrap();
    let paid = before.loans.iter().filter(|loan| loan.outcome == Outcome::PaidInFull).count();
    assert_eq!(charged_off, paid, "every outcome is turned");
    assert_eq!(knowns(found), known);
    for leak in [
        "Term",
        "ChgOffDate",
        "ChgOffPrinGr",
        "BalanceGross",
        "DisbursementDate",
        "DisbursementGross",
        "Name",
        "City",
    ] {
        let found = read(change(leak, |cell| format!("{cell}9")), 1_000).unwrap();
        assert_eq!(knowns(found), known, "{leak}");
    }
}

#[test]
fn a_sample_is_the_same_in_every_run_and_part_of_any_larger_one() {
    let numbers =
        |limit| knowns(read(LOANS, limit).unwrap()).into_iter().map(|known| known.number).collect::<Vec<_>>();
    let (few, more) = (numbers(10), numbers(25));
    assert_eq!((few.len(), more.len()), (10, 25));
    assert_eq!(few, numbers(10));
    assert!(few.iter().all(|number| more.contains(number)));
    let whole = knowns(read(LOANS, 1_000).unwrap());
    assert!(whole.is_sorted_by_key(|known| known.approved_on), "in the order of approval");
}

#[test]
fn loans_of_other_years_and_without_outcome_are_left_out_and_are_not_bad() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sba/loans.csv");
    let one_year = file::read(&path, &Wanted { years: 2006..=2006, limit: 1_000 }).unwrap();
    assert!(one_year.in_years > 5 && one_year.in_years < 60 && one_year.bad == 0, "{one_year:?}");
    let found = read(
        change("MIS_Status", |cell| if cell == "CHGOFF" { String::new() } else { cell.to_owned() }),
        1_000,
    );
    let found = found.unwrap();
    assert!(found.without_outcome > 5 && found.bad == 0);
    assert_eq!(found.in_years + found.without_outcome, 60);
}

#[test]
fn bad_lines_are_counted_and_named_with_column_and_line_and_the_others_are_read() {
    let mut lines: Vec<String> = LOANS.lines().map(str::to_owned).collect();
    let nine_digits = lines[1].replacen(&lines[1][..10].to_owned(), "107577500", 1);
    let no_amount = lines[2].replace('$', "€");
    let short = "1,2,3".to_owned();
    let twice = lines[3].clone();
    lines.extend([nine_digits, no_amount, short, twice]);
    let mut text = lines.join("\n").into_bytes();
    text.extend(b"\n\xff\xfe,1\n");
    let found = read(text, 1_000).unwrap();
    assert_eq!((found.lines, found.in_years, found.bad), (65, 60, 5));
    let named: Vec<String> = found.named.iter().map(ToString::to_string).collect();
    assert_eq!(
        named,
        [
            "line 62: LoanNr_ChkDgt is not 10 digits",
            "line 63: GrAppv is not an amount in dollars and cents like $60,000.00",
            "line 64: has 3 cells instead of 27",
            "line 65: the loan stands twice in the file; the first line was kept",
            "line 66: is not UTF-8 text in CSV form",
        ]
    );
}

#[test]
fn a_file_that_cannot_be_replayed_says_what_it_lacks() {
    let error = |text: &str| read(text, 10).unwrap_err().to_string();
    assert!(error("").contains("is empty"), "{}", error(""));
    let header = LOANS.lines().next().unwrap();
    let renamed = error(&header.replace("MIS_Status", "Status").replace("GrAppv", "Amount"));
    assert!(renamed.ends_with("lacks the columns MIS_Status, GrAppv"), "{renamed}");
    let none = error(header);
    assert!(none.contains("no loan of 2005 to 2007"), "{none}");
    let nowhere = file::read(&PathBuf::from("/nowhere.csv"), &wanted(10)).unwrap_err();
    assert!(matches!(nowhere, FileError::Read { .. }));
}

#[test]
fn years_are_one_or_two_in_order() {
    assert_eq!(super::years("2006"), Ok(2006..=2006));
    assert_eq!(super::years("2005-2007"), Ok(2005..=2007));
    for bad in ["", "2007-2005", "05", "2005-", "2005-2007-2009", "1e3"] {
        assert!(super::years(bad).is_err(), "{bad}");
    }
}
