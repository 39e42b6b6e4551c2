use super::*;

/// The key, message and signature of the test vector in the specification's reference libraries.
const SPEC_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SPEC_SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

const OTHER_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// RFC 8032 section 7.1, test 1: seed and public key.
const ED25519_PRIVATE: &str =
    "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg==";
const ED25519_PUBLIC: &str = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/// GB/T 32918.5-2017, annex A.2: private and public key.
const SM2_PRIVATE: &str = "whsm2sk_OUUgj3shRLE/NuOKxtOflYiTk2koYLUaQvuB7033xbg=";
const SM2_PUBLIC: &str =
    "whsm2pk_BAn53zEeVCGhUN19Fh5LxcZyF5+tGDP8B2uwj/NW81AgzOpJDOJndaUtxupxjMGqYArtBfvzXghKZjL2By2prRM=";

const BODY: &[u8] = br#"{"answer":"match"}"#;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn id() -> MessageId {
    "msg_1".parse().unwrap()
}

fn signer(text: &str) -> Signer {
    Signer::parse([text]).unwrap()
}

fn verifier(text: &str) -> Verifier {
    Verifier::parse([text]).unwrap()
}

/// A genuine message of second 1,000,000 and the verifier that accepts it.
fn genuine() -> (WebhookHeaders, Verifier) {
    (signer(SPEC_SECRET).sign(&id(), at(1_000_000), BODY), verifier(SPEC_SECRET))
}

#[test]
fn the_reference_vector_is_signed_and_accepted() {
    let id: MessageId = "msg_p5jXN8AQM9LWM0D4loKWxJek".parse().unwrap();
    let body = br#"{"test": 2432232314}"#;
    let headers = signer(SPEC_SECRET).sign(&id, at(1_614_265_330), body);
    assert_eq!(headers.signature, SPEC_SIGNATURE);
    assert_eq!(verifier(SPEC_SECRET).verify(&headers, body, at(1_614_265_330)), Ok(id));
}

#[test]
fn an_ed25519_message_is_accepted_with_the_public_key_alone() {
    let headers = signer(ED25519_PRIVATE).sign(&id(), at(1_000_000), BODY);
    assert!(headers.signature.starts_with("v1a,"));
    assert_eq!(verifier(ED25519_PUBLIC).verify(&headers, BODY, at(1_000_000)), Ok(id()));
}

#[test]
fn an_sm2_message_is_accepted_with_the_public_key_alone() {
    let headers = signer(SM2_PRIVATE).sign(&id(), at(1_000_000), BODY);
    assert!(headers.signature.starts_with("v1sm2,"));
    assert_eq!(signer(SM2_PRIVATE).try_sign(&id(), at(1_000_000), BODY), Ok(headers.clone()));
    let verifier = verifier(SM2_PUBLIC);
    assert_eq!(verifier.verify(&headers, BODY, at(1_000_000)), Ok(id()));
    assert_eq!(verifier.verify(&headers, b"{}", at(1_000_000)), Err(VerifyError::NoMatch));
    let other_time = WebhookHeaders { timestamp: "1000001".to_owned(), ..headers };
    assert_eq!(verifier.verify(&other_time, BODY, at(1_000_000)), Err(VerifyError::NoMatch));
}

#[test]
fn a_signature_under_the_label_of_another_scheme_never_matches() {
    let keys = [SPEC_SECRET, ED25519_PRIVATE, SM2_PRIVATE];
    let everyone = Verifier::parse([SPEC_SECRET, ED25519_PUBLIC, SM2_PUBLIC]).unwrap();
    for key in keys {
        let headers = signer(key).sign(&id(), at(1_000_000), BODY);
        let (label, encoded) = headers.signature.split_once(',').unwrap();
        for other in ["v1", "v1a", "v1sm2"] {
            let relabelled = WebhookHeaders { signature: format!("{other},{encoded}"), ..headers.clone() };
            assert_eq!(
                everyone.verify(&relabelled, BODY, at(1_000_000)).is_ok(),
                other == label,
                "{label} {other}"
            );
        }
    }
}

#[test]
fn an_sm2_key_of_another_length_or_place_is_refused() {
    let encoded = |prefix: &str, bytes: &[u8]| format!("{prefix}{}", STANDARD.encode(bytes));
    for (text, reason) in [
        ("whsm2sk_".to_owned(), KeyError::Length),
        ("whsm2sk_***".to_owned(), KeyError::Encoding),
        (encoded("whsm2sk_", &[1; 31]), KeyError::Length),
        (encoded("whsm2sk_", &[1; 257]), KeyError::Length),
        (encoded("whsm2sk_", &[0; 32]), KeyError::NotSm2),
        (SM2_PUBLIC.to_owned(), KeyError::Prefix),
    ] {
        assert_eq!(Secret::parse(&text).unwrap_err(), reason, "{text}");
    }
    for (text, reason) in [
        ("whsm2pk_".to_owned(), KeyError::Length),
        ("whsm2pk_***".to_owned(), KeyError::Encoding),
        (encoded("whsm2pk_", &[4; 64]), KeyError::Length),
        (encoded("whsm2pk_", &[4; 65]), KeyError::NotSm2),
        (SM2_PRIVATE.to_owned(), KeyError::Prefix),
    ] {
        assert_eq!(VerifyKey::parse(&text).unwrap_err(), reason, "{text}");
    }
}

