//! Test vectors for those who check our signatures and open our sealed bodies, and the check of theirs.
//!
//! ```text
//! cargo run -p signing --example vectors -- write infra/bank-kit/samples/vectors.json
//! cargo run -p signing --example vectors -- check FILE
//! ```
//!
//! `check` reads a file of the same form that somebody else made, prints one line for each message and sealed body, and
//! fails when ours decides otherwise than the file says. All keys in the vectors are published ones: never use them.

#![allow(clippy::print_stdout, reason = "a program for the command line")]

mod check;

use base64::{Engine, engine::general_purpose::STANDARD};
use check::{Headers, Message, Sealed, Vectors};
use jiff::Timestamp;
use signing::{MessageId, Sealer, Signer};
use std::{error::Error, process::ExitCode};

type Anyhow<T> = Result<T, Box<dyn Error>>;

/// 2026-11-02T08:00:00Z.
const NOW: i64 = 1_793_606_400;

const TOLERANCE_SECONDS: i64 = 300;

const ABOUT: &str = "Published test keys: never use them. accepted says what a receiver with these keys and this clock \
                     must decide; body is what a sealed text opens to, and is absent where it must not open.";

/// A payout instruction as a bank gets it, with names beyond ASCII and beyond the first plane of Unicode.
const BODY: &str = r#"{"payout_id":"07070707-0707-8707-8707-070707070707","amount_fen":10000000,"payee":{"name":"张𠮷伟","firm":"厦门市示例餐饮有限公司"},"note":"¥100,000.00\n首笔"}"#;

/// The two key pairs of a scheme: `(what signs, what verifies)`, the present one and the next one.
struct Scheme {
    name: &'static str,
    version: &'static str,
    keys: [(String, String); 2],
}

