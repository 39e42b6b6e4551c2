//! Routes that IAM guards: whoever calls one signs the request with AWS Signature Version 4 (AWS General Reference,
//! "Create a signed AWS API request"), in headers. On AWS the policy of the template says whose keys may call; here it is
//! the one pair in the key file.
//!
//! The signature is made again from what arrived, and everything that it does not cover is refused: another service or
//! region, a date more than five minutes off, a host or a header of AWS that is not signed. Signatures in the query are not
//! taken here.

use super::HttpRequest;
use crate::engines::REGION;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_sdk_dynamodb::config::Credentials;
use aws_sigv4::{
    http_request::{
        SignableBody, SignableRequest, SigningParams, SigningSettings, UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use aws_smithy_runtime_api::client::identity::Identity;
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use std::{fmt, time::SystemTime};

/// What API Gateway is called in a signature.
pub const SERVICE: &str = "execute-api";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far the clock of who signs may be off.
const WITHIN: SignedDuration = SignedDuration::from_mins(5);
const DATE: &str = "%Y%m%dT%H%M%SZ";

/// A pair of keys with which requests are signed.
#[derive(Clone)]
pub struct AccessKey {
    id: String,
    secret: String,
}

impl AccessKey {
    /// Reads `<access key id>:<secret access key>`, as curl takes it. `None` when one of them is missing.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) =
            text.split_once(':').filter(|(id, secret)| !id.is_empty() && !secret.is_empty())?;
        Some(Self { id: id.to_owned(), secret: secret.to_owned() })
    }

    /// Whether this pair has signed the request, within five minutes of now.
    pub(super) fn has_signed(&self, request: &HttpRequest, now: Timestamp) -> bool {
        let Some(claim) = Claim::read(request, &self.id) else { return false };
        let is_near = now.duration_since(claim.at).abs() <= WITHIN;
        let expected = is_near.then(|| self.signature(request, &claim)).flatten();
        expected.is_some_and(|expected| {
            verify_slices_are_equal(expected.as_bytes(), claim.signature.as_bytes()).is_ok()
        })
    }

    /// The signature that this pair makes of the request; `None` where nobody could sign it.
    fn signature(&self, request: &HttpRequest, claim: &Claim<'_>) -> Option<String> {
        let identity: Identity = Credentials::new(&self.id, &self.secret, None, None, "key file").into();
        let mut settings = SigningSettings::default();
        // Exactly what was signed is signed again, and a path with dots in it is not what it looks like.
        settings.excluded_headers = None;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(REGION)
            .name(SERVICE)
            .time(SystemTime::try_from(claim.at).ok()?)
            .settings(settings);
        let params: SigningParams<'_> = params.build().ok()?.into();
        // The date is put in by the signer, the host from the headers.
        let signed = request.headers.iter().filter(|(name, _)| {
            let name = name.to_ascii_lowercase();
            name != "x-amz-date" && claim.signed.contains(&name.as_str())
        });
        let signed = signed.map(|(name, value)| (name.as_str(), value.as_str()));
        let url = match request.query.as_str() {
            "" => format!("http://host{}", request.path),
            query => format!("http://host{}?{query}", request.path),
        };
        let body = SignableBody::Bytes(&request.body);
        let signable = SignableRequest::new(&request.method, url, signed, body).ok()?;
        Some(sign(signable, &params).ok()?.into_parts().1)
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessKey(..)")
    }
}

/// What a request says of its own signature.
struct Claim<'a> {
    at: Timestamp,
    /// Names of the headers that are signed, in lower case.
    signed: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Claim<'a> {
    /// `None` when the request is not signed by that key, for this service and region, with all that has to be signed.
    fn read(request: &'a HttpRequest, key_id: &str) -> Option<Self> {
        let written = only(request, "authorization")?.strip_prefix(ALGORITHM)?.strip_prefix(' ')?;
        let mut parts = written.split(',').map(str::trim);
        let credential = parts.next()?.strip_prefix("Credential=")?;
        let signed: Vec<&str> = parts.next()?.strip_prefix("SignedHeaders=")?.split(';').collect();
        let signature = parts.next()?.strip_prefix("Signature=")?;
        let date = only(request, "x-amz-date")?;
        let day = date.get(..8)?;
        let is_ours = credential == format!("{key_id}/{day}/{REGION}/{SERVICE}/aws4_request");
        let in_order = signed.is_sorted_by(|a, b| a < b);
        let has_all =
            ["host", "x-amz-date"].iter().all(|name| signed.contains(name) && only(request, name).is_some());
        let names = request.headers.iter().map(|(name, _)| name.to_ascii_lowercase());
        // A session's token would have to be one that we gave.
        let leaves_none = names
            .filter(|name| name.starts_with("x-amz-"))
            .all(|name| name != "x-amz-security-token" && signed.contains(&name.as_str()));
        let is_whole = parts.next().is_none() && is_ours && in_order && has_all && leaves_none;
        is_whole.then_some(Self { at: moment(date)?, signed, signature })
    }
}