#[test]
fn a_module_that_fails_to_sign_is_told_and_never_gives_a_false_signature() {
    struct Down;
    impl Sm2PrivateKey for Down {
        fn sign(&self, _: &[u8]) -> Result<Vec<u8>, ProviderFailed> {
            Err(ProviderFailed)
        }
        fn public_point(&self) -> [u8; national::SM2_POINT_BYTES] {
            [0; national::SM2_POINT_BYTES]
        }
    }
    let VerifyKind::Sm2(public) = VerifyKey::parse(SM2_PUBLIC).unwrap().0 else { panic!("an SM2 key") };
    let down = Secret(SecretKind::Sm2(Arc::new(Down), public));
    let signer = Signer::new(vec![down, Secret::parse(SPEC_SECRET).unwrap()]).unwrap();
    assert!(signer.try_sign(&id(), at(1_000_000), BODY).is_err());
    let headers = signer.sign(&id(), at(1_000_000), BODY);
    assert!(headers.signature.starts_with("v1,") && !headers.signature.contains(' '));
    assert!(verifier(SPEC_SECRET).verify(&headers, BODY, at(1_000_000)).is_ok());
}

#[test]
fn a_seed_alone_is_the_same_ed25519_key() {
    let seed = &crate::keys::decode_base64(&ED25519_PRIVATE["whsk_".len()..]).unwrap()[..32];
    let short = format!("whsk_{}", STANDARD.encode(seed));
    let headers = signer(&short).sign(&id(), at(1_000_000), BODY);
    assert_eq!(headers, signer(ED25519_PRIVATE).sign(&id(), at(1_000_000), BODY));
}

#[test]
fn an_ed25519_pair_whose_halves_do_not_belong_together_is_refused() {
    let mut bytes = crate::keys::decode_base64(&ED25519_PRIVATE["whsk_".len()..]).unwrap();
    bytes[63] ^= 1;
    assert_eq!(Secret::parse(&format!("whsk_{}", STANDARD.encode(bytes))).unwrap_err(), KeyError::NotEd25519);
}

#[test]
fn the_verify_key_of_a_secret_accepts_what_the_secret_signs() {
    for text in [SPEC_SECRET, ED25519_PRIVATE, SM2_PRIVATE] {
        let secret = Secret::parse(text).unwrap();
        let verifier = Verifier::new(vec![secret.verify_key()]).unwrap();
        let headers = Signer::new(vec![secret]).unwrap().sign(&id(), at(1_000_000), BODY);
        assert_eq!(verifier.verify(&headers, BODY, at(1_000_000)), Ok(id()));
    }
}

