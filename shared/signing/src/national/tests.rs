use super::*;
use sm3::{Digest, Sm3};

/// GB/T 32918.5-2017, annex A.2: private key, public key, message, and the signature under the standard's own nonce.
const PRIVATE: &str = "3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8";
const PUBLIC: &str = "04\
    09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020\
    CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13";
const MESSAGE: &[u8] = b"message digest";
const R: &str = "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3";
const S: &str = "B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA";

/// The order of the group, GB/T 32918.5-2017, section 2.
const ORDER: &str = "FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123";

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.bytes().map(|digit| char::from(digit).to_digit(16).unwrap().try_into().unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn private_key() -> Arc<dyn Sm2PrivateKey> {
    Software.sm2_private_key(&unhex(PRIVATE)).unwrap()
}

fn public_key() -> Arc<dyn Sm2PublicKey> {
    Software.sm2_public_key(unhex(PUBLIC).as_slice().try_into().unwrap()).unwrap()
}

/// The DER SEQUENCE of two INTEGERs whose first bit is set, as in the vector.
fn published_signature() -> Vec<u8> {
    let integer = |value: &str| [vec![0x02, 33, 0], unhex(value)].concat();
    [vec![0x30, 70], integer(R), integer(S)].concat()
}

#[test]
fn sm3_gives_the_digests_of_its_standard() {
    // GB/T 32905-2016, annex A.
    let of = |text: &[u8]| hex(&Sm3::digest(text));
    assert_eq!(of(b"abc"), "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0");
    assert_eq!(of(&b"abcd".repeat(16)), "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732");
}

#[test]
fn the_published_signature_is_accepted() {
    assert_eq!(private_key().public_point().as_slice(), unhex(PUBLIC));
    assert!(public_key().verifies(MESSAGE, &published_signature()));
}

#[test]
fn the_published_signature_with_any_bit_changed_is_refused() {
    let published = published_signature();
    for position in 0..published.len() * 8 {
        let mut changed = published.clone();
        changed[position / 8] ^= 1 << (position % 8);
        assert!(!public_key().verifies(MESSAGE, &changed), "bit {position}");
    }
    assert!(!public_key().verifies(b"message digesT", &published));
}

#[test]
fn a_signature_is_the_same_every_time_and_fits_its_message_alone() {
    let signature = private_key().sign(MESSAGE).unwrap();
    assert_eq!(signature, private_key().sign(MESSAGE).unwrap());
    assert!(signature.len() <= SM2_LONGEST_SIGNATURE);
    assert!(public_key().verifies(MESSAGE, &signature));
    assert_ne!(signature, private_key().sign(b"another").unwrap());
}

#[test]
fn a_signature_that_is_not_strict_der_is_refused() {
    let published = published_signature();
    let (r, s) = (unhex(R), unhex(S));
    let wrong = [
        vec![],
        vec![0x30, 0],
        [r.clone(), s.clone()].concat(),
        [published.clone(), vec![0]].concat(),
        published[..published.len() - 1].to_vec(),
        // The length in two bytes where one is enough.
        [vec![0x30, 0x81, 70], published[2..].to_vec()].concat(),
        // An INTEGER with a zero byte too many, and a negative one.
        [vec![0x30, 71, 0x02, 34, 0, 0], r.clone(), published[37..].to_vec()].concat(),
        [vec![0x30, 69, 0x02, 32], r, published[37..].to_vec()].concat(),
        vec![0x30; 4096],
    ];
    for signature in wrong {
        assert!(!public_key().verifies(MESSAGE, &signature), "{signature:02x?}");
    }
}

#[test]
fn zero_and_the_order_are_no_halves_of_a_signature() {
    let der = |r: &[u8], s: &[u8]| {
        let integer =
            |value: &[u8]| [vec![0x02, u8::try_from(value.len()).unwrap()], value.to_vec()].concat();
        let both = [integer(r), integer(s)].concat();
        [vec![0x30, u8::try_from(both.len()).unwrap()], both].concat()
    };
    let with_sign = |value: &str| [vec![0], unhex(value)].concat();
    for (r, s) in [
        (vec![0], with_sign(S)),
        (with_sign(R), vec![0]),
        (with_sign(ORDER), with_sign(S)),
        (with_sign(R), with_sign(ORDER)),
    ] {
        assert!(!public_key().verifies(MESSAGE, &der(&r, &s)));
    }
    assert!(public_key().verifies(MESSAGE, &der(&with_sign(R), &with_sign(S))));
}

#[test]
fn a_private_key_outside_the_range_of_the_standard_is_refused() {
    let mut last = unhex(ORDER);
    last[31] -= 1;
    for key in [vec![0; 32], unhex(ORDER), last.clone(), vec![0xff; 32]] {
        assert_eq!(Software.sm2_private_key(&key).err(), Some(KeyError::NotSm2), "{key:02x?}");
    }
    last[31] -= 1;
    assert!(Software.sm2_private_key(&last).is_ok(), "n - 2 is the last key");
    for length in [0, 31, 33] {
        assert_eq!(Software.sm2_private_key(&vec![1; length]).err(), Some(KeyError::Length));
    }
}

#[test]
fn a_public_key_off_the_curve_or_in_another_form_is_refused() {
    let good: [u8; SM2_POINT_BYTES] = unhex(PUBLIC).try_into().unwrap();
    let mut off_curve = good;
    off_curve[64] ^= 1;
    let mut other_form = good;
    other_form[0] = 2;
    for point in [off_curve, other_form, [0; SM2_POINT_BYTES]] {
        assert_eq!(Software.sm2_public_key(&point).err(), Some(KeyError::NotSm2));
    }
}

#[test]
fn sm4_gcm_gives_the_published_vector() {
    // RFC 8998, appendix A.1.
    let key = Software.sm4_key(&unhex("0123456789ABCDEFFEDCBA9876543210")).unwrap();
    let iv: [u8; GCM_IV_BYTES] = unhex("00001234567800000000ABCD").try_into().unwrap();
    let associated = unhex("FEEDFACEDEADBEEFFEEDFACEDEADBEEFABADDAD2");
    let plaintext = unhex(
        "AAAAAAAAAAAAAAAABBBBBBBBBBBBBBBBCCCCCCCCCCCCCCCCDDDDDDDDDDDDDDDD\
         EEEEEEEEEEEEEEEEFFFFFFFFFFFFFFFFEEEEEEEEEEEEEEEEAAAAAAAAAAAAAAAA",
    );
    let sealed = unhex(
        "17F399F08C67D5EE19D0DC9969C4BB7D5FD46FD3756489069157B282BB200735\
         D82710CA5C22F0CCFA7CBF93D496AC15A56834CBCF98C397B4024A2691233B8D\
         83DE3541E4C2B58177E065A9BF7B62EC",
    );
    assert_eq!(key.seal(&iv, &associated, &plaintext).unwrap(), sealed);
    assert_eq!(key.open(&iv, &associated, &sealed).unwrap(), plaintext);
    assert_eq!(key.open(&iv, b"", &sealed), Err(ProviderFailed));
    for length in [0, 15, 17, 32] {
        assert_eq!(Software.sm4_key(&vec![1; length]).err(), Some(KeyError::Length));
    }
}

#[test]
fn a_key_id_is_the_start_of_the_key_s_digest() {
    // printf abc | sha256sum
    assert_eq!(key_id(b"abc"), "ba7816bf8f01cfea");
}

#[test]
fn a_provider_cannot_be_replaced_once_it_is_in_use() {
    provider();
    assert_eq!(replace(Arc::new(Software)), Err(AlreadyInUse));
}
