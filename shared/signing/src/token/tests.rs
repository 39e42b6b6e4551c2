use super::*;
use crate::KeyedHasher;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn session() -> Session {
    let hasher = KeyedHasher::new(&[1; 32]).unwrap();
    Session {
        sub: "bank-app:83121".to_owned(),
        channel: "mobile_bank".to_owned(),
        device: hasher.hash("device", "d-1"),
        network: hasher.hash("network", "n-1"),
        place: Some("Xiamen".to_owned()),
        account_opened_at: Some(1_700_000_000),
        verified_person: None,
    }
}

fn issuer(kid: &str) -> TokenIssuer {
    let pair = crate::keys::token_key_pair().unwrap();
    let pkcs8 = crate::keys::decode_base64(&pair.pkcs8).unwrap();
    TokenIssuer::new(&pkcs8, kid, "lending", "borrower-api").unwrap()
}

fn verifier(issuers: &[&TokenIssuer]) -> TokenVerifier {
    let keys = issuers.iter().map(|issuer| (issuer.header.kid.as_deref().unwrap(), issuer.public_key()));
    TokenVerifier::new(keys, "lending", "borrower-api").unwrap()
}

/// A token with any header and claims, signed with the issuer's key.
fn signed(issuer: &TokenIssuer, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &issuer.key, Algorithm::EdDSA).unwrap();
    format!("{message}.{signature}")
}

fn good_header() -> Value {
    json!({"typ": "JWT", "alg": "EdDSA", "kid": "k1"})
}

fn good_claims() -> Value {
    let mut claims = serde_json::to_value(session()).unwrap();
    let registered = json!({
        "iss": "lending", "aud": "borrower-api", "iat": NOW, "nbf": NOW, "exp": NOW + LIFETIME_SECONDS, "jti": "j1",
    });
    for (name, value) in registered.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

#[test]
fn an_issued_token_verifies_and_carries_the_session() {
    let issuer = issuer("k1");
    let (token, claims) = issuer.issue(&session(), at(NOW)).unwrap();
    assert_eq!(verifier(&[&issuer]).verify(&token, at(NOW)), Ok(claims.clone()));
    assert_eq!(claims.session, session());
    assert_eq!(claims.exp - claims.iat, 15 * 60);
    assert_eq!(claims.jti.len(), 32);
}

#[test]
fn two_tokens_of_the_same_moment_have_different_ids() {
    let issuer = issuer("k1");
    let (_, first) = issuer.issue(&session(), at(NOW)).unwrap();
    let (_, second) = issuer.issue(&session(), at(NOW)).unwrap();
    assert_ne!(first.jti, second.jti);
}

#[test]
fn fault_22_a_token_is_good_until_the_last_second_before_it_expires() {
    let issuer = issuer("k1");
    let (token, _) = issuer.issue(&session(), at(NOW)).unwrap();
    let verifier = verifier(&[&issuer]);
    assert!(verifier.verify(&token, at(NOW + LIFETIME_SECONDS - 1)).is_ok());
    assert_eq!(verifier.verify(&token, at(NOW + LIFETIME_SECONDS)), Err(TokenError::Expired));
}

#[test]
fn a_token_from_a_clock_five_seconds_ahead_is_accepted_and_six_is_too_early() {
    let issuer = issuer("k1");
    let (token, _) = issuer.issue(&session(), at(NOW)).unwrap();
    let verifier = verifier(&[&issuer]);
    assert!(verifier.verify(&token, at(NOW - 5)).is_ok());
    assert_eq!(verifier.verify(&token, at(NOW - 6)), Err(TokenError::NotYetValid));
}

#[test]
fn fault_22_a_token_without_a_signature_is_refused_under_every_spelling_of_none() {
    let issuer = issuer("k1");
    for none in ["none", "None", "NONE", "nOnE"] {
        let header = json!({"typ": "JWT", "alg": none, "kid": "k1"});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let unsigned = format!("{}.{}.", part(&header), part(&good_claims()));
        assert!(verifier(&[&issuer]).verify(&unsigned, at(NOW)).is_err());
        assert!(verifier(&[&issuer]).verify(&signed(&issuer, &header, &good_claims()), at(NOW)).is_err());
    }
}

#[test]
fn fault_22_a_token_signed_by_hmac_with_the_public_key_is_refused() {
    let issuer = issuer("k1");
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let mut header = Header::new(algorithm);
        header.kid = Some("k1".to_owned());
        let forged = encode(&header, &good_claims(), &EncodingKey::from_secret(issuer.public_key())).unwrap();
        assert_eq!(verifier(&[&issuer]).verify(&forged, at(NOW)), Err(TokenError::WrongAlgorithm));
    }
}

