use super::*;
use base64::engine::general_purpose::STANDARD;

const BODY: &[u8] = r#"{"payee":{"name":"张伟"},"amount_fen":10000000}"#.as_bytes();

fn aes(byte: u8) -> String {
    format!("whenc_a256gcm_{}", STANDARD.encode([byte; 32]))
}

fn sm4(byte: u8) -> String {
    format!("whenc_sm4gcm_{}", STANDARD.encode([byte; 16]))
}

fn sealer(keys: &[String]) -> Sealer {
    Sealer::parse(keys.iter().map(String::as_str)).unwrap()
}

fn id(text: &str) -> MessageId {
    text.parse().unwrap()
}

fn header_of(sealed: &str) -> serde_json::Value {
    serde_json::from_slice(&decode(sealed.split('.').next().unwrap()).unwrap()).unwrap()
}

/// A text under a header of the test's choice, sealed with the AES key of ones as a stranger to the form would do it.
fn sealed_under(header: &serde_json::Value) -> String {
    let key = BodyKey::parse(&aes(1)).unwrap();
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    let sealed = key.cipher.seal(&[9; 12], header.as_bytes(), BODY).unwrap();
    let (text, tag) = sealed.split_at(sealed.len() - 16);
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    format!("{header}..{}.{}.{}", part(&[9; 12]), part(text), part(tag))
}

#[test]
fn a_body_opens_to_what_was_sealed_with_either_algorithm() {
    for key in [aes(1), sm4(1)] {
        let sealer = sealer(&[key]);
        for body in [BODY, b"", &vec![7; MAX_BODY_BYTES]] {
            let sealed = sealer.seal(&id("msg_1"), body).unwrap();
            assert_eq!(sealer.open(&id("msg_1"), sealed.as_bytes()).unwrap(), body);
        }
    }
}

#[test]
fn the_header_says_how_with_which_key_and_for_which_message() {
    for (key, bytes, enc) in [(aes(1), vec![1; 32], "A256GCM"), (sm4(1), vec![1; 16], "SM4-GCM")] {
        let sealed = sealer(&[key]).seal(&id("msg_1"), BODY).unwrap();
        let expected = serde_json::json!({
            "alg": "dir", "enc": enc, "kid": key_id(&bytes), "cty": "json", "webhook-id": "msg_1",
        });
        assert_eq!(header_of(&sealed), expected);
        assert_eq!(sealed.split('.').nth(1), Some(""), "no key travels");
    }
}

#[test]
fn the_same_body_is_never_sealed_to_the_same_text() {
    let sealer = sealer(&[aes(1)]);
    let texts: std::collections::HashSet<_> =
        (0..100).map(|_| sealer.seal(&id("msg_1"), BODY).unwrap()).collect();
    assert_eq!(texts.len(), 100);
}

#[test]
fn aes_gcm_gives_the_vector_of_the_jwe_standard() {
    // RFC 7516, appendix A.1, from the content encryption key on.
    let key: [u8; 32] = [
        177, 161, 244, 128, 84, 143, 225, 115, 63, 180, 3, 255, 107, 154, 212, 246, 138, 7, 110, 91, 112, 46,
        34, 105, 47, 130, 203, 46, 122, 234, 64, 252,
    ];
    let key = BodyKey::parse(&format!("whenc_a256gcm_{}", STANDARD.encode(key))).unwrap();
    let header = b"eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ";
    let iv = decode("48V1_ALb6US04U3b").unwrap().try_into().unwrap();
    let body = b"The true sign of intelligence is not knowledge but imagination.";
    let sealed = [
        decode("5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6jiSdiwkIr3ajwQzaBtQD_A")
            .unwrap(),
        decode("XFBoMYUZodetZdvTiFvSkQ").unwrap(),
    ]
    .concat();
    assert_eq!(key.cipher.seal(&iv, header, body).unwrap(), sealed);
    assert_eq!(key.cipher.open(&iv, header, sealed).unwrap(), body);
}

#[test]
fn another_key_opens_nothing_even_under_the_name_of_the_right_one() {
    for (ours, other) in [(aes(1), aes(2)), (sm4(1), sm4(2)), (aes(1), sm4(1))] {
        let sealed = sealer(std::slice::from_ref(&ours)).seal(&id("msg_1"), BODY).unwrap();
        let stranger = sealer(&[other]);
        assert_eq!(stranger.open(&id("msg_1"), sealed.as_bytes()), Err(SealError::UnknownKey));
        let mut posing = BodyKey::parse(&aes(3)).unwrap();
        posing.id = BodyKey::parse(&ours).unwrap().id;
        let posing = Sealer { keys: vec![posing].into() };
        assert!(matches!(
            posing.open(&id("msg_1"), sealed.as_bytes()),
            Err(SealError::Broken | SealError::Unsupported)
        ));
    }
}

#[test]
fn a_text_with_any_bit_changed_in_any_part_is_refused() {
    for key in [aes(1), sm4(1)] {
        let sealer = sealer(&[key]);
        let sealed = sealer.seal(&id("msg_1"), b"{}").unwrap().into_bytes();
        for position in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[position / 8] ^= 1 << (position % 8);
            assert!(sealer.open(&id("msg_1"), &changed).is_err(), "bit {position}");
        }
    }
}

#[test]
fn a_body_that_is_moved_to_another_message_is_refused() {
    for key in [aes(1), sm4(1)] {
        let sealer = sealer(&[key]);
        let first = sealer.seal(&id("msg_1"), BODY).unwrap();
        assert_eq!(sealer.open(&id("msg_2"), first.as_bytes()), Err(SealError::OtherMessage));
        let second = sealer.seal(&id("msg_2"), BODY).unwrap();
        let (first, second): (Vec<_>, Vec<_>) = (first.split('.').collect(), second.split('.').collect());
        let swapped = [&second[..1], &first[1..]].concat().join(".");
        assert_eq!(sealer.open(&id("msg_2"), swapped.as_bytes()), Err(SealError::Broken));
    }
}

