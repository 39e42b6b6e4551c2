//! Text that is deflated where it would make its item longer than one write unit.
//!
//! A journal entry is JSON, as whoever looks at the table wants to read it. The few that are long (a score with its input
//! and its reasons, a ring) cost a second unit to write, and push the whole journal over the 4 KB that one read unit
//! holds, for each of the dozen times that it is read. Deflated with a dictionary of what such entries have in common they
//! take half the room. JSON of any age stays readable: it is text, and what is packed is bytes.

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use std::borrow::Cow;

/// A text of this length, in bytes, and the rest of a journal's item fit into the 1,024 of one write unit.
const MOST_PLAIN: usize = 940;
/// No item is longer than this, so no text that was ever in one is much longer.
const MOST_UNPACKED: usize = 4 * 1024 * 1024;
/// The first byte of what is packed names its dictionary. One that has been used is never changed.
const FIRST: u8 = 1;
const DICTIONARY: &[u8] = include_bytes!("packed/dictionary_1.txt");

/// The value cannot be unpacked. Says nothing of what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a packed text")]
pub struct NotPacked;

/// The text as an attribute, packed where that saves anything.
pub(crate) fn pack(text: String) -> AttributeValue {
    if text.len() <= MOST_PLAIN {
        return AttributeValue::S(text);
    }
    match deflate(text.as_bytes()) {
        Some(packed) if packed.len() < text.len() => AttributeValue::B(Blob::new(packed)),
        _ => AttributeValue::S(text),
    }
}

fn deflate(text: &[u8]) -> Option<Vec<u8>> {
    let mut packer = Compress::new(Compression::best(), false);
    packer.set_dictionary(DICTIONARY).ok()?;
    // What does not fit into the room of the text is not worth packing.
    let mut packed = Vec::with_capacity(text.len());
    packed.push(FIRST);
    let status = packer.compress_vec(text, &mut packed, FlushCompress::Finish).ok()?;
    (status == Status::StreamEnd).then_some(packed)
}

/// The text of an attribute, packed or not; `None` of one that holds neither.
pub(crate) fn text(value: &AttributeValue) -> Option<Result<Cow<'_, str>, NotPacked>> {
    match value {
        AttributeValue::S(text) => Some(Ok(Cow::Borrowed(text))),
        AttributeValue::B(packed) => Some(unpack(packed.as_ref()).map(Cow::Owned)),
        _ => None,
    }
}

/// The text that was packed.
pub fn unpack(packed: &[u8]) -> Result<String, NotPacked> {
    let (&FIRST, mut rest) = packed.split_first().ok_or(NotPacked)? else { return Err(NotPacked) };
    let mut unpacker = Decompress::new(false);
    unpacker.set_dictionary(DICTIONARY).map_err(|_| NotPacked)?;
    let mut text = Vec::with_capacity(4 * packed.len());
    loop {
        let before = (unpacker.total_in(), unpacker.total_out());
        let status = unpacker.decompress_vec(rest, &mut text, FlushDecompress::None);
        let (read, written) = (unpacker.total_in() - before.0, unpacker.total_out() - before.1);
        rest = usize::try_from(read).ok().and_then(|read| rest.get(read..)).ok_or(NotPacked)?;
        match status {
            Ok(Status::StreamEnd) if rest.is_empty() => break,
            Ok(Status::Ok | Status::BufError)
                if text.len() == text.capacity() && text.len() < MOST_UNPACKED =>
            {
                text.reserve(text.len().max(1_024));
            }
            Ok(Status::Ok) if read > 0 || written > 0 => {}
            _ => return Err(NotPacked),
        }
    }
    String::from_utf8(text).map_err(|_| NotPacked)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As long as a score's entry, and as hard to pack as one: digits and base64 that repeat nowhere.
    fn scored() -> String {
        let noise: String = (0..240_u64)
            .map(|n| char::from(b'A' + u8::try_from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 59).unwrap()))
            .collect();
        format!(
            r#"{{"number":2,"at":"2026-11-26T18:47:09.453653187Z","by":"score/0.1.0","events":[{{"event":"scored","score":{{"model":"2026.11.3","default_probability":0.0029363613575696945,"points":670,"dimensions":[{{"dimension":"business","margin":-1.0021744966506958,"points":3}},{{"dimension":"finance","margin":-2.26639860868454,"points":19}},{{"dimension":"government","margin":-1.2264773845672607,"points":6}},{{"dimension":"tax","margin":-1.8796567916870117,"points":8}},{{"dimension":"risk","margin":-0.675066351890564,"points":2}}],"reasons":[{{"code":"EQUITY_PLEDGED","zh":"股权质押比例较高","en":"A large share of the equity is pledged","points":4}},{{"code":"TAX_BURDEN","zh":"申报税负与违约企业相近","en":"The declared tax burden resembles that of firms that defaulted","points":1}},{{"code":"SIZE","zh":"企业营业收入或资产规模与违约企业相近","en":"Revenue or assets resemble those of firms that defaulted","points":1}},{{"code":"STATEMENTS_OLD","zh":"财务报表不是近期的","en":"The financial statements are not recent","points":1}}],"firm_age_days":3153,"supported_amount_fen":243709710,"features":"{noise}"}}}}],"commands":[]}}"#
        )
    }

    #[test]
    fn what_fits_into_one_unit_stays_readable_for_whoever_looks_at_the_table() {
        let text = "x".repeat(MOST_PLAIN);
        assert_eq!(pack(text.clone()), AttributeValue::S(text));
    }

    #[test]
    fn a_score_fits_into_one_unit_and_reads_back_byte_for_byte() {
        let packed = pack(scored());
        let AttributeValue::B(bytes) = &packed else { panic!("it is packed") };
        assert!(bytes.as_ref().len() < 900, "{} of {}", bytes.as_ref().len(), scored().len());
        assert_eq!(text(&packed).unwrap().unwrap(), scored());
    }

    #[test]
    fn what_packing_makes_no_shorter_is_left_alone() {
        let mut state = 1_u64;
        let noise: String = (0..2_000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                char::from_u32(0x4e00 + u32::try_from(state >> 50).unwrap()).unwrap()
            })
            .collect();
        let packed = pack(noise.clone());
        assert_eq!(text(&packed).unwrap().unwrap(), noise);
    }

    #[test]
    fn a_long_text_of_little_is_unpacked_whole() {
        let long = "ring ".repeat(100_000);
        let packed = pack(long.clone());
        assert!(matches!(packed, AttributeValue::B(_)));
        assert_eq!(text(&packed).unwrap().unwrap(), long);
    }

    #[test]
    fn what_is_cut_off_damaged_or_of_another_dictionary_is_refused() {
        let packed = deflate(scored().as_bytes()).unwrap();
        for end in 0..packed.len() {
            assert_eq!(unpack(&packed[..end]), Err(NotPacked), "{end}");
        }
        assert_eq!(unpack(&[&[FIRST + 1], &packed[1..]].concat()), Err(NotPacked));
        assert_eq!(unpack(&[packed.as_slice(), b"more"].concat()), Err(NotPacked));
        let bomb = deflate(&vec![b' '; 2 * MOST_UNPACKED]);
        assert!(bomb.is_some_and(|bomb| unpack(&bomb) == Err(NotPacked)), "it would fill the memory");
    }
}
