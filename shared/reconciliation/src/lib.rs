//! A bank's daily file against our ledger. Pure: [`Statement`] reads the file, [`reconcile`] names every difference,
//! [`Report`] is written as JSON and as a page.
//!
//! | difference | what it says |
//! |---|---|
//! | `missing_at_bank` | we hold the payout as paid, or as turned down by the bank, on this day, and the file does not have it |
//! | `missing_here` | the file has a payout that this bank never got from us |
//! | `amount` | both have it, with different amounts |
//! | `date` | both have it, on different days in China |
//! | `state` | one says paid and the other does not, or we hold it without an end |
//! | `reference` | both say paid, under different references of the bank |
//! | `duplicate` | the file has the payout once more |
//! | `unreadable_line` | a line could not be read |

mod page;
mod statement;
#[cfg(test)]
mod tests;

pub use page::page;
pub use statement::{BadStatement, Format, Line, MAX_BYTES, MAX_LINES, State, Statement, UnknownFormat};

use domain::{
    Fen, PayoutId,
    calendar::day_in_china,
    ledger::{Evidence, Outcome, Resolution},
};
use jiff::{Timestamp, civil::Date};
use serde::Serialize;
use std::collections::BTreeMap;

/// What the ledger holds of a payout with this bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub amount_fen: Fen,
    pub standing: Standing,
}

/// Where a payout stood on the file's day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Reserved; the bank's word is awaited.
    Open,
    /// Never reserved, so the bank was never instructed.
    Closed,
    /// By the last resolution of the file's day, or else the one nearest to it.
    Resolved(Resolution),
}

impl Held {
    fn resolution(&self) -> Option<&Resolution> {
        match &self.standing {
            Standing::Resolved(resolution) => Some(resolution),
            Standing::Open | Standing::Closed => None,
        }
    }
}

/// A kind of difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    MissingAtBank,
    MissingHere,
    Amount,
    Date,
    State,
    Reference,
    Duplicate,
    UnreadableLine,
}

impl Kind {
    /// The name that the report uses.
    pub fn name(self) -> &'static str {
        match self {
            Kind::MissingAtBank => "missing_at_bank",
            Kind::MissingHere => "missing_here",
            Kind::Amount => "amount",
            Kind::Date => "date",
            Kind::State => "state",
            Kind::Reference => "reference",
            Kind::Duplicate => "duplicate",
            Kind::UnreadableLine => "unreadable_line",
        }
    }
}

/// How one side has a payout.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Side {
    /// The bank's `paid`, `refused` or `failed`; the ledger's `posted`, `voided`, `expired`, `closed` or `open`.
    pub state: &'static str,
    pub amount_fen: Fen,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub bank_reference: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Difference {
    pub kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payout_id: Option<PayoutId>,
    /// The line of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The field of a line that cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bank: Option<Side>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<Side>,
}

/// How much was paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Paid {
    pub payouts: u64,
    pub sum_fen: u128,
}

impl Paid {
    fn add(&mut self, amount: Fen) {
        self.payouts += 1;
        self.sum_fen += u128::from(amount.0);
    }
}

/// What came of comparing one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    pub bank: String,
    pub day: Date,
    /// Lines of the file, readable or not.
    pub lines: u64,
    /// Payouts of the file that agree with the ledger in everything.
    pub agreed: u64,
    pub paid_at_bank: Paid,
    /// Of the file's day alone.
    pub paid_here: Paid,
    /// By kind, then by payout and line.
    pub differences: Vec<Difference>,
}

impl Report {
    /// The payouts of which one side says paid and the other does not, or that we hold open, with what the bank says. Of
    /// these the bank should be asked. A file that lacks a payout says that it was not paid; where we hold it as not paid
    /// either, there is nothing to ask.
    pub fn contradicted(&self) -> impl Iterator<Item = (PayoutId, bool)> {
        self.differences.iter().filter_map(|Difference { kind, payout_id, bank, ledger, .. }| {
            let says_paid = match (kind, bank, ledger) {
                (Kind::State, Some(bank), _) => bank.state == "paid",
                (Kind::MissingAtBank, None, Some(ledger)) if ledger.state == "posted" => false,
                _ => return None,
            };
            Some(((*payout_id)?, says_paid))
        })
    }
}

