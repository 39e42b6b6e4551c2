//! A natural person's data. Every type here hides its value from `Debug`; nothing here implements `Display`.
//!
//! Values enter as text once, through `parse`, and are checked there: the resident id against GB 11643-1999,
//! the card number against Luhn (ISO/IEC 7812-1), the phone against the mainland mobile numbering plan.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a text is not the value that it was said to be. Never carries the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PersonError {
    #[error("must be 2 to 50 letters, as on the resident identity card")]
    Name,
    #[error("must be 18 characters: 17 digits and a digit or X (GB 11643-1999)")]
    ResidentIdShape,
    #[error("holds a birth date that does not exist")]
    ResidentIdBirthDate,
    #[error("has a wrong check character (GB 11643-1999)")]
    ResidentIdChecksum,
    #[error("must be a mainland mobile number of 11 digits that starts with 13 to 19")]
    Phone,
    #[error("must be 16 to 19 digits")]
    BankCardShape,
    #[error("has a wrong check digit (Luhn)")]
    BankCardChecksum,
}

macro_rules! hidden {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The value itself, for a check provider, a bank or a keyed hash; never for a log.
            pub fn expose(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
        impl TryFrom<String> for $name {
            type Error = PersonError;
            fn try_from(text: String) -> Result<Self, PersonError> {
                $name::parse(&text)
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }
    };
}

hidden!(
    /// A person's name as on the resident identity card.
    PersonName
);
hidden!(
    /// A resident identity number, 18 characters, check character upper-case (GB 11643-1999).
    ResidentId
);
hidden!(
    /// A mainland mobile number, 11 digits.
    Phone
);
hidden!(
    /// A bank card number, 16 to 19 digits with a Luhn check digit.
    BankCard
);

/// Letters by Unicode that show nothing.
const FILLERS: [char; 4] = ['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}'];

impl PersonName {
    /// Letters, with `·` (U+00B7) between the parts of a minority name and spaces inside a Latin one.
    /// Look-alike separators and control characters are refused rather than folded.
    pub fn parse(text: &str) -> Result<Self, PersonError> {
        let is_letter = |c: char| c.is_alphabetic() && !FILLERS.contains(&c);
        let allowed = text.chars().all(|c| is_letter(c) || c == '·' || c == ' ');
        let whole = text.starts_with(is_letter) && text.ends_with(is_letter);
        let length = (2..=50).contains(&text.chars().count());
        if allowed && whole && length { Ok(Self(text.to_owned())) } else { Err(PersonError::Name) }
    }
}

impl ResidentId {
    pub fn parse(text: &str) -> Result<Self, PersonError> {
        let bytes = text.as_bytes();
        let digits = bytes.iter().take(17).all(u8::is_ascii_digit);
        if bytes.len() != 18 || !digits || !matches!(bytes[17], b'0'..=b'9' | b'X' | b'x') {
            return Err(PersonError::ResidentIdShape);
        }
        if birth_date(bytes).is_none() {
            return Err(PersonError::ResidentIdBirthDate);
        }
        let sum: u32 = bytes.iter().zip(RESIDENT_ID_WEIGHTS).map(|(b, w)| u32::from(b - b'0') * w).sum();
        let expected = RESIDENT_ID_CHECKS[(sum % 11) as usize];
        if bytes[17].to_ascii_uppercase() != expected {
            return Err(PersonError::ResidentIdChecksum);
        }
        Ok(Self(text.to_ascii_uppercase()))
    }

    /// Whole years of age on `day`.
    pub fn age_on(&self, day: Date) -> i16 {
        let Some(born) = birth_date(self.0.as_bytes()) else { return 0 };
        let had_birthday = (day.month(), day.day()) >= (born.month(), born.day());
        day.year() - born.year() - i16::from(!had_birthday)
    }
}

/// Weights of the first 17 digits, and the check character for each remainder: GB 11643-1999, ISO 7064 MOD 11-2.
const RESIDENT_ID_WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
const RESIDENT_ID_CHECKS: [u8; 11] = *b"10X98765432";

fn birth_date(id: &[u8]) -> Option<Date> {
    let number = |range: std::ops::Range<usize>| -> Option<i16> {
        std::str::from_utf8(id.get(range)?).ok()?.parse().ok()
    };
    let year = number(6..10).filter(|y| (1900..=2100).contains(y))?;
    Date::new(year, number(10..12)? as i8, number(12..14)? as i8).ok()
}

impl Phone {
    pub fn parse(text: &str) -> Result<Self, PersonError> {
        let bytes = text.as_bytes();
        let mobile = bytes.len() == 11
            && bytes.iter().all(u8::is_ascii_digit)
            && bytes[0] == b'1'
            && matches!(bytes[1], b'3'..=b'9');
        if mobile { Ok(Self(text.to_owned())) } else { Err(PersonError::Phone) }
    }
}

impl BankCard {
    pub fn parse(text: &str) -> Result<Self, PersonError> {
        if !(16..=19).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(PersonError::BankCardShape);
        }
        let sum: u32 = text
            .bytes()
            .rev()
            .enumerate()
            .map(|(place, b)| match (u32::from(b - b'0'), place % 2) {
                (digit, 0) => digit,
                (digit, _) if digit * 2 > 9 => digit * 2 - 9,
                (digit, _) => digit * 2,
            })
            .sum();
        if sum.is_multiple_of(10) { Ok(Self(text.to_owned())) } else { Err(PersonError::BankCardChecksum) }
    }
}

