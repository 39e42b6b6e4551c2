//! Loads firms from CSV files, one file per source of the archive, and reports every row that it refuses.
//!
//! A row is refused whole: a firm with half a row would be scored on numbers that nobody delivered. What is refused
//! costs nothing else: all other rows are loaded.
//!
//! `related_parties.csv` is of another kind: one row per tie of a firm, for the relation graph.

use domain::{
    FirmCode, FirmRecord,
    firm::SourceRow,
    person::{PersonName, Phone, ResidentId},
};
use jiff::civil::Date;
use ports::relation::{Node, NodeKind, Tie, TieKind};
use serde_json::Value;
use signing::KeyedHasher;
use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    path::{Path, PathBuf},
};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    /// ISO 8601, `2026-11-23`.
    Date,
    /// Read once to make the keyed hash of the legal representative; not kept.
    Personal,
}

use Kind::{Date as Day, Integer as Int, Personal, Text};

type Columns = &'static [(&'static str, Kind)];

/// The files and their columns. Each begins with `firm_code`; an empty cell means that the source does not tell.
const FILES: [(&str, Columns); 8] = [
    (
        "basic_information",
        &[
            ("name", Text),
            ("legal_representative_name", Personal),
            ("legal_representative_resident_id", Personal),
            ("address", Text),
            ("industry", Text),
            ("established_on", Day),
            ("status", Text),
            ("banned", Int),
        ],
    ),
    (
        "business_registration",
        &[
            ("registered_on", Day),
            ("registered_capital_fen", Int),
            ("paid_in_capital_fen", Int),
            ("shareholders", Int),
            ("branches", Int),
            ("legal_representative_changes_24m", Int),
            ("address_changes_24m", Int),
            ("abnormal_listings_36m", Int),
            ("pledged_equity_bps", Int),
        ],
    ),
    (
        "development_and_reform",
        &[
            ("project_approvals_36m", Int),
            ("subsidies_36m_fen", Int),
            ("administrative_penalties_36m", Int),
            ("last_penalty_on", Day),
            ("judgements_as_defendant_36m", Int),
            ("judgement_amount_36m_fen", Int),
            ("enforcement_cases_36m", Int),
            ("broken_commitments_36m", Int),
        ],
    ),
    (
        "tax_declared",
        &[
            ("sales_12m_fen", Int),
            ("sales_previous_12m_fen", Int),
            ("tax_12m_fen", Int),
            ("zero_declarations_12m", Int),
            ("late_declarations_24m", Int),
            ("credit_grade", Text),
            ("declared_until", Day),
        ],
    ),
    (
        "tax_paid",
        &[("tax_12m_fen", Int), ("arrears_fen", Int), ("late_payments_24m", Int), ("last_paid_on", Day)],
    ),
    (
        "financial_statements",
        &[
            ("revenue_fen", Int),
            ("revenue_previous_fen", Int),
            ("net_profit_fen", Int),
            ("total_assets_fen", Int),
            ("total_liabilities_fen", Int),
            ("current_assets_fen", Int),
            ("current_liabilities_fen", Int),
            ("cash_fen", Int),
            ("receivables_fen", Int),
            ("operating_cash_flow_fen", Int),
            ("period_ended_on", Day),
        ],
    ),
    (
        "social_insurance",
        &[
            ("insured_employees", Int),
            ("insured_employees_previous", Int),
            ("due_12m_fen", Int),
            ("paid_12m_fen", Int),
            ("overdue_months_24m", Int),
            ("paid_until", Day),
        ],
    ),
    (
        "housing_fund",
        &[
            ("employees", Int),
            ("due_12m_fen", Int),
            ("paid_12m_fen", Int),
            ("overdue_months_24m", Int),
            ("paid_until", Day),
        ],
    ),
];

/// The file of ties, and its columns: who owns or directs a firm (resident ids), which phone it registered, whose debts
/// it answers for and whom it invoices (firm codes).
const PARTIES: &str = "related_parties";
const PARTY_COLUMNS: [&str; 3] = ["firm_code", "kind", "party"];

/// Largest text cell, in characters.
const LONGEST_TEXT: usize = 200;

/// What a folder held.
#[derive(Debug, Default)]
pub struct Loaded {
    pub firms: Vec<FirmRecord>,
    /// What ties these firms to persons, phones and each other.
    pub ties: Vec<Tie>,
    pub rows: usize,
    pub refused: Vec<Refused>,
    /// Files that are not there; their source is missing for every firm.
    pub missing: Vec<&'static str>,
}