#[test]
fn the_first_key_seals_and_any_opens_during_a_rotation() {
    let (old, during, after) = (sealer(&[aes(1)]), sealer(&[sm4(2), aes(1)]), sealer(&[sm4(2)]));
    let before = old.seal(&id("msg_1"), BODY).unwrap();
    assert_eq!(during.open(&id("msg_1"), before.as_bytes()).unwrap(), BODY);
    let new = during.seal(&id("msg_2"), BODY).unwrap();
    assert_eq!(header_of(&new)["enc"], "SM4-GCM");
    assert_eq!(after.open(&id("msg_2"), new.as_bytes()).unwrap(), BODY);
    assert_eq!(after.open(&id("msg_1"), before.as_bytes()), Err(SealError::UnknownKey));
}

#[test]
fn an_oversized_body_text_or_header_is_refused() {
    let sealer = sealer(&[aes(1)]);
    let long = vec![0; MAX_BODY_BYTES + 1];
    assert_eq!(sealer.seal(&id("msg_1"), &long), Err(SealError::Oversized));
    let text = vec![b'A'; MAX_SEALED_CHARS + 1];
    assert_eq!(sealer.open(&id("msg_1"), &text), Err(SealError::Oversized));
    let header = format!("{}..AAAA.AAAA.AAAA", "A".repeat(MAX_HEADER_CHARS + 1));
    assert_eq!(sealer.open(&id("msg_1"), header.as_bytes()), Err(SealError::Oversized));
    let longest_id = id(&"x".repeat(128));
    let sealed = sealer.seal(&longest_id, &vec![0; MAX_BODY_BYTES]).unwrap();
    assert!(sealed.len() <= MAX_SEALED_CHARS && sealer.open(&longest_id, sealed.as_bytes()).is_ok());
}

#[test]
fn what_is_not_five_parts_of_strict_base64url_is_malformed() {
    let sealer = sealer(&[aes(1)]);
    let good = sealer.seal(&id("msg_1"), BODY).unwrap();
    let parts: Vec<&str> = good.split('.').collect();
    let with = |position: usize, part: &str| {
        let mut changed = parts.clone();
        changed[position] = part;
        changed.join(".")
    };
    for text in [
        String::new(),
        "....".to_owned(),
        parts[..4].join("."),
        format!("{good}."),
        format!("{good}="),
        format!("{good}\n"),
        with(1, "AAAA"),
        with(2, "AAAA"),
        with(3, "+/=="),
        with(4, &parts[4][..20]),
        with(0, "bm90IGpzb24"),
    ] {
        assert_eq!(sealer.open(&id("msg_1"), text.as_bytes()), Err(SealError::Malformed), "{text}");
    }
    assert_eq!(sealer.open(&id("msg_1"), &[0xff; 40]), Err(SealError::Malformed));
}

#[test]
fn a_header_that_asks_for_more_is_refused_and_one_that_says_more_is_not() {
    let sealer = sealer(&[aes(1)]);
    let with = |name: &str, value: serde_json::Value| {
        let kid = key_id(&[1; 32]);
        let mut header = serde_json::json!({
            "alg": "dir", "enc": "A256GCM", "kid": kid, "webhook-id": "msg_1",
        });
        header[name] = value;
        sealer.open(&id("msg_1"), sealed_under(&header).as_bytes())
    };
    for (name, value) in [
        ("alg", "A256KW".into()),
        ("alg", "none".into()),
        ("enc", "SM4-GCM".into()),
        ("enc", "A128GCM".into()),
        ("zip", "DEF".into()),
        ("crit", serde_json::json!(["exp"])),
    ] {
        assert_eq!(with(name, value), Err(SealError::Unsupported), "{name}");
    }
    assert_eq!(with("typ", "JOSE".into()).unwrap(), BODY);
    assert_eq!(with("kid", 1.into()), Err(SealError::Malformed));
}

#[test]
fn an_empty_short_long_or_garbled_body_key_is_refused() {
    let of = |prefix: &str, length: usize| format!("{prefix}{}", STANDARD.encode(vec![1; length]));
    for (text, reason) in [
        (String::new(), KeyError::Prefix),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(), KeyError::Prefix),
        ("whenc_aes_AAAA".to_owned(), KeyError::Prefix),
        ("whenc_a256gcm_".to_owned(), KeyError::Length),
        ("whenc_sm4gcm_".to_owned(), KeyError::Length),
        ("whenc_a256gcm_***".to_owned(), KeyError::Encoding),
        (of("whenc_a256gcm_", 16), KeyError::Length),
        (of("whenc_a256gcm_", 33), KeyError::Length),
        (of("whenc_sm4gcm_", 15), KeyError::Length),
        (of("whenc_sm4gcm_", 32), KeyError::Length),
        (of("whenc_sm4gcm_", 300), KeyError::Length),
    ] {
        assert_eq!(Sealer::parse([text.as_str()]).unwrap_err(), reason, "{text}");
    }
    assert_eq!(Sealer::parse([]).unwrap_err(), KeyError::Missing);
    let key = aes(1);
    assert_eq!(Sealer::parse([key.as_str(); MAX_KEYS + 1]).unwrap_err(), KeyError::TooMany);
}

#[test]
fn printing_a_sealer_shows_ids_and_no_key() {
    let shown = format!("{:?}", sealer(&[aes(1)]));
    assert_eq!(shown, format!("[{:?}]", key_id(&[1; 32])));
}
