//! Borrowers for the demo and the bench: the legal representatives of firms in a folder of CSV files, with phones and
//! cards made up for them, and the model's own view of each firm, so that good and weak firms can be picked.

use crate::{borrower::Applicant, load::Loaded};
use domain::FirmRecord;
use jiff::civil::Date;
use ports::relation::{Tie, TieKind};
use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

/// A firm with its legal representative in clear, as only the CSV file has it.
#[derive(Clone)]
pub struct Owner {
    pub firm: FirmRecord,
    pub name: String,
    pub resident_id: String,
    pub points: i32,
    pub age_days: i64,
    pub supported_fen: u64,
}

/// The firms of a folder cannot be used for a demo.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    #[error("basic_information.csv cannot be read")]
    Read(#[from] csv::Error),
    #[error("the packaged model cannot be loaded")]
    Model(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The owners of all loaded firms whose representative is known, best score first. `today` is the day to score on.
pub fn owners(folder: &Path, loaded: &Loaded, today: Date) -> Result<Vec<Owner>, PeopleError> {
    let mut reader = csv::Reader::from_path(folder.join("basic_information.csv"))?;
    let mut people = HashMap::new();
    for row in reader.records() {
        let row = row?;
        people.insert(row[0].to_owned(), (row[2].to_owned(), row[3].to_owned()));
    }
    let ensemble = score::ensemble().map_err(|e| PeopleError::Model(e.into()))?;
    let mut owners: Vec<Owner> = loaded
        .firms
        .iter()
        .filter_map(|firm| {
            let (name, resident_id) = people.get(firm.firm_code.as_str())?.clone();
            // Only the points are wanted: an explanation costs twenty times as much as a score.
            let features = model::extract(ensemble.manifest(), &firm.sources, today);
            Some(Owner {
                firm: firm.clone(),
                name,
                resident_id,
                points: ensemble.score(&features).ok()?.points,
                age_days: score::age_days(firm, today)?,
                supported_fen: score::supported_amount(firm)?,
            })
        })
        .collect();
    owners.sort_by_key(|o| (-o.points, o.firm.firm_code.clone()));
    Ok(owners)
}

impl Owner {
    /// The owner with a phone, a card and a device of their own. The last four digits of the phone tell simulated
    /// providers what to answer; see `infra/sim/src/providers.rs`.
    pub fn applicant(&self, serial: u32, phone_ending: u16) -> Applicant {
        Applicant {
            subject: format!("borrower-{serial:06}"),
            device: format!("device-{serial:06}"),
            network: format!("network-{:04}", serial / 8),
            account_opened_at: None,
            channel: "mini_program",
            identified: false,
            firm_code: self.firm.firm_code.to_string(),
            name: self.name.clone(),
            resident_id: self.resident_id.clone(),
            phone: format!("1{:06}{phone_ending:04}", 380_000 + serial % 100_000 * 6 % 600_000),
            bank_card: card(serial),
        }
    }
}

/// A card number of 16 digits with a right Luhn digit.
pub fn card(serial: u32) -> String {
    let body = format!("622202{serial:09}");
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, b)| match (u32::from(b - b'0'), place % 2) {
            (digit, 1) => digit,
            (digit, _) if digit > 4 => digit * 2 - 9,
            (digit, _) => digit * 2,
        })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

/// The circles of guarantees among the firms of these owners: each answers for the debts of the next, and the last for those
/// of the first. In the order of their first owners.
pub fn circles<'a>(owners: &[&'a Owner], ties: &[Tie]) -> Vec<Vec<&'a Owner>> {
    let by_code: HashMap<&str, &Owner> = owners.iter().map(|o| (o.firm.firm_code.as_str(), *o)).collect();
    let answers = ties.iter().filter(|tie| tie.kind == TieKind::Guarantee);
    let answers: HashMap<&str, &str> =
        answers.map(|tie| (tie.firm.as_str(), tie.party.hash.as_str())).collect();
    let mut known = HashSet::new();
    let mut circles = Vec::new();
    for owner in owners {
        let first = owner.firm.firm_code.as_str();
        let next = |code: &&str| answers.get(code).copied().filter(|code| *code != first);
        let codes: Vec<&str> = std::iter::successors(Some(first), next).take(ties.len()).collect();
        let closes = codes.last().and_then(|last| answers.get(last)) == Some(&first);
        let members: Vec<&Owner> = codes.iter().filter_map(|code| by_code.get(code).copied()).collect();
        if closes && codes.len() > 2 && members.len() == codes.len() && !known.contains(first) {
            known.extend(codes);
            circles.push(members);
        }
    }
    circles
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::person::BankCard;

    #[test]
    fn made_up_cards_have_a_right_check_digit() {
        for serial in [0, 1, 77, 123_456_789] {
            assert!(BankCard::parse(&card(serial)).is_ok(), "{serial}");
        }
    }
}