/// A row that was not loaded. Names place and reason, never the value.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    pub file: &'static str,
    pub line: u64,
    pub reason: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.csv line {}: {}", self.file, self.line, self.reason)
    }
}

/// A folder that cannot be loaded at all.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{0} holds no basic_information.csv, which names the firms")]
    NoFirms(PathBuf),
    #[error("{file}.csv cannot be read")]
    Read {
        file: &'static str,
        #[source]
        source: csv::Error,
    },
    #[error("{file}.csv must have exactly the columns {expected}")]
    Columns { file: &'static str, expected: String },
}

/// Reads the files of a folder, delivered on a day. Only `basic_information.csv` has to be there.
pub fn load(folder: &Path, hasher: &KeyedHasher, on: Date) -> Result<Loaded, LoadError> {
    let mut loaded = Loaded::default();
    let mut firms: BTreeMap<FirmCode, FirmRecord> = BTreeMap::new();
    for (file, columns) in FILES {
        let path = folder.join(file).with_extension("csv");
        if !path.exists() {
            if file == "basic_information" {
                return Err(LoadError::NoFirms(folder.to_owned()));
            }
            loaded.missing.push(file);
            continue;
        }
        read_file(file, columns, &path, hasher, &mut firms, &mut loaded)?;
    }
    let parties = folder.join(PARTIES).with_extension("csv");
    match parties.exists() {
        true => read_parties(&parties, hasher, on, &firms, &mut loaded)?,
        false => loaded.missing.push(PARTIES),
    }
    loaded.firms = firms.into_values().collect();
    Ok(loaded)
}

fn read_parties(
    path: &Path,
    hasher: &KeyedHasher,
    on: Date,
    firms: &BTreeMap<FirmCode, FirmRecord>,
    loaded: &mut Loaded,
) -> Result<(), LoadError> {
    let mut seen = HashSet::new();
    let mut ties = Vec::new();
    each_row(PARTIES, &PARTY_COLUMNS, path, loaded, |record| {
        let tie = tie_of(record, hasher, on)?;
        if !firms.contains_key(&tie.firm) {
            return Err("the firm is not in basic_information.csv".to_owned());
        }
        if !seen.insert((tie.kind, tie.firm.clone(), tie.party.clone())) {
            return Err("the tie stands twice in this file".to_owned());
        }
        ties.push(tie);
        Ok(())
    })?;
    loaded.ties = ties;
    Ok(())
}

/// A row of [`PARTIES`]. Personal values leave it as keyed hashes.
fn tie_of(record: &csv::StringRecord, hasher: &KeyedHasher, on: Date) -> Result<Tie, String> {
    let firm: FirmCode = record[0].parse().map_err(|e| format!("firm_code {e}"))?;
    let kind = TieKind::ALL.into_iter().find(|kind| kind.as_str() == &record[1]);
    let kind = kind.ok_or_else(|| {
        let kinds: Vec<&str> = TieKind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("kind is none of {}", kinds.join(", "))
    })?;
    let party = &record[2];
    let hash = match kind.party() {
        NodeKind::Firm => {
            let other: FirmCode = party.parse().map_err(|e| format!("party {e}"))?;
            if other == firm {
                return Err("party is the firm itself".to_owned());
            }
            other.to_string()
        }
        NodeKind::Phone => {
            let phone = Phone::parse(party).map_err(|e| format!("party {e}"))?;
            hasher.phone(&phone).to_string()
        }
        _ => {
            let id = ResidentId::parse(party).map_err(|e| format!("party {e}"))?;
            hasher.person(&id).to_string()
        }
    };
    let party = Node { kind: kind.party(), hash };
    let source = PARTIES.to_owned();
    Ok(Tie { kind, firm, party, first_seen: on, last_seen: on, count: 1, source })
}

fn read_file(
    file: &'static str,
    columns: Columns,
    path: &Path,
    hasher: &KeyedHasher,
    firms: &mut BTreeMap<FirmCode, FirmRecord>,
    loaded: &mut Loaded,
) -> Result<(), LoadError> {
    let names = columns.iter().map(|(name, _)| *name);
    let expected: Vec<&str> = std::iter::once("firm_code").chain(names).collect();
    let mut seen = HashSet::new();
    each_row(file, &expected, path, loaded, |record| {
        take_row(file, columns, record, hasher, firms, &mut seen)
    })
}

