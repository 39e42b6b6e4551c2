"""OpenSSL judges our SM2 signatures, and signs messages for our verifier; gmssl signs some too.

python3 sm2_openssl.py vectors.json OUT
"""

import base64
import json
import pathlib
import subprocess
import sys
import tempfile

from gmssl.sm2 import CryptSM2

USER_ID = "1234567812345678"
# What stands before an SM2 key in SubjectPublicKeyInfo and in PKCS#8: id-ecPublicKey on the curve 1.2.156.10197.1.301.
PUBLIC_DER = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")
PRIVATE_DER = bytes.fromhex("3041020100301306072a8648ce3d020106082a811ccf5501822d0427302502010104 20")


def openssl(directory, *arguments):
    options = ["-rawin", "-digest", "sm3", "-pkeyopt", f"distid:{USER_ID}", "-keyform", "DER"]
    return subprocess.run(["openssl", "pkeyutl", *arguments, *options], cwd=directory, capture_output=True)


def content(message):
    headers = message["headers"]
    return f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{message['body']}".encode()


def accepts(directory, key, message, entry):
    version, _, encoded = entry.partition(",")
    if version != "v1sm2":
        return False
    (directory / "key").write_bytes(PUBLIC_DER + base64.b64decode(key.removeprefix("whsm2pk_")))
    (directory / "content").write_bytes(content(message))
    (directory / "signature").write_bytes(base64.b64decode(encoded))
    arguments = ["-verify", "-pubin", "-inkey", "key", "-in", "content", "-sigfile", "signature"]
    return openssl(directory, *arguments).returncode == 0


def signed(directory, private, public, number, now, by):
    """A message signed by OpenSSL or by gmssl."""
    body = json.dumps({"payout_id": number, "payee": "李娜", "note": "𠮷 ¥1.00\n"}, ensure_ascii=False)
    message = {"name": f"signed by {by} {number}", "scheme": "sm2", "keys": [public], "body": body, "now": now,
               "headers": {"webhook-id": f"msg_sm2_{number}", "webhook-timestamp": str(now)}, "accepted": True}
    scalar = base64.b64decode(private.removeprefix("whsm2sk_"))
    if by == "gmssl":
        sm2 = CryptSM2(private_key=scalar.hex(), public_key="", asn1=True)
        sm2.public_key = base64.b64decode(public.removeprefix("whsm2pk_"))[1:].hex()
        value = bytes.fromhex(sm2.sign_with_sm3(content(message)))
    else:
        (directory / "private").write_bytes(PRIVATE_DER + scalar)
        (directory / "content").write_bytes(content(message))
        done = openssl(directory, "-sign", "-inkey", "private", "-in", "content")
        if done.returncode != 0:
            raise SystemExit(f"openssl does not sign: {done.stderr.decode()}")
        value = done.stdout
    message["headers"]["webhook-signature"] = "v1sm2," + base64.b64encode(value).decode()
    return message


def main(vectors_path, out_path):
    vectors = json.loads(pathlib.Path(vectors_path).read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        # OpenSSL knows signatures, not times.
        timely = [m for m in vectors["messages"] if m["scheme"] == "sm2" and m["headers"]["webhook-timestamp"].isdigit()
                  and abs(int(m["headers"]["webhook-timestamp"]) - m["now"]) <= vectors["tolerance_seconds"]]
        wrong = []
        for message in timely:
            entries = message["headers"]["webhook-signature"].split(" ")
            if any(accepts(directory, k, message, e) for k in message["keys"] for e in entries) != message["accepted"]:
                wrong.append(message["name"])
        genuine = next(m for m in timely if m["accepted"])
        private, public = genuine["signed_with"][0], genuine["keys"][0]
        theirs = [signed(directory, private, public, number, vectors["now"], by)
                  for by in ("OpenSSL", "gmssl") for number in range(4)]
    for name in wrong:
        print("  decided otherwise:", name)
    out = json.dumps({**vectors, "messages": theirs, "sealed": []})
    pathlib.Path(out_path).write_text(out, encoding="utf-8")
    print(f"  {len(timely)} messages judged by OpenSSL, {len(theirs)} signed by OpenSSL and gmssl")
    return 1 if wrong else 0


sys.exit(main(*sys.argv[1:]))