/// HMAC: the key of the specification's own example, and 32 counted bytes. Ed25519: RFC 8032, section 7.1, tests 1 and 2.
/// SM2: GB/T 32918.5-2017, annex A.2, and a second pair.
fn schemes() -> [Scheme; 3] {
    let pair = |signs: &str, verifies: &str| (signs.to_owned(), verifies.to_owned());
    let hmac = |key: &str| pair(key, key);
    [
        Scheme {
            name: "hmac",
            version: "v1",
            keys: [
                hmac("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
                hmac("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
            ],
        },
        Scheme {
            name: "ed25519",
            version: "v1a",
            keys: [
                pair(
                    "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg==",
                    "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
                ),
                pair(
                    "whsk_TM0Imyj/ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U+4pvs9QBfD6EOJWpK3CqdNG368nJgszy7ElozAzVXxKvRmDA==",
                    "whpk_PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=",
                ),
            ],
        },
        Scheme {
            name: "sm2",
            version: "v1sm2",
            keys: [
                pair(
                    "whsm2sk_OUUgj3shRLE/NuOKxtOflYiTk2koYLUaQvuB7033xbg=",
                    "whsm2pk_BAn53zEeVCGhUN19Fh5LxcZyF5+tGDP8B2uwj/NW81AgzOpJDOJndaUtxupxjMGqYArtBfvzXghKZjL2By2prRM=",
                ),
                pair(
                    "whsm2sk_Fkmrd6AGN71eLv4oP781NTSqf3y4lGPyCN28KSC7DaA=",
                    "whsm2pk_BBkb/4FIAG7qcthXy5dNufSQOzyjZV2NWXrUZj9QRNyx4veIivH82MZTqAWc0vN5hVOJ9xp3CeLB7h6RTIVe8Rk=",
                ),
            ],
        },
    ]
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["write", path] => write(path),
        ["check", path] => check_file(path),
        _ => Err("usage: vectors write|check FILE".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("vectors: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(path: &str) -> Anyhow<()> {
    let mut messages = Vec::new();
    for scheme in &schemes() {
        messages.extend(genuine(scheme)?);
        messages.extend(tampered(scheme)?);
    }
    messages.extend(of_all_schemes()?);
    let vectors = Vectors {
        about: ABOUT.to_owned(),
        now: NOW,
        tolerance_seconds: TOLERANCE_SECONDS.unsigned_abs(),
        messages,
        sealed: [sealed("A256GCM", AES_KEYS)?, sealed("SM4-GCM", SM4_KEYS)?].into_iter().flatten().collect(),
    };
    std::fs::write(path, serde_json::to_string_pretty(&vectors)? + "\n")?;
    Ok(())
}

fn check_file(path: &str) -> Anyhow<()> {
    let vectors: Vectors = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let messages = vectors.messages.iter().map(|message| (&message.name, check::message(message)));
    let sealed = vectors.sealed.iter().map(|sealed| (&sealed.name, check::sealed(sealed)));
    let (mut passed, mut failed) = (0, 0);
    for (name, verdict) in messages.chain(sealed) {
        match verdict {
            Ok(()) => passed += 1,
            Err(why) => {
                failed += 1;
                println!("  FAILED {name}: {why}");
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 { Ok(()) } else { Err("not all as the file says".into()) }
}

/// `BODY` as message `msg_1`, signed at [`NOW`] with these keys and received at once by a holder of `keys`.
fn message(scheme: &str, name: &str, signed_with: &[&str], keys: &[&str]) -> Anyhow<Message> {
    let id: MessageId = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W".parse()?;
    let signer = Signer::parse(signed_with.iter().copied())?;
    let headers = signer.try_sign(&id, Timestamp::from_second(NOW)?, BODY.as_bytes())?;
    Ok(Message {
        name: format!("{scheme}: {name}"),
        scheme: scheme.to_owned(),
        keys: keys.iter().map(|&key| key.to_owned()).collect(),
        signed_with: signed_with.iter().map(|&key| key.to_owned()).collect(),
        headers: Headers { id: headers.id, timestamp: headers.timestamp, signature: headers.signature },
        body: BODY.to_owned(),
        now: NOW,
        accepted: true,
    })
}

/// What a receiver must accept, and the two that it must refuse for their age alone.
fn genuine(scheme: &Scheme) -> Anyhow<Vec<Message>> {
    let [(signs, verifies), (next_signs, next_verifies)] = &scheme.keys;
    let of = |name, signed_with: &[&str], keys: &[&str]| message(scheme.name, name, signed_with, keys);
    let at = |name, seconds: i64, accepted| -> Anyhow<Message> {
        Ok(Message { now: NOW + seconds, accepted, ..of(name, &[signs], &[verifies])? })
    };
    let foreign = |message: Message| {
        let signature = format!("v9,what?ever {}", message.headers.signature);
        Message { signed_with: Vec::new(), headers: Headers { signature, ..message.headers }, ..message }
    };
    Ok(vec![
        of("genuine", &[signs], &[verifies])?,
        of("two signatures, the receiver knows the old key", &[signs, next_signs], &[verifies])?,
        of("two signatures, the receiver knows the new key", &[signs, next_signs], &[next_verifies])?,
        of("the old key, the receiver knows both", &[signs], &[next_verifies, verifies])?,
        foreign(of("a signature of an unknown version stands first", &[signs], &[verifies])?),
        at("as old as is allowed", TOLERANCE_SECONDS, true)?,
        at("one second too old", TOLERANCE_SECONDS + 1, false)?,
        at("as far ahead as is allowed", -TOLERANCE_SECONDS, true)?,
        at("one second too far ahead", -TOLERANCE_SECONDS - 1, false)?,
    ])
}

/// What a receiver must refuse.
fn tampered(scheme: &Scheme) -> Anyhow<Vec<Message>> {
    let [(signs, verifies), (next_signs, _)] = &scheme.keys;
    let changed = |name, change: &dyn Fn(&mut Message)| -> Anyhow<Message> {
        let mut message = message(scheme.name, name, &[signs], &[verifies])?;
        message.signed_with.clear();
        message.accepted = false;
        change(&mut message);
        Ok(message)
    };
    let genuine = message(scheme.name, "", &[signs], &[verifies])?.headers.signature;
    let encoded = genuine.split_once(',').map_or("", |(_, encoded)| encoded);
    let bytes = STANDARD.decode(encoded)?;
    let mut flipped = bytes.clone();
    if let Some(last) = flipped.last_mut() {
        *last ^= 1;
    }
    let of_bytes = |bytes: &[u8]| format!("{},{}", scheme.version, STANDARD.encode(bytes));
    let others = ["v1", "v1a", "v1sm2"].into_iter().filter(|&version| version != scheme.version);
    let relabelled = others.map(|other| format!("{other},{encoded}")).collect::<Vec<_>>().join(" ");
    let wrong_key = message(scheme.name, "the wrong key", &[next_signs], &[verifies])?;
    let mut all = vec![Message { accepted: false, ..wrong_key }];
    for (name, signature) in [
        ("a flipped bit in the signature", of_bytes(&flipped)),
        ("a byte behind the signature", of_bytes(&[bytes.as_slice(), &[0]].concat())),
        ("a byte short of the signature", of_bytes(&bytes[..bytes.len() - 1])),
        ("an empty signature", format!("{},", scheme.version)),
        ("the signature under the labels of other schemes", relabelled),
    ] {
        all.push(changed(name, &|message| message.headers.signature.clone_from(&signature))?);
    }
    all.push(changed("a changed body", &|message| message.body = BODY.replace("10000000", "90000000"))?);
    all.push(changed("a space behind the body", &|message| message.body.push(' '))?);
    all.push(changed("a changed id", &|message| message.headers.id.push('x'))?);
    all.push(changed("a changed time", &|message| message.headers.timestamp = (NOW + 1).to_string())?);
    all.push(changed("a time that is no number", &|message| message.headers.timestamp.insert(0, '+'))?);
    Ok(all)
}

/// One message with a signature of each scheme, for receivers that know one of the keys.
fn of_all_schemes() -> Anyhow<Vec<Message>> {
    let schemes = schemes();
    let all: Vec<&str> = schemes.iter().map(|scheme| scheme.keys[0].0.as_str()).collect();
    let known = |scheme: &Scheme| {
        message(scheme.name, "beside signatures of the other schemes", &all, &[&scheme.keys[0].1])
    };
    schemes.iter().map(known).collect()
}

/// The content key of RFC 7516, annex A.1, and a counted one.
const AES_KEYS: [&str; 2] = [
    "whenc_a256gcm_saH0gFSP4XM/tAP/a5rU9ooHbltwLiJpL4LLLnrqQPw=",
    "whenc_a256gcm_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
];

/// The key of RFC 8998, annex A.1, and a counted one.
const SM4_KEYS: [&str; 2] =
    ["whenc_sm4gcm_ASNFZ4mrze/+3LqYdlQyEA==", "whenc_sm4gcm_AAECAwQFBgcICQoLDA0ODw=="];

/// Sealed bodies to open, and changed ones that must not open.
fn sealed(enc: &str, keys: [&str; 2]) -> Anyhow<Vec<Sealed>> {
    const ID: &str = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W";
    let jwe = Sealer::parse([keys[0]])?.seal(&ID.parse()?, BODY.as_bytes())?;
    let of = |name: &str, keys: &[&str], id: &str, jwe: &str, body: Option<&str>| Sealed {
        name: format!("{enc}: {name}"),
        enc: enc.to_owned(),
        keys: keys.iter().map(|&key| key.to_owned()).collect(),
        id: id.to_owned(),
        jwe: jwe.to_owned(),
        body: body.map(str::to_owned),
    };
    let mut all = vec![
        of("opens", &keys[..1], ID, &jwe, Some(BODY)),
        of("opens with either key", &[keys[1], keys[0]], ID, &jwe, Some(BODY)),
        of("the wrong key", &keys[1..], ID, &jwe, None),
        of("moved to another message", &keys[..1], "msg_2", &jwe, None),
    ];
    for (position, part) in ["the header", "", "the initialisation vector", "the ciphertext", "the tag"]
        .into_iter()
        .enumerate()
        .filter(|(_, part)| !part.is_empty())
    {
        let mut parts: Vec<String> = jwe.split('.').map(str::to_owned).collect();
        let text = &mut parts[position];
        let middle = text.len() / 2;
        let other = if text[middle..].starts_with('A') { "B" } else { "A" };
        text.replace_range(middle..=middle, other);
        all.push(of(&format!("changed in {part}"), &keys[..1], ID, &parts.join("."), None));
    }
    Ok(all)
}
