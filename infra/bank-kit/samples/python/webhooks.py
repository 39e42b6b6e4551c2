"""Checks and opens the messages that the lending system sends to a bank. Copy this file into your own code.

Needs: cryptography (Ed25519, and bodies that are sealed), gmssl (SM2 only). HMAC needs nothing but Python 3.9 or later.

    message_id = verify(request.headers.items(), request.raw_body, KEYS, int(time.time()))
    body = open_sealed(message_id, request.raw_body, BODY_KEYS)     # only if you asked for sealed bodies

After verify, act on each message id once: inside its five minutes a genuine message can arrive twice.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re

TOLERANCE_SECONDS = 300
MAX_SIGNATURES = 8
MAX_SEALED_BYTES = 512 * 1024
SM2_ORDER = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123


class Refused(Exception):
    """The message is not to be acted on. Answer 401 (verify) or 400 (open_sealed)."""


def verify(headers, body, keys, now):
    """Returns the message id, or raises Refused.

    headers: the pairs of header names, in any case, and values as they came, each as often as it came: request.headers.items()
    of most frameworks, where a mapping would hide a header that is doubled. body: the raw bytes, before any parsing. keys: the texts
    whsec_..., whpk_... or whsm2pk_... that are in use; two during a rotation. now: Unix time in seconds.
    """
    pairs = [(name.lower(), value) for name, value in headers]

    def only(name):
        values = [value for known, value in pairs if known == name]
        if len(values) != 1:
            raise Refused(f"{name} is missing or doubled")
        return values[0]

    message_id, timestamp = only("webhook-id"), only("webhook-timestamp")
    signatures = only("webhook-signature").split(" ")
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,128}", message_id):
        raise Refused("malformed id")
    if not re.fullmatch(r"0|[1-9][0-9]{0,14}", timestamp):
        raise Refused("malformed time")
    if abs(int(timestamp) - now) > TOLERANCE_SECONDS:
        raise Refused("too old or too far ahead")
    if len(signatures) > MAX_SIGNATURES:
        raise Refused("too many signatures")
    content = f"{message_id}.{timestamp}.".encode() + body
    # All are tried even after one fits, so that the time taken does not tell which key is the live one.
    results = [fits(key, content, signature) for key in keys for signature in signatures]
    if not any(results):
        raise Refused("no signature fits a key in use")
    return message_id


def fits(key, content, signature):
    """Whether one entry of webhook-signature fits one key. Entries of unknown versions fit none."""
    version, _, encoded = signature.partition(",")
    check = {("whsec", "v1"): fits_hmac, ("whpk", "v1a"): fits_ed25519, ("whsm2pk", "v1sm2"): fits_sm2}
    prefix, _, encoded_key = key.partition("_")
    if (prefix, version) not in check:
        return False
    try:
        value = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise Refused("malformed signature") from None
    return check[prefix, version](base64.b64decode(encoded_key, validate=True), content, value)


def fits_hmac(key, content, value):
    return hmac.compare_digest(hmac.new(key, content, hashlib.sha256).digest(), value)


def fits_ed25519(key, content, value):
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(value, content)
        return True
    except InvalidSignature:
        return False


def fits_sm2(key, content, value):
    """SM2 over SM3 under the user id 1234567812345678, the signature as a DER SEQUENCE of r and s (GM/T 0009-2012)."""
    from gmssl.sm2 import CryptSM2

    halves = der_integers(value)
    # gmssl leaves the range of r and s to its caller.
    if halves is None or not all(0 < half < SM2_ORDER for half in halves):
        return False
    sm2 = CryptSM2(private_key="", public_key="")
    # Set afterwards: the constructor would strip every leading 0 and 4 of the point, not only its first byte.
    sm2.public_key = key[1:].hex()
    return bool(sm2.verify_with_sm3("%064x%064x" % halves, content))


def der_integers(der):
    """r and s of a strict DER SEQUENCE of two positive INTEGERs, or None."""
    if len(der) < 8 or der[0] != 0x30 or der[1] != len(der) - 2:
        return None
    r_end = 4 + der[3]
    if der[2] != 0x02 or r_end + 2 > len(der) or der[r_end] != 0x02 or r_end + 2 + der[r_end + 1] != len(der):
        return None
    halves = tuple(int.from_bytes(part, "big") for part in (der[4:r_end], der[r_end + 2:]))

    def integer(value):
        length = value.bit_length() // 8 + 1
        return bytes([0x02, length]) + value.to_bytes(length, "big")

    written = b"".join(map(integer, halves))
    return halves if der[2:] == written else None


def open_sealed(message_id, body, keys):
    """Returns the JSON bytes behind a body of type application/jose, or raises Refused. Call verify first.

    A JWE in compact form (RFC 7516) with alg dir and enc A256GCM or SM4-GCM. keys: whenc_a256gcm_... or
    whenc_sm4gcm_..., the kid in the header says which.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    if len(body) > MAX_SEALED_BYTES:
        raise Refused("too long")
    try:
        header_text, encrypted_key, iv, ciphertext, tag = body.decode("ascii").split(".")
        iv, ciphertext, tag = base64url(iv), base64url(ciphertext), base64url(tag)
        header = json.loads(base64url(header_text))
        how = header["alg"], header["enc"], header["kid"], header["webhook-id"]
    except (ValueError, KeyError, TypeError):
        raise Refused("not a JWE in compact form") from None
    if encrypted_key or len(iv) != 12 or len(tag) != 16 or "crit" in header or "zip" in header:
        raise Refused("another form than agreed")
    for key in keys:
        _, name, encoded = key.split("_", 2)
        value = base64.b64decode(encoded, validate=True)
        enc, cipher = {"a256gcm": ("A256GCM", algorithms.AES), "sm4gcm": ("SM4-GCM", algorithms.SM4)}[name]
        kid = hashlib.sha256(value).hexdigest()[:16]
        if how != ("dir", enc, kid, message_id):
            continue
        decryptor = Cipher(cipher(value), modes.GCM(iv, tag)).decryptor()
        decryptor.authenticate_additional_data(header_text.encode())
        try:
            return decryptor.update(ciphertext) + decryptor.finalize()
        except InvalidTag:
            raise Refused("the seal is broken") from None
    raise Refused("another key, algorithm or message")


def base64url(text):
    """Strict: no padding, no stray characters or bits, so that every text has one meaning."""
    value = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if base64.urlsafe_b64encode(value).rstrip(b"=") != text.encode():
        raise ValueError("not base64url")
    return value
