// Command samples checks the messages that the lending system sends to a bank. Copy this file into your own code.
//
// It needs the standard library only, and so covers HMAC, Ed25519 and bodies sealed with AES. SM2 and SM4 are in no Go
// standard library: take a maintained module for them, and give it the same content, key and DER signature as
// fitsSm2 in the Python sample.
//
//	id, err := verify(request.Header, rawBody, keys, time.Now().Unix())
//	json, err := openSealed(id, rawBody, bodyKeys) // only if you asked for sealed bodies
//
// After verify, act on each message id once: inside its five minutes a genuine message can arrive twice.
package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

const (
	toleranceSeconds = 300
	maxSignatures    = 8
	maxSealedBytes   = 512 * 1024
)

var (
	messageID = regexp.MustCompile(`\A[A-Za-z0-9_.-]{1,128}\z`)
	unixTime  = regexp.MustCompile(`\A(0|[1-9][0-9]{0,14})\z`)
)

// verify returns the message id, or an error when the message is not to be acted on: answer 401.
//
// body is the raw bytes, before any parsing. keys are the texts whsec_... and whpk_... that are in use, two during a
// rotation. now is Unix time in seconds.
func verify(headers http.Header, body []byte, keys []string, now int64) (string, error) {
	for _, name := range []string{"webhook-id", "webhook-timestamp", "webhook-signature"} {
		if len(headers.Values(name)) != 1 {
			return "", errors.New(name + " is missing or doubled")
		}
	}
	id, time := headers.Get("webhook-id"), headers.Get("webhook-timestamp")
	if !messageID.MatchString(id) || !unixTime.MatchString(time) {
		return "", errors.New("a header is missing or malformed")
	}
	sent, err := strconv.ParseInt(time, 10, 64)
	if err != nil || sent < now-toleranceSeconds || sent > now+toleranceSeconds {
		return "", errors.New("too old or too far ahead")
	}
	signatures := strings.Split(headers.Get("webhook-signature"), " ")
	if len(signatures) > maxSignatures {
		return "", errors.New("too many signatures")
	}
	content := append([]byte(id+"."+time+"."), body...)
	// All are tried even after one fits, so that the time taken does not tell which key is the live one.
	matched := false
	for _, key := range keys {
		for _, entry := range signatures {
			fit, err := fits(key, content, entry)
			if err != nil {
				return "", err
			}
			matched = matched || fit
		}
	}
	if !matched {
		return "", errors.New("no signature fits a key in use")
	}
	return id, nil
}

// fits tells whether one entry of webhook-signature fits one key. Entries of unknown versions fit none.
func fits(key string, content []byte, entry string) (bool, error) {
	version, encoded, found := strings.Cut(entry, ",")
	if !found {
		return false, errors.New("malformed signature")
	}
	prefix, encodedKey, _ := strings.Cut(key, "_")
	secret, err := base64.StdEncoding.Strict().DecodeString(encodedKey)
	if err != nil {
		return false, errors.New("malformed key")
	}
	scheme := prefix + " " + version
	if scheme != "whsec v1" && scheme != "whpk v1a" {
		return false, nil
	}
	value, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return false, errors.New("malformed signature")
	}
	if scheme == "whsec v1" {
		mac := hmac.New(sha256.New, secret)
		mac.Write(content)
		return hmac.Equal(mac.Sum(nil), value), nil
	}
	return len(secret) == ed25519.PublicKeySize && ed25519.Verify(secret, content, value), nil
}

// openSealed returns the JSON behind a body of type application/jose: a JWE in compact form (RFC 7516) with alg dir and
// enc A256GCM. Call verify first. keys are the texts whenc_a256gcm_..., the kid in the header says which.
func openSealed(id string, body []byte, keys []string) ([]byte, error) {
	parts := strings.Split(string(body), ".")
	if len(body) > maxSealedBytes || len(parts) != 5 || parts[1] != "" {
		return nil, errors.New("not a JWE in compact form")
	}
	decoded := make([][]byte, 5)
	for index, part := range parts {
		value, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil || strings.ContainsAny(part, "\r\n") {
			return nil, errors.New("not base64url")
		}
		decoded[index] = value
	}
	header := map[string]any{}
	if err := json.NewDecoder(bytes.NewReader(decoded[0])).Decode(&header); err != nil {
		return nil, errors.New("malformed header")
	}
	iv, sealed := decoded[2], append(decoded[3], decoded[4]...)
	_, crit := header["crit"]
	_, zip := header["zip"]
	if len(iv) != 12 || len(decoded[4]) != 16 || crit || zip || header["alg"] != "dir" || header["enc"] != "A256GCM" {
		return nil, errors.New("another form than agreed")
	}
	if header["webhook-id"] != id {
		return nil, errors.New("the body belongs to another message")
	}
	for _, text := range keys {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whenc_a256gcm_"))
		if err != nil {
			return nil, errors.New("malformed key")
		}
		digest := sha256.Sum256(key)
		if header["kid"] != hex.EncodeToString(digest[:8]) {
			continue
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		gcm, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		return gcm.Open(nil, iv, sealed, []byte(parts[0]))
	}
	return nil, errors.New("another key")
}
