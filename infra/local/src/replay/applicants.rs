//! Made-up people around real loans. The file tells of no person, so that each loan gets a firm, a representative, a phone, a
//! card, a device and a network of its own: nothing joins two applications, and the relation graph finds no ring.

use super::loan::Known;
use crate::{borrower::Applicant, people};
use domain::{
    FirmCode, FirmRecord,
    person::{PersonName, ResidentId},
};
use jiff::{ToSpan, civil::date};
use signing::KeyedHasher;

/// Everybody's name; people are told apart by their resident ids.
const NAME: &str = "李明";
/// Days of birth that are given out: from 1960 into 1987.
const BIRTHDAYS: u32 = 10_000;

/// A number, a name or a code could not be made up. A defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no {0} can be made up for a loan")]
pub struct NotMade(&'static str);

/// The firm of a loan as the archive keeps it: the loan's own sources, and a legal representative.
pub fn firm(known: &Known, serial: u32, hasher: &KeyedHasher) -> Result<FirmRecord, NotMade> {
    let name = PersonName::parse(NAME).map_err(|_| NotMade("name"))?;
    let id = resident_id(serial)?;
    Ok(FirmRecord {
        firm_code: firm_code(known)?,
        legal_representative: Some(hasher.identity(&name, &id).to_string()),
        sources: known.sources.clone(),
    })
}

/// Who applies for a loan. `serial` tells the loans of one replay apart.
pub fn applicant(known: &Known, serial: u32) -> Result<Applicant, NotMade> {
    Ok(Applicant {
        subject: format!("loan-{:010}", known.number),
        device: format!("device-{serial:08}"),
        network: format!("network-{serial:08}"),
        account_opened_at: None,
        channel: "mini_program",
        identified: false,
        firm_code: firm_code(known)?.to_string(),
        name: NAME.to_owned(),
        resident_id: resident_id(serial)?.expose().to_owned(),
        // No simulated provider answers oddly to a number that ends in 9.
        phone: format!("13{serial:08}9"),
        bank_card: people::card(serial),
    })
}

/// A code that holds the loan's number, with the check character that it must have.
fn firm_code(known: &Known) -> Result<FirmCode, NotMade> {
    let checks = "0123456789ABCDEFGHJKLMNPQRTUWXY".chars();
    let mut codes = checks.map(|check| format!("9100000{:010}{check}", known.number));
    codes.find_map(|code| code.parse().ok()).ok_or(NotMade("firm code"))
}

fn resident_id(serial: u32) -> Result<ResidentId, NotMade> {
    let born = date(1960, 1, 1)
        .checked_add(i64::from(serial % BIRTHDAYS).days())
        .map_err(|_| NotMade("birthday"))?;
    let body =
        format!("420102{:04}{:02}{:02}{:03}", born.year(), born.month(), born.day(), serial / BIRTHDAYS);
    let mut ids = "0123456789X".chars().map(|check| format!("{body}{check}"));
    ids.find_map(|id| ResidentId::parse(&id).ok()).ok_or(NotMade("resident id"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::person::{BankCard, Phone};
    use std::collections::HashSet;

    fn known(number: u64) -> Known {
        let approved_on = date(2005, 10, 1);
        Known { number, approved_on, amount_cents: 1, sources: Default::default() }
    }

    #[test]
    fn everything_that_is_made_up_passes_the_checks_of_the_api() {
        for serial in [0, 1, 9_999, 10_000, 1_000_000, 9_999_999] {
            let made = applicant(&known(1_075_775_009 + u64::from(serial)), serial).unwrap();
            assert!(
                Phone::parse(&made.phone).is_ok() && BankCard::parse(&made.bank_card).is_ok(),
                "{serial}"
            );
            let age = ResidentId::parse(&made.resident_id).unwrap().age_on(date(2026, 11, 26));
            assert!((18..=70).contains(&age) && made.firm_code.parse::<FirmCode>().is_ok(), "{serial}");
        }
    }

    #[test]
    fn no_two_loans_share_anything_that_could_join_them() {
        let mut seen = HashSet::new();
        // Over the edge at which birthdays come again.
        for serial in (0..300).chain(BIRTHDAYS - 300..BIRTHDAYS + 300) {
            let made = applicant(&known(u64::from(serial)), serial).unwrap();
            for trace in
                [made.resident_id, made.phone, made.bank_card, made.device, made.network, made.firm_code]
            {
                assert!(seen.insert(trace), "{serial}");
            }
        }
    }
}
