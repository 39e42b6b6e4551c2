//! Where a page of the list ends. A ring that is seen again moves to the front; whoever reads on behind a moment and a name
//! misses no other one by that, and sees none twice.

use domain::RingId;
use jiff::Timestamp;
use ports::rings::ListedRing;
use std::{fmt, str::FromStr};

/// The last ring of a page, and when it had been seen: `<nanoseconds since 1970>.<ring>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cursor {
    at: Timestamp,
    ring: RingId,
}

/// The text is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotACursor;

impl From<&ListedRing> for Cursor {
    fn from(ring: &ListedRing) -> Self {
        Self { at: ring.latest.at, ring: ring.ring }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.at.as_nanosecond(), self.ring)
    }
}

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let (at, ring) = text.split_once('.').ok_or(NotACursor)?;
        let at: i128 = at.parse().map_err(|_| NotACursor)?;
        let at = Timestamp::from_nanosecond(at).map_err(|_| NotACursor)?;
        Ok(Self { at, ring: ring.parse().map_err(|_| NotACursor)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is_one() {
        let text = "1764000000000000001.019aa0e1-0000-7000-8000-000000000001";
        assert_eq!(text.parse::<Cursor>().map(|cursor| cursor.to_string()), Ok(text.to_owned()));
        for other in
            ["", ".", "1764000000.x", &text.replace('.', ":"), &text.to_uppercase(), &format!("9{text}0")]
        {
            assert_eq!(other.parse::<Cursor>(), Err(NotACursor), "{other}");
        }
        let far = format!("{}.019aa0e1-0000-7000-8000-000000000001", i128::MAX);
        assert_eq!(far.parse::<Cursor>(), Err(NotACursor));
    }
}
