//! What we publish for banks to check against is what our own verifier and sealer decide.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../examples/vectors/check.rs"]
mod check;

fn vectors() -> check::Vectors {
    serde_json::from_str(include_str!("../../../infra/bank-kit/samples/vectors.json")).unwrap()
}

#[test]
fn every_published_message_is_judged_as_the_vectors_say_and_signed_anew_to_the_same() {
    let vectors = vectors();
    assert!(vectors.messages.iter().any(|message| message.accepted));
    for message in &vectors.messages {
        assert_eq!(check::message(message), Ok(()), "{}", message.name);
    }
}

#[test]
fn every_published_sealed_body_opens_or_does_not_as_the_vectors_say() {
    let vectors = vectors();
    assert!(vectors.sealed.iter().any(|sealed| sealed.body.is_some()));
    for sealed in &vectors.sealed {
        assert_eq!(check::sealed(sealed), Ok(()), "{}", sealed.name);
    }
}

#[test]
fn the_vectors_cover_good_and_tampered_messages_of_every_scheme() {
    for scheme in ["hmac", "ed25519", "sm2"] {
        let of = |accepted: bool| {
            let vectors = vectors();
            vectors
                .messages
                .iter()
                .filter(|message| message.scheme == scheme && message.accepted == accepted)
                .count()
        };
        assert!(of(true) >= 8 && of(false) >= 12, "{scheme}");
    }
    let vectors = vectors();
    assert_eq!(vectors.tolerance_seconds, signing::webhook::TOLERANCE_SECONDS);
    assert!(vectors.messages.iter().all(|message| message.body.contains('伟')), "bodies hold Chinese text");
}
