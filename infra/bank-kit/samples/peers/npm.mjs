// The reference library of Standard Webhooks from npm judges our HMAC messages, and signs some for our verifier; jose from
// npm opens our sealed bodies (A256GCM), and seals some for us to open.
//
//   node npm.mjs vectors.json OUT

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { CompactEncrypt, compactDecrypt } from "jose";
import { Webhook } from "standardwebhooks";

const [vectorsPath, outPath] = process.argv.slice(2);
const vectors = JSON.parse(readFileSync(vectorsPath, "utf8"));
const realNow = Date.now;

// The library reads a time more loosely than we do ("+1793606400" is the same second to it), which changes no meaning.
const looser = new Set(["hmac: a time that is no number"]);

function accepts(key, message) {
  Date.now = () => message.now * 1000;
  try {
    new Webhook(key).verify(message.body, message.headers);
    return true;
  } catch {
    return false;
  } finally {
    Date.now = realNow;
  }
}

function signed(key, number) {
  const body = JSON.stringify({ payout_id: number, payee: "李娜", note: "𠮷 ¥1.00\n" });
  const id = `msg_npm_${number}`;
  const headers = { "webhook-id": id, "webhook-timestamp": String(vectors.now) };
  headers["webhook-signature"] = new Webhook(key).sign(id, new Date(vectors.now * 1000), body);
  const name = `signed by npm standardwebhooks ${number}`;
  return { name, scheme: "hmac", keys: [key], headers, body, now: vectors.now, accepted: true };
}

const bytesOf = (key) => Buffer.from(key.slice("whenc_a256gcm_".length), "base64");
const idOf = (key) => createHash("sha256").update(bytesOf(key)).digest("hex").slice(0, 16);

async function opened(sealed) {
  for (const key of sealed.keys) {
    try {
      const { plaintext, protectedHeader } = await compactDecrypt(sealed.jwe, bytesOf(key));
      return protectedHeader["webhook-id"] === sealed["webhook-id"] ? Buffer.from(plaintext).toString() : undefined;
    } catch {
      // Another key may open it.
    }
  }
  return undefined;
}

async function sealedByJose(key, number) {
  const id = `msg_npm_${number}`;
  const body = JSON.stringify({ payout_id: number, payee: "李娜" });
  const header = { alg: "dir", enc: "A256GCM", typ: "JOSE", kid: idOf(key), "webhook-id": id };
  const jwe = await new CompactEncrypt(Buffer.from(body)).setProtectedHeader(header).encrypt(bytesOf(key));
  return { name: `sealed by npm jose ${number}`, enc: "A256GCM", keys: [key], "webhook-id": id, jwe, body };
}

const messages = vectors.messages.filter((message) => message.scheme === "hmac" && !looser.has(message.name));
const ours = vectors.sealed.filter((sealed) => sealed.enc === "A256GCM");
const wrong = messages
  .filter((message) => message.keys.some((key) => accepts(key, message)) !== message.accepted)
  .map((message) => message.name);
for (const sealed of ours) if ((await opened(sealed)) !== sealed.body) wrong.push(sealed.name);
for (const name of wrong) console.log("  decided otherwise:", name);

const keys = [...new Set(messages.flatMap((message) => message.keys))];
const bodyKeys = [...new Set(ours.flatMap((sealed) => sealed.keys))];
const theirs = keys.map(signed);
const theirSealed = await Promise.all(bodyKeys.map(sealedByJose));
writeFileSync(outPath, JSON.stringify({ ...vectors, messages: theirs, sealed: theirSealed }));
console.log(`  ${messages.length} messages judged, ${theirs.length} signed; ` +
  `${ours.length} sealed bodies judged, ${theirSealed.length} sealed`);
process.exit(wrong.length === 0 ? 0 : 1);
