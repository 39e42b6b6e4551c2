"""The reference library of Standard Webhooks from PyPI judges our HMAC messages, and signs some for our verifier.

python3 pypi.py vectors.json OUT
"""

import json
import sys
from datetime import datetime, timezone
from unittest import mock

from standardwebhooks import webhooks

# The library reads a time more loosely than we do ("+1793606400" is the same second to it), which changes no meaning.
LOOSER = {"hmac: a time that is no number"}


def accepts(key, message):
    """Whether the library accepts the message with this key, on the message's clock instead of the machine's."""
    clock = mock.Mock(wraps=datetime)
    clock.now.return_value = datetime.fromtimestamp(message["now"], tz=timezone.utc)
    with mock.patch.object(webhooks, "datetime", clock):
        try:
            webhooks.Webhook(key).verify(message["body"], message["headers"])
            return True
        except webhooks.WebhookVerificationError:
            return False


def signed(key, number, now):
    """A message as the library signs it. It wants a time without a zone and takes it for UTC."""
    body = json.dumps({"payout_id": number, "payee": "李娜", "note": "𠮷 ¥1.00\n"}, ensure_ascii=False)
    headers = {"webhook-id": f"msg_pypi_{number}", "webhook-timestamp": str(now)}
    sent = datetime.fromtimestamp(now, tz=timezone.utc).replace(tzinfo=None)
    headers["webhook-signature"] = webhooks.Webhook(key).sign(headers["webhook-id"], sent, body)
    return {"name": f"signed by PyPI standardwebhooks {number}", "scheme": "hmac", "keys": [key],
            "headers": headers, "body": body, "now": now, "accepted": True}


def main(vectors_path, out_path):
    with open(vectors_path, encoding="utf-8") as file:
        vectors = json.load(file)
    messages = [m for m in vectors["messages"] if m["scheme"] == "hmac" and m["name"] not in LOOSER]
    wrong = [m["name"] for m in messages if any(accepts(key, m) for key in m["keys"]) != m["accepted"]]
    for name in wrong:
        print("  decided otherwise:", name)
    keys = sorted({key for m in messages for key in m["keys"]})
    theirs = [signed(key, number, vectors["now"]) for number, key in enumerate(keys * 3)]
    with open(out_path, "w", encoding="utf-8") as file:
        json.dump({**vectors, "messages": theirs, "sealed": []}, file)
    print(f"  {len(messages)} messages judged, {len(theirs)} signed")
    return 1 if wrong else 0


sys.exit(main(*sys.argv[1:]))
