//! The ways in which a value may be written without being hidden.

use aho_corasick::AhoCorasick;
use aws_lc_rs::digest::{SHA256, digest};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use std::collections::BTreeSet;

/// Values to look for, in every spelling, in one pass over a text.
pub struct Wanted(AhoCorasick);

impl Wanted {
    pub fn of(values: impl IntoIterator<Item = String>) -> Self {
        let all: BTreeSet<String> = values.into_iter().flat_map(|value| spellings(&value)).collect();
        Self(AhoCorasick::new(all).unwrap())
    }

    /// The first spelling that is in a text, with what stands around it.
    pub fn found_in(&self, texts: &[String]) -> Option<String> {
        texts.iter().find_map(|text| {
            let found = self.0.find(text)?;
            let (at, spelling) = (found.start(), &text[found.range()]);
            let around = |at: usize| (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let (from, to) = (around(at.saturating_sub(120)), around((at + 160).min(text.len())));
            Some(format!("{spelling} in …{}…", &text[from..to]))
        })
    }
}

fn spellings(value: &str) -> Vec<String> {
    let bytes = value.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let percent: String = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();
    let escaped: String = value.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    let list: Vec<String> = bytes.iter().map(ToString::to_string).collect();
    let reversed: String = value.chars().rev().collect();
    let plain_hash: String =
        digest(&SHA256, bytes).as_ref()[..16].iter().map(|b| format!("{b:02x}")).collect();
    let upper = |text: &str| text.to_uppercase();
    let mut all = vec![
        value.to_owned(),
        reversed,
        upper(&hex),
        hex,
        percent.to_lowercase(),
        percent,
        escaped.clone(),
        escaped.replace("\\u", "\\\\u"),
        list.join(","),
        list.join(", "),
        // A hash without a key is the value itself to whoever tries them all.
        plain_hash,
    ];
    for place in 0..3 {
        all.extend([STANDARD_NO_PAD.encode(at(place, bytes)), URL_SAFE_NO_PAD.encode(at(place, bytes))].map(
            |text| {
                // The letters that hold bits of the value and of nothing else.
                let first = (place * 8_usize).div_ceil(6);
                let last = (place + bytes.len()) * 8 / 6;
                text[first..last].to_owned()
            },
        ));
    }
    all
}

/// The bytes behind so many others.
fn at(place: usize, bytes: &[u8]) -> Vec<u8> {
    [&vec![0; place], bytes].concat()
}

#[test]
fn a_value_is_found_in_each_spelling_and_not_where_it_is_not() {
    for value in ["王伟", "阿卜杜拉·艾合买提", "13800138000", "11010519491231002X"] {
        let wanted = Wanted::of([value.to_owned()]);
        let mut texts = vec![
            format!("before {value} after"),
            serde_json::json!({ "name": value }).to_string(),
            format!("{:?}", value.as_bytes()),
            url_encoded(value),
        ];
        for place in 0..5 {
            let around = [&vec![b'x'; place][..], value.as_bytes(), b"yz"].concat();
            texts.push(base64::engine::general_purpose::STANDARD.encode(&around));
            texts.push(base64::engine::general_purpose::URL_SAFE.encode(&around));
        }
        for text in texts {
            assert!(wanted.found_in(&[format!("some {text} text")]).is_some(), "{value} as {text}");
        }
        assert_eq!(wanted.found_in(&["王小伟 13800138001 110105194912310020".to_owned()]), None);
    }
}

fn url_encoded(value: &str) -> String {
    let mut url = url::Url::parse("http://a.test").unwrap();
    url.query_pairs_mut().append_pair("q", value);
    url.to_string()
}