/// The value of a header that came once.
fn only<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    let mut values = request.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    let (_, value) = values.next()?;
    values.next().is_none().then_some(value.as_str())
}

/// `20261123T020000Z`, and no other way to write it.
fn moment(text: &str) -> Option<Timestamp> {
    let at = TimeZone::UTC.to_timestamp(DateTime::strptime(DATE, text).ok()?).ok()?;
    (at.strftime(DATE).to_string() == text).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What curl 7.88.1 sent for `--aws-sigv4 aws:amz:ap-southeast-1:execute-api`.
    const BY_CURL: [(&str, &str, &str); 3] = [
        ("/v1/rings", "", "b0d65d8ea49beb9b22913e306dcaacd38d0336f30bc8963970700f2d9044c4e1"),
        ("/v1/rings", "limit=2", "18242369851d6768dcc5508864cd91f4a10c0369d4cf69e4eeb72bcf44e57476"),
        (
            "/v1/rings/019aa0e1-0000-7000-8000-000000000001/picture",
            "",
            "760e448faa22a7904cba8cd8c2b175e9d9378124b1cf421889daad8bb5c0ddd0",
        ),
    ];

    fn by_curl(path: &str, query: &str, signature: &str) -> HttpRequest {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKLO0123456789ABCDEF/20261126/ap-southeast-1/execute-api/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={signature}"
        );
        let headers = [
            ("Host", "127.0.0.1:18301"),
            ("Authorization", &authorization),
            ("X-Amz-Date", "20261126T223546Z"),
            ("User-Agent", "curl/7.88.1"),
            ("Accept", "*/*"),
        ];
        HttpRequest {
            method: "GET".to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..HttpRequest::default()
        }
    }

    #[test]
    fn what_curl_signs_is_signed_and_for_no_other_request() {
        let key = AccessKey::parse("AKLO0123456789ABCDEF:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY").unwrap();
        let now = "2026-11-26T22:37:00Z".parse().unwrap();
        for (path, query, _) in BY_CURL {
            for (signed_path, signed_query, signature) in BY_CURL {
                let request = by_curl(path, query, signature);
                let is_same = (path, query) == (signed_path, signed_query);
                assert_eq!(key.has_signed(&request, now), is_same, "{path}?{query}");
                let changed = HttpRequest { method: "POST".to_owned(), ..request.clone() };
                assert!(!key.has_signed(&changed, now));
                assert!(!key.has_signed(&HttpRequest { body: b"{}".to_vec(), ..request }, now));
            }
        }
    }

    #[test]
    fn a_moment_is_written_in_one_way() {
        assert_eq!(moment("20261126T223546Z"), "2026-11-26T22:35:46Z".parse().ok());
        for other in [
            "",
            "20261126",
            "20261126T223546",
            "20261126T223546Z ",
            "20261126T223560Z",
            "2026-11-26T22:35:46Z",
        ] {
            assert_eq!(moment(other), None, "{other}");
        }
    }

    #[test]
    fn a_pair_has_two_halves_and_shows_neither() {
        assert!(["", "id", "id:", ":secret"].iter().all(|text| AccessKey::parse(text).is_none()));
        assert_eq!(format!("{:?}", AccessKey::parse("id:secret").unwrap()), "AccessKey(..)");
    }
}
