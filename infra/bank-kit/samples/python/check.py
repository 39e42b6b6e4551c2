"""Holds webhooks.py against the vectors: python3 check.py vectors.json"""

import json
import sys

import webhooks


def decides(decision):
    try:
        return decision()
    except webhooks.Refused:
        return None


def main(path):
    with open(path, encoding="utf-8") as file:
        vectors = json.load(file)
    wrong = []
    for message in vectors["messages"]:
        body = message["body"].encode()
        headers = list(message["headers"].items())
        said = decides(lambda: webhooks.verify(headers, body, message["keys"], message["now"]))
        doubled = [*headers, ("Webhook-Signature", message["headers"].get("webhook-signature", ""))]
        if decides(lambda: webhooks.verify(doubled, body, message["keys"], message["now"])) is not None:
            wrong.append(message["name"] + ", doubled")
        expected = message["headers"]["webhook-id"] if message["accepted"] else None
        if said != expected:
            wrong.append(message["name"])
    for sealed in vectors["sealed"]:
        said = decides(lambda: webhooks.open_sealed(sealed["webhook-id"], sealed["jwe"].encode(), sealed["keys"]))
        expected = sealed["body"].encode() if "body" in sealed else None
        if said != expected:
            wrong.append(sealed["name"])
    for name in wrong:
        print("  decided otherwise:", name)
    print(f"  {len(vectors['messages'])} messages (HMAC, Ed25519, SM2), {len(vectors['sealed'])} sealed bodies")
    return 1 if wrong else 0


sys.exit(main(sys.argv[1]))