#[test]
fn fault_22_a_key_that_the_token_brings_along_is_not_used() {
    let (ours, theirs) = (issuer("k1"), issuer("k1"));
    let x = URL_SAFE_NO_PAD.encode(theirs.public_key());
    let header =
        json!({"typ": "JWT", "alg": "EdDSA", "kid": "k1", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": x}});
    let forged = signed(&theirs, &header, &good_claims());
    assert_eq!(verifier(&[&ours]).verify(&forged, at(NOW)), Err(TokenError::BadSignature));
}

#[test]
fn a_missing_or_unknown_key_id_is_refused() {
    let issuer = issuer("k1");
    for header in
        [json!({"alg": "EdDSA"}), json!({"alg": "EdDSA", "kid": "k2"}), json!({"alg": "EdDSA", "kid": ""})]
    {
        let token = signed(&issuer, &header, &good_claims());
        assert_eq!(verifier(&[&issuer]).verify(&token, at(NOW)), Err(TokenError::UnknownKey));
    }
}

#[test]
fn fault_22_another_issuer_or_audience_is_refused_and_so_is_none_at_all() {
    let issuer = issuer("k1");
    let with = |name: &str, value: Value| {
        let mut claims = good_claims();
        claims[name] = value;
        verifier(&[&issuer]).verify(&signed(&issuer, &good_header(), &claims), at(NOW)).unwrap_err()
    };
    assert_eq!(with("iss", json!("somebody")), TokenError::WrongIssuer);
    assert_eq!(with("aud", json!("analyst-api")), TokenError::WrongAudience);
    assert_eq!(with("iss", Value::Null), TokenError::Malformed);
    assert_eq!(with("aud", json!(["borrower-api", "analyst-api"])), TokenError::Malformed);
}

#[test]
fn every_claim_is_required() {
    let issuer = issuer("k1");
    for name in ["sub", "channel", "device", "network", "iss", "aud", "iat", "nbf", "exp", "jti"] {
        let mut claims = good_claims();
        claims.as_object_mut().unwrap().remove(name);
        let token = signed(&issuer, &good_header(), &claims);
        assert_eq!(verifier(&[&issuer]).verify(&token, at(NOW)), Err(TokenError::Malformed), "{name}");
    }
}

#[test]
fn a_signed_token_that_outlives_fifteen_minutes_is_refused() {
    let issuer = issuer("k1");
    let mut claims = good_claims();
    claims["exp"] = json!(NOW + LIFETIME_SECONDS + 1);
    let token = signed(&issuer, &good_header(), &claims);
    assert_eq!(verifier(&[&issuer]).verify(&token, at(NOW)), Err(TokenError::LivesTooLong));
}

#[test]
fn times_at_the_ends_of_the_number_range_do_not_overflow() {
    let issuer = issuer("k1");
    for (iat, exp) in [(i64::MIN, i64::MAX), (i64::MAX, i64::MAX), (i64::MIN, i64::MIN)] {
        let mut claims = good_claims();
        claims["iat"] = json!(iat);
        claims["exp"] = json!(exp);
        let token = signed(&issuer, &good_header(), &claims);
        assert!(verifier(&[&issuer]).verify(&token, at(NOW)).is_err());
    }
}

#[test]
fn a_changed_claim_breaks_the_signature() {
    let issuer = issuer("k1");
    let token = signed(&issuer, &good_header(), &good_claims());
    let mut claims = good_claims();
    claims["sub"] = json!("somebody-else");
    let parts: Vec<&str> = token.split('.').collect();
    let changed = format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(claims.to_string()), parts[2]);
    assert_eq!(verifier(&[&issuer]).verify(&changed, at(NOW)), Err(TokenError::BadSignature));
}

#[test]
fn a_token_of_the_neighbouring_key_is_accepted_during_a_rotation() {
    let (old, new) = (issuer("k1"), issuer("k2"));
    let (token, _) = old.issue(&session(), at(NOW)).unwrap();
    assert!(verifier(&[&old, &new]).verify(&token, at(NOW)).is_ok());
    assert_eq!(verifier(&[&new]).verify(&token, at(NOW)), Err(TokenError::UnknownKey));
}

#[test]
fn an_extension_that_must_be_understood_is_refused() {
    let issuer = issuer("k1");
    let header = json!({"alg": "EdDSA", "kid": "k1", "crit": ["b64"], "b64": false});
    let token = signed(&issuer, &header, &good_claims());
    assert_eq!(verifier(&[&issuer]).verify(&token, at(NOW)), Err(TokenError::Malformed));
}

#[test]
fn what_is_no_token_at_all_is_malformed() {
    let issuer = issuer("k1");
    let (token, _) = issuer.issue(&session(), at(NOW)).unwrap();
    let long = format!("{token}{}", "A".repeat(MAX_TOKEN_BYTES));
    let padded = format!("{token}=");
    let four = format!("{token}.x");
    for text in ["", ".", "..", "a.b.c", "Bearer x", "\u{0}", &long, &padded, &four] {
        assert!(verifier(&[&issuer]).verify(text, at(NOW)).is_err(), "{text}");
    }
}

#[test]
fn a_key_that_is_no_ed25519_key_or_has_no_name_cannot_be_used() {
    let issuer = issuer("k1");
    assert_eq!(TokenIssuer::new(b"junk", "k1", "us", "us").unwrap_err(), KeyError::NotEd25519);
    assert_eq!(TokenVerifier::new([], "us", "us").unwrap_err(), KeyError::Missing);
    assert_eq!(TokenVerifier::new([("", issuer.public_key())], "us", "us").unwrap_err(), KeyError::Missing);
    assert_eq!(TokenVerifier::new([("k1", &b"short"[..])], "us", "us").unwrap_err(), KeyError::Length);
}

#[test]
fn printing_an_issuer_shows_its_key_id_only() {
    let shown = format!("{:?}", issuer("k1"));
    assert_eq!(shown, "TokenIssuer { kid: Some(\"k1\"), .. }");
}