/// Gives every row with the right number of cells to `take`, and reports each that is refused.
fn each_row(
    file: &'static str,
    expected: &[&str],
    path: &Path,
    loaded: &mut Loaded,
    mut take: impl FnMut(&csv::StringRecord) -> Result<(), String>,
) -> Result<(), LoadError> {
    let broken = |source| LoadError::Read { file, source };
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(path).map_err(broken)?;
    if reader.headers().map_err(broken)?.iter().ne(expected.iter().copied()) {
        return Err(LoadError::Columns { file, expected: expected.join(",") });
    }
    for (place, record) in reader.records().enumerate() {
        loaded.rows += 1;
        let line = |r: &csv::StringRecord| r.position().map_or(place as u64 + 2, csv::Position::line);
        let outcome = match &record {
            Ok(record) if record.len() != expected.len() => {
                Err((line(record), format!("has {} cells instead of {}", record.len(), expected.len())))
            }
            Ok(record) => take(record).map_err(|e| (line(record), e)),
            Err(error) => {
                let at = error.position().map_or(place as u64 + 2, csv::Position::line);
                Err((at, "is not UTF-8 text in CSV form".to_owned()))
            }
        };
        if let Err((line, reason)) = outcome {
            loaded.refused.push(Refused { file, line, reason });
        }
    }
    Ok(())
}

fn take_row(
    file: &'static str,
    columns: Columns,
    record: &csv::StringRecord,
    hasher: &KeyedHasher,
    firms: &mut BTreeMap<FirmCode, FirmRecord>,
    seen: &mut HashSet<FirmCode>,
) -> Result<(), String> {
    let code: FirmCode = record[0].parse().map_err(|e| format!("firm_code {e}"))?;
    if !seen.insert(code.clone()) {
        return Err("the firm stands twice in this file; the first row was kept".to_owned());
    }
    let mut row = SourceRow::new();
    for ((name, kind), cell) in columns.iter().zip(record.iter().skip(1)) {
        if let Some(value) = cell_value(*kind, cell).map_err(|e| format!("{name} {e}"))? {
            row.insert((*name).to_owned(), value);
        }
    }
    if file == "basic_information" {
        let legal_representative = legal_representative(columns, record, hasher)?;
        let sources = BTreeMap::from([(file.to_owned(), row)]);
        firms.insert(code.clone(), FirmRecord { firm_code: code, legal_representative, sources });
        return Ok(());
    }
    let firm = firms.get_mut(&code).ok_or("the firm is not in basic_information.csv")?;
    firm.sources.insert(file.to_owned(), row);
    Ok(())
}

fn cell_value(kind: Kind, cell: &str) -> Result<Option<Value>, &'static str> {
    if cell.is_empty() {
        return Ok(None);
    }
    match kind {
        Personal => Ok(None),
        Text if cell.chars().count() > LONGEST_TEXT => Err("is longer than 200 characters"),
        Text => Ok(Some(cell.into())),
        Int => cell.parse::<i64>().map(|n| Some(n.into())).map_err(|_| "is not a whole number"),
        Day => cell.parse::<Date>().map(|_| Some(cell.into())).map_err(|_| "is not a date like 2026-11-23"),
    }
}