/// Compares the file of one day with what we hold: everything that was resolved with the bank on that day, and every
/// payout that the file names and this bank has from us.
pub fn reconcile(bank: &str, day: Date, statement: &Statement, held: &BTreeMap<PayoutId, Held>) -> Report {
    let mut report = Report {
        bank: bank.to_owned(),
        day,
        lines: (statement.lines.len() + statement.unreadable.len()) as u64,
        agreed: 0,
        paid_at_bank: Paid::default(),
        paid_here: Paid::default(),
        differences: Vec::new(),
    };
    let unreadable = |&(line, field): &(u64, Option<&'static str>)| Difference {
        kind: Kind::UnreadableLine,
        payout_id: None,
        line: Some(line),
        field,
        bank: None,
        ledger: None,
    };
    report.differences.extend(statement.unreadable.iter().map(unreadable));
    let mut seen = BTreeMap::new();
    for line in &statement.lines {
        if line.state == State::Paid {
            report.paid_at_bank.add(line.amount_fen);
        }
        let ours = held.get(&line.payout_id);
        let kinds = match (seen.insert(line.payout_id, ()), ours) {
            (Some(()), _) => vec![Kind::Duplicate],
            (None, None) => vec![Kind::MissingHere],
            (None, Some(ours)) => differing(day, line, ours),
        };
        report.agreed += u64::from(kinds.is_empty());
        report.differences.extend(kinds.into_iter().map(|kind| difference(kind, line, ours)));
    }
    for (id, ours) in held {
        let Some(resolution) = ours.resolution().filter(|r| day_in_china(r.at) == day) else {
            continue;
        };
        if resolution.outcome.is_paid() {
            report.paid_here.add(ours.amount_fen);
        }
        // What we gave up ourselves the bank has never seen.
        if !seen.contains_key(id) && resolution.evidence != Evidence::Lender {
            report.differences.push(Difference {
                kind: Kind::MissingAtBank,
                payout_id: Some(*id),
                line: None,
                field: None,
                bank: None,
                ledger: Some(side(ours)),
            });
        }
    }
    report.differences.sort();
    report
}

fn differing(day: Date, line: &Line, ours: &Held) -> Vec<Kind> {
    let mut kinds = Vec::new();
    if line.amount_fen != ours.amount_fen {
        kinds.push(Kind::Amount);
    }
    let resolution = match &ours.standing {
        Standing::Resolved(resolution) => resolution,
        // What was never instructed may well be unpaid, whenever that was.
        Standing::Closed if line.state != State::Paid => return kinds,
        Standing::Closed | Standing::Open => {
            kinds.push(Kind::State);
            return kinds;
        }
    };
    if day_in_china(line.at) != day || day_in_china(resolution.at) != day {
        kinds.push(Kind::Date);
    }
    match (&resolution.outcome, line.state) {
        (Outcome::Posted { bank_reference }, State::Paid) if *bank_reference != line.bank_reference => {
            kinds.push(Kind::Reference);
        }
        (outcome, state) if outcome.is_paid() != (state == State::Paid) => kinds.push(Kind::State),
        _ => {}
    }
    kinds
}

fn difference(kind: Kind, line: &Line, ours: Option<&Held>) -> Difference {
    let state = match line.state {
        State::Paid => "paid",
        State::Refused => "refused",
        State::Failed => "failed",
    };
    let (amount_fen, bank_reference, at) = (line.amount_fen, line.bank_reference.clone(), Some(line.at));
    Difference {
        kind,
        payout_id: Some(line.payout_id),
        line: Some(line.number),
        field: None,
        bank: Some(Side { state, amount_fen, bank_reference, at }),
        ledger: ours.map(side),
    }
}

fn side(ours: &Held) -> Side {
    let amount_fen = ours.amount_fen;
    let side = |state, bank_reference: &str, at| Side {
        state,
        amount_fen,
        bank_reference: bank_reference.to_owned(),
        at,
    };
    match &ours.standing {
        Standing::Open => side("open", "", None),
        Standing::Closed => side("closed", "", None),
        Standing::Resolved(Resolution { outcome, at, .. }) => match outcome {
            Outcome::Posted { bank_reference } => side("posted", bank_reference, Some(*at)),
            Outcome::Voided { .. } => side("voided", "", Some(*at)),
            Outcome::Expired => side("expired", "", Some(*at)),
        },
    }
}