#[test]
fn a_changed_body_id_or_time_is_refused() {
    let (headers, verifier) = genuine();
    let now = at(1_000_000);
    assert_eq!(verifier.verify(&headers, br#"{"answer":"match "}"#, now), Err(VerifyError::NoMatch));
    assert_eq!(verifier.verify(&headers, b"", now), Err(VerifyError::NoMatch));
    let other_id = WebhookHeaders { id: "msg_2".to_owned(), ..headers.clone() };
    assert_eq!(verifier.verify(&other_id, BODY, now), Err(VerifyError::NoMatch));
    let other_time = WebhookHeaders { timestamp: "1000001".to_owned(), ..headers };
    assert_eq!(verifier.verify(&other_time, BODY, now), Err(VerifyError::NoMatch));
}

#[test]
fn a_message_signed_with_another_key_is_refused() {
    let (_, verifier) = genuine();
    let headers = signer(OTHER_SECRET).sign(&id(), at(1_000_000), BODY);
    assert_eq!(verifier.verify(&headers, BODY, at(1_000_000)), Err(VerifyError::NoMatch));
}

#[test]
fn both_keys_are_accepted_during_a_rotation_and_the_old_one_no_longer_after_it() {
    let during = Verifier::parse([SPEC_SECRET, OTHER_SECRET]).unwrap();
    let old = signer(SPEC_SECRET).sign(&id(), at(1_000_000), BODY);
    let new = signer(OTHER_SECRET).sign(&id(), at(1_000_000), BODY);
    assert!(during.verify(&old, BODY, at(1_000_000)).is_ok());
    assert!(during.verify(&new, BODY, at(1_000_000)).is_ok());
    let after = verifier(OTHER_SECRET);
    assert_eq!(after.verify(&old, BODY, at(1_000_000)), Err(VerifyError::NoMatch));
}

#[test]
fn a_sender_with_two_keys_is_accepted_by_a_receiver_that_knows_either() {
    let headers = Signer::parse([SPEC_SECRET, ED25519_PRIVATE]).unwrap().sign(&id(), at(1_000_000), BODY);
    assert_eq!(headers.signature.split(' ').count(), 2);
    for known in [SPEC_SECRET, ED25519_PUBLIC] {
        assert!(verifier(known).verify(&headers, BODY, at(1_000_000)).is_ok());
    }
}

#[test]
fn three_hundred_seconds_either_way_are_accepted_and_three_hundred_and_one_are_not() {
    let (headers, verifier) = genuine();
    assert!(verifier.verify(&headers, BODY, at(1_000_300)).is_ok());
    assert!(verifier.verify(&headers, BODY, at(999_700)).is_ok());
    assert_eq!(verifier.verify(&headers, BODY, at(1_000_301)), Err(VerifyError::TooOld));
    assert_eq!(verifier.verify(&headers, BODY, at(999_699)), Err(VerifyError::TooNew));
}

#[test]
fn a_time_that_is_no_plain_number_or_overflows_is_refused() {
    let (headers, verifier) = genuine();
    for timestamp in [
        "",
        " ",
        "abc",
        "-1",
        "+1000000",
        " 1000000",
        "1000000 ",
        "01000000",
        "1e6",
        "1000000.0",
        "1000000,1000000",
        "0x10",
        "１000000",
        "9223372036854775807",
        "9223372036854775808",
        "99999999999999999999999999",
    ] {
        let headers = WebhookHeaders { timestamp: timestamp.to_owned(), ..headers.clone() };
        assert_eq!(
            verifier.verify(&headers, BODY, at(1_000_000)),
            Err(VerifyError::MalformedTimestamp),
            "{timestamp:?}"
        );
    }
}

#[test]
fn the_first_and_last_second_of_the_calendar_do_not_overflow_the_window() {
    let (headers, verifier) = genuine();
    assert_eq!(verifier.verify(&headers, BODY, Timestamp::MAX), Err(VerifyError::TooOld));
    assert_eq!(verifier.verify(&headers, BODY, Timestamp::MIN), Err(VerifyError::TooNew));
}

#[test]
fn an_id_is_one_to_a_hundred_and_twenty_eight_safe_characters() {
    for good in ["a", "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", "a.b-c_9", &"x".repeat(128)] {
        assert!(good.parse::<MessageId>().is_ok(), "{good}");
    }
    for bad in ["", "a b", "a,b", "a/b", "a\n", "编号", "a\0", &"x".repeat(129)] {
        assert!(bad.parse::<MessageId>().is_err(), "{bad:?}");
        let (headers, verifier) = genuine();
        let headers = WebhookHeaders { id: bad.to_owned(), ..headers };
        assert_eq!(verifier.verify(&headers, BODY, at(1_000_000)), Err(VerifyError::MalformedId));
    }
}

#[test]
fn the_id_made_from_a_hash_is_a_message_id() {
    let hash = crate::KeyedHasher::from([1; 32]).hash("callback", "1");
    let id = MessageId::from(&hash);
    assert_eq!(id.as_str().parse(), Ok(id.clone()));
}

#[test]
fn a_malformed_signature_is_refused() {
    let (headers, verifier) = genuine();
    for signature in ["", " ", "v1", "v1 abc", "v1,***", "v1,abc", "v1,AAAA  v1,AAAA", "v1,AAAA,v1,AAAA"] {
        let headers = WebhookHeaders { signature: signature.to_owned(), ..headers.clone() };
        assert_eq!(
            verifier.verify(&headers, BODY, at(1_000_000)),
            Err(VerifyError::MalformedSignature),
            "{signature:?}"
        );
    }
}

#[test]
fn an_empty_shortened_or_foreign_signature_never_matches() {
    let (headers, verifier) = genuine();
    let shortened = STANDARD.encode(&STANDARD.decode(&headers.signature[3..]).unwrap()[..31]);
    for signature in ["v1,".to_owned(), format!("v1,{shortened}"), "v2,AAAA".to_owned(), "v1a,".to_owned()] {
        let headers = WebhookHeaders { signature, ..headers.clone() };
        assert_eq!(verifier.verify(&headers, BODY, at(1_000_000)), Err(VerifyError::NoMatch));
    }
}

#[test]
fn an_hmac_made_with_the_public_key_does_not_pass_for_an_ed25519_signature() {
    let public = crate::keys::decode_base64(&ED25519_PUBLIC["whpk_".len()..]).unwrap();
    let forged = signer(&format!("whsec_{}", STANDARD.encode(public))).sign(&id(), at(1_000_000), BODY);
    let relabelled = WebhookHeaders { signature: forged.signature.replace("v1,", "v1a,"), ..forged.clone() };
    for headers in [forged, relabelled] {
        assert_eq!(verifier(ED25519_PUBLIC).verify(&headers, BODY, at(1_000_000)), Err(VerifyError::NoMatch));
    }
}

#[test]
fn a_version_from_the_future_is_passed_over_beside_a_known_one() {
    let (headers, verifier) = genuine();
    let signature = format!("v9,what?ever {}", headers.signature);
    assert!(verifier.verify(&WebhookHeaders { signature, ..headers }, BODY, at(1_000_000)).is_ok());
}

#[test]
fn eight_signatures_are_looked_at_and_nine_are_refused() {
    let (headers, verifier) = genuine();
    let with_foreign = |count: usize| {
        let signature = format!("{}{}", "v1,AAAA ".repeat(count), headers.signature);
        WebhookHeaders { signature, ..headers.clone() }
    };
    assert!(verifier.verify(&with_foreign(7), BODY, at(1_000_000)).is_ok());
    assert_eq!(verifier.verify(&with_foreign(8), BODY, at(1_000_000)), Err(VerifyError::TooManySignatures));
}

#[test]
fn headers_are_found_whatever_their_case() {
    let (headers, _) = genuine();
    let pairs = [
        ("Content-Type", "application/json"),
        ("Webhook-Id", headers.id.as_str()),
        ("WEBHOOK-TIMESTAMP", headers.timestamp.as_str()),
        ("webhook-signature", headers.signature.as_str()),
    ];
    assert_eq!(WebhookHeaders::from_pairs(pairs).unwrap(), headers);
}

#[test]
fn a_missing_header_is_refused() {
    let (headers, _) = genuine();
    for left_out in 0..3 {
        let mut pairs = headers.pairs().to_vec();
        pairs.remove(left_out);
        assert_eq!(WebhookHeaders::from_pairs(pairs), Err(VerifyError::Missing));
    }
}

#[test]
fn a_doubled_header_is_refused_even_when_both_are_equal() {
    let (headers, _) = genuine();
    for doubled in 0..3 {
        let mut pairs = headers.pairs().to_vec();
        pairs.push(pairs[doubled]);
        assert_eq!(WebhookHeaders::from_pairs(pairs), Err(VerifyError::Doubled));
    }
}

#[test]
fn a_header_that_a_gateway_joined_from_two_is_refused() {
    let (headers, verifier) = genuine();
    let twice = |text: &str| format!("{text},{text}");
    let joined = [
        WebhookHeaders { id: twice(&headers.id), ..headers.clone() },
        WebhookHeaders { timestamp: twice(&headers.timestamp), ..headers.clone() },
        WebhookHeaders { signature: twice(&headers.signature), ..headers.clone() },
    ];
    for headers in joined {
        assert!(verifier.verify(&headers, BODY, at(1_000_000)).is_err());
    }
}

#[test]
fn an_empty_short_long_or_garbled_secret_is_refused() {
    let encoded = |length: usize| format!("whsec_{}", STANDARD.encode(vec![1; length]));
    for (text, reason) in [
        ("", KeyError::Prefix),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", KeyError::Prefix),
        ("whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", KeyError::Prefix),
        ("whsec_", KeyError::Length),
        ("whsec_***", KeyError::Encoding),
        (&encoded(23), KeyError::Length),
        (&encoded(65), KeyError::Length),
        ("whsk_", KeyError::Length),
    ] {
        assert_eq!(Secret::parse(text).unwrap_err(), reason, "{text}");
    }
    assert!(Secret::parse(&encoded(24)).is_ok());
    assert!(Secret::parse(&encoded(64)).is_ok());
}

#[test]
fn a_verifier_or_signer_without_keys_or_with_nine_cannot_be_made() {
    assert_eq!(Verifier::new(vec![]).unwrap_err(), KeyError::Missing);
    assert_eq!(Signer::new(vec![]).unwrap_err(), KeyError::Missing);
    assert_eq!(Verifier::parse([SPEC_SECRET; 9]).unwrap_err(), KeyError::TooMany);
    assert_eq!(Signer::parse([SPEC_SECRET; 9]).unwrap_err(), KeyError::TooMany);
}

#[test]
fn printing_a_key_or_its_holder_shows_nothing_of_it() {
    let shown = format!(
        "{:?} {:?} {:?} {:?}",
        Secret::parse(SPEC_SECRET).unwrap(),
        VerifyKey::parse(SPEC_SECRET).unwrap(),
        signer(SPEC_SECRET),
        verifier(SPEC_SECRET),
    );
    assert!(!shown.contains("MfKQ") && shown.contains("hidden"));
}