/// The keyed hash of the legal representative; `None` when the row does not name one.
fn legal_representative(
    columns: Columns,
    record: &csv::StringRecord,
    hasher: &KeyedHasher,
) -> Result<Option<String>, String> {
    let cell = |wanted: &str| {
        let place = columns.iter().position(|(name, _)| *name == wanted);
        place.and_then(|p| record.get(p + 1)).unwrap_or_default()
    };
    let (name, id) = (cell("legal_representative_name"), cell("legal_representative_resident_id"));
    if name.is_empty() && id.is_empty() {
        return Ok(None);
    }
    let name = PersonName::parse(name).map_err(|e| format!("legal_representative_name {e}"))?;
    let id = ResidentId::parse(id).map_err(|e| format!("legal_representative_resident_id {e}"))?;
    Ok(Some(hasher.identity(&name, &id).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn hasher() -> KeyedHasher {
        KeyedHasher::new(&[7; 32]).unwrap()
    }

    const TODAY: Date = jiff::civil::date(2026, 11, 23);
    const BASIC: &str = "firm_code,name,legal_representative_name,legal_representative_resident_id,address,industry,established_on,status,banned\n";
    const FIRM: &str =
        "91350100M000100Y43,云海合达,王伟,11010519491231002X,工业一路1号,制造业,2020-09-19,active,0\n";

    fn folder(files: &[(&str, String)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn the_first_city_loads_whole() {
        let city = Path::new(env!("CARGO_MANIFEST_DIR")).join("city");
        let loaded = load(&city, &hasher(), TODAY).unwrap();
        assert_eq!(loaded.refused, []);
        assert_eq!(loaded.firms.len(), 2_000);
        assert_eq!(loaded.missing, Vec::<&str>::new());
    }

    #[test]
    fn every_refused_row_is_reported_with_line_and_reason_and_the_others_load() {
        let bad_code = FIRM.replace("Y43", "Y44");
        let bad_date =
            FIRM.replace("91350100M000100Y43", "91110000802100433B").replace("2020-09-19", "2020-02-30");
        let folder = folder(&[
            ("basic_information.csv", format!("{BASIC}{FIRM}{bad_code}{bad_date}{FIRM}")),
            ("tax_paid.csv", "firm_code,tax_12m_fen,arrears_fen,late_payments_24m,last_paid_on\n91350100M000100Y43,NaN,0,0,\n914403001922038216,1,0,0,\n".into()),
        ]);
        let loaded = load(folder.path(), &hasher(), TODAY).unwrap();
        assert_eq!(loaded.firms.len(), 1);
        let report: Vec<String> = loaded.refused.iter().map(ToString::to_string).collect();
        assert_eq!(
            report,
            [
                "basic_information.csv line 3: firm_code has a wrong check character (GB 32100-2015)",
                "basic_information.csv line 4: established_on is not a date like 2026-11-23",
                "basic_information.csv line 5: the firm stands twice in this file; the first row was kept",
                "tax_paid.csv line 2: tax_12m_fen is not a whole number",
                "tax_paid.csv line 3: the firm is not in basic_information.csv",
            ]
        );
    }

    #[test]
    fn ties_are_kept_without_personal_values_and_wrong_ones_are_reported() {
        let parties = "firm_code,kind,party\n\
            91350100M000100Y43,shareholder,11010519491231002X\n\
            91350100M000100Y43,guarantee,91110000802100433B\n\
            91350100M000100Y43,guarantee,91350100M000100Y43\n\
            91350100M000100Y43,cousin,11010519491231002X\n\
            91350100M000100Y43,director,11010519491231002Y\n\
            91350100M000100Y43,registered_phone,139\n\
            91110000802100433B,registered_phone,13900000000\n\
            91350100M000100Y43,guarantee,91110000802100433B\n\
            91350100M000100Y43,guarantee\n";
        let folder = folder(&[
            ("basic_information.csv", format!("{BASIC}{FIRM}")),
            ("related_parties.csv", parties.to_owned()),
        ]);
        let loaded = load(folder.path(), &hasher(), TODAY).unwrap();
        let kinds: Vec<TieKind> = loaded.ties.iter().map(|tie| tie.kind).collect();
        assert_eq!(kinds, [TieKind::Shareholder, TieKind::Guarantee]);
        assert!(!format!("{:?}", loaded.ties).contains("11010519491231002X"));
        let lines: Vec<u64> = loaded.refused.iter().map(|refused| refused.line).collect();
        assert_eq!(lines, [4, 5, 6, 7, 8, 9, 10], "{:?}", loaded.refused);
        assert!(!format!("{:?}", loaded.refused).contains("139"), "{:?}", loaded.refused);
    }

    #[test]
    fn the_legal_representative_is_kept_as_a_keyed_hash_only() {
        let folder = folder(&[("basic_information.csv", format!("{BASIC}{FIRM}"))]);
        let firm = &load(folder.path(), &hasher(), TODAY).unwrap().firms[0];
        let text = serde_json::to_string(firm).unwrap();
        assert!(!text.contains("王伟") && !text.contains("11010519491231002X"), "{text}");
        assert!(firm.legal_representative.is_some());
    }

    #[test]
    fn a_file_with_other_columns_is_refused_with_the_right_ones_named() {
        let folder = folder(&[("basic_information.csv", "firm_code,nom\n".into())]);
        let error = load(folder.path(), &hasher(), TODAY).unwrap_err().to_string();
        assert!(error.contains("firm_code,name,legal_representative_name"), "{error}");
    }
}