/// The applicant: the firm's legal representative, with all that the checks and the bank need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    pub name: PersonName,
    pub resident_id: ResidentId,
    pub phone: Phone,
    pub bank_card: BankCard,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resident_id_printed_in_the_standard_is_accepted_in_either_case() {
        let id = ResidentId::parse("11010519491231002X").unwrap();
        assert_eq!(ResidentId::parse("11010519491231002x").unwrap(), id);
        assert_eq!(id.age_on(jiff::civil::date(2019, 12, 30)), 69);
        assert_eq!(id.age_on(jiff::civil::date(2019, 12, 31)), 70);
    }

    #[test]
    fn every_single_digit_error_in_a_resident_id_is_caught() {
        let good = "11010519491231002X";
        for place in 0..17 {
            for digit in b'0'..=b'9' {
                let mut bytes = good.as_bytes().to_vec();
                if bytes[place] != digit {
                    bytes[place] = digit;
                    let text = String::from_utf8(bytes).unwrap();
                    assert!(ResidentId::parse(&text).is_err(), "digit {place} changed to {digit}");
                }
            }
        }
    }

    #[test]
    fn a_birth_date_that_does_not_exist_is_refused() {
        assert_eq!(ResidentId::parse("110105194902310020"), Err(PersonError::ResidentIdBirthDate));
    }

    #[test]
    fn full_width_digits_are_not_digits() {
        assert!(Phone::parse("１3800138000").is_err());
        assert!(BankCard::parse("６222021234567890").is_err());
        assert!(ResidentId::parse("１１０１０５").is_err());
    }

    #[test]
    fn a_card_with_a_wrong_check_digit_is_refused() {
        assert!(BankCard::parse("4111111111111111").is_ok());
        assert_eq!(BankCard::parse("4111111111111112"), Err(PersonError::BankCardChecksum));
        assert_eq!(BankCard::parse("411111111111"), Err(PersonError::BankCardShape));
    }

    #[test]
    fn a_name_without_a_letter_that_shows_is_none() {
        for text in ["····", "·冯思", "冯思·", " 冯思", "\u{3164}\u{3164}", "冯\u{115f}思"] {
            assert!(PersonName::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_of_minorities_are_accepted_and_control_characters_are_not() {
        assert!(PersonName::parse("阿卜杜拉·艾合买提").is_ok());
        assert!(PersonName::parse("王\u{200b}伟").is_err());
        assert!(PersonName::parse("王").is_err());
        assert!(PersonName::parse(" 王伟").is_err());
    }

    #[test]
    fn no_personal_value_shows_in_debug_output() {
        let id = ResidentId::parse("11010519491231002X").unwrap();
        assert_eq!(format!("{id:?}"), "ResidentId(..)");
    }
}
