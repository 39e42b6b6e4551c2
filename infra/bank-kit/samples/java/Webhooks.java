import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.Signature;
import java.security.spec.X509EncodedKeySpec;
import java.util.Arrays;
import java.util.Base64;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import javax.crypto.Cipher;
import javax.crypto.Mac;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import org.bouncycastle.asn1.gm.GMNamedCurves;
import org.bouncycastle.asn1.x9.X9ECParameters;
import org.bouncycastle.crypto.InvalidCipherTextException;
import org.bouncycastle.crypto.engines.SM4Engine;
import org.bouncycastle.crypto.modes.GCMBlockCipher;
import org.bouncycastle.crypto.params.AEADParameters;
import org.bouncycastle.crypto.params.ECDomainParameters;
import org.bouncycastle.crypto.params.ECPublicKeyParameters;
import org.bouncycastle.crypto.params.KeyParameter;
import org.bouncycastle.crypto.params.ParametersWithID;
import org.bouncycastle.crypto.signers.SM2Signer;

/**
 * Checks and opens the messages that the lending system sends to a bank. Copy this file into your own code.
 *
 * <p>HMAC, Ed25519 and AES need nothing but JDK 17. SM2 and SM4 need BouncyCastle (Maven: org.bouncycastle, bcprov-jdk18on;
 * Debian: libbcprov-java). Without those two, delete fitsSm2 and openSm4 with their imports.
 *
 * <pre>
 * String id = Webhooks.verify(headers, rawBody, KEYS, Instant.now().getEpochSecond());
 * byte[] json = Webhooks.openSealed(id, rawBody, header, BODY_KEYS); // only if you asked for sealed bodies
 * </pre>
 *
 * <p>After verify, act on each message id once: inside its five minutes a genuine message can arrive twice.
 */
final class Webhooks {
    /** The message is not to be acted on. Answer 401 (verify) or 400 (openSealed). */
    static final class Refused extends Exception {
        Refused(String why) {
            super(why);
        }
    }

    private static final long TOLERANCE_SECONDS = 300;
    private static final int MAX_SIGNATURES = 8;
    private static final int MAX_SEALED_BYTES = 512 * 1024;
    private static final Pattern ID = Pattern.compile("[A-Za-z0-9_.-]{1,128}");
    private static final Pattern TIME = Pattern.compile("0|[1-9][0-9]{0,14}");
    private static final byte[] SM2_USER_ID = "1234567812345678".getBytes(StandardCharsets.US_ASCII);
    private static final X9ECParameters SM2 = GMNamedCurves.getByName("sm2p256v1");

    /** RFC 8410: what stands before the 32 bytes of an Ed25519 public key in its X.509 form. */
    private static final byte[] ED25519_X509 = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};

    private Webhooks() {}

    /**
     * Returns the message id.
     *
     * @param headers names in any case, and all values of each, as HttpExchange.getRequestHeaders() has them: a map of single
     *     values would hide a header that is doubled
     * @param body the raw bytes, before any parsing
     * @param keys the texts whsec_..., whpk_... or whsm2pk_... that are in use; two during a rotation
     * @param now Unix time in seconds
     */
    static String verify(Map<String, List<String>> headers, byte[] body, List<String> keys, long now)
            throws Refused, GeneralSecurityException {
        String id = only(headers, "webhook-id");
        String time = only(headers, "webhook-timestamp");
        String signature = only(headers, "webhook-signature");
        if (!ID.matcher(id).matches()) throw new Refused("malformed id");
        if (!TIME.matcher(time).matches()) throw new Refused("malformed time");
        if (Math.abs(Long.parseLong(time) - now) > TOLERANCE_SECONDS) throw new Refused("too old or too far ahead");
        String[] signatures = signature.split(" ", -1);
        if (signatures.length > MAX_SIGNATURES) throw new Refused("too many signatures");
        byte[] content = join((id + "." + time + ".").getBytes(StandardCharsets.US_ASCII), body);
        // All are tried even after one fits, so that the time taken does not tell which key is the live one.
        boolean matched = false;
        for (String key : keys) for (String entry : signatures) matched |= fits(key, content, entry);
        if (!matched) throw new Refused("no signature fits a key in use");
        return id;
    }

    private static String only(Map<String, List<String>> headers, String name) throws Refused {
        List<String> values = new ArrayList<>();
        headers.forEach((known, all) -> {
            if (name.equalsIgnoreCase(known)) values.addAll(all);
        });
        if (values.size() != 1) throw new Refused(name + " is missing or doubled");
        return values.get(0);
    }

    /** Whether one entry of webhook-signature fits one key. Entries of unknown versions fit none. */
    private static boolean fits(String key, byte[] content, String entry) throws Refused, GeneralSecurityException {
        int comma = entry.indexOf(',');
        if (comma < 0) throw new Refused("malformed signature");
        int underscore = key.indexOf('_');
        byte[] keyBytes = Base64.getDecoder().decode(key.substring(underscore + 1));
        switch (key.substring(0, underscore) + " " + entry.substring(0, comma)) {
            case "whsec v1": return fitsHmac(keyBytes, content, value(entry, comma));
            case "whpk v1a": return fitsEd25519(keyBytes, content, value(entry, comma));
            case "whsm2pk v1sm2": return fitsSm2(keyBytes, content, value(entry, comma));
            default: return false;
        }
    }

    private static byte[] value(String entry, int comma) throws Refused {
        try {
            return Base64.getDecoder().decode(entry.substring(comma + 1));
        } catch (IllegalArgumentException e) {
            throw new Refused("malformed signature");
        }
    }

    private static boolean fitsHmac(byte[] key, byte[] content, byte[] value) throws GeneralSecurityException {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(key, "HmacSHA256"));
        return MessageDigest.isEqual(mac.doFinal(content), value);
    }

    private static boolean fitsEd25519(byte[] key, byte[] content, byte[] value) throws GeneralSecurityException {
        if (value.length != 64) return false; // The JDK throws on other lengths.
        Signature ed25519 = Signature.getInstance("Ed25519");
        var x509 = new X509EncodedKeySpec(join(ED25519_X509, key));
        ed25519.initVerify(KeyFactory.getInstance("Ed25519").generatePublic(x509));
        ed25519.update(content);
        try {
            return ed25519.verify(value);
        } catch (java.security.SignatureException e) {
            return false; // Not two numbers in range.
        }
    }

    /** SM2 over SM3, the signature as a DER SEQUENCE of r and s (GM/T 0009-2012). */
    private static boolean fitsSm2(byte[] key, byte[] content, byte[] value) {
        var domain = new ECDomainParameters(SM2.getCurve(), SM2.getG(), SM2.getN(), BigInteger.ONE);
        var point = new ECPublicKeyParameters(SM2.getCurve().decodePoint(key), domain);
        SM2Signer signer = new SM2Signer();
        signer.init(false, new ParametersWithID(point, SM2_USER_ID));
        signer.update(content, 0, content.length);
        return signer.verifySignature(value);
    }

    /** The header of a JWE in compact form, as JSON text, for the JSON parser that you use. */
    static String sealedHeader(byte[] body) throws Refused {
        String text = new String(body, StandardCharsets.US_ASCII);
        return new String(base64url(text.split("\\.", -1)[0]), StandardCharsets.UTF_8);
    }

    /**
     * Returns the JSON behind a body of type application/jose: a JWE in compact form (RFC 7516) with alg dir and enc A256GCM
     * or SM4-GCM. Call verify first.
     *
     * @param header the members of {@link #sealedHeader}
     * @param keys whenc_a256gcm_... or whenc_sm4gcm_..., the kid in the header says which
     */
    static byte[] openSealed(String id, byte[] body, Map<String, ?> header, List<String> keys)
            throws Refused, GeneralSecurityException {
        if (body.length > MAX_SEALED_BYTES) throw new Refused("too long");
        String[] parts = new String(body, StandardCharsets.US_ASCII).split("\\.", -1);
        if (parts.length != 5 || !parts[1].isEmpty()) throw new Refused("not a JWE in compact form");
        byte[] iv = base64url(parts[2]);
        byte[] sealed = join(base64url(parts[3]), base64url(parts[4]));
        if (iv.length != 12 || base64url(parts[4]).length != 16) throw new Refused("another form than agreed");
        if (header.containsKey("crit") || header.containsKey("zip")) throw new Refused("another form than agreed");
        if (!"dir".equals(header.get("alg")) || !id.equals(header.get("webhook-id"))) {
            throw new Refused("another algorithm or message");
        }
        byte[] associated = parts[0].getBytes(StandardCharsets.US_ASCII);
        for (String text : keys) {
            boolean sm4 = text.startsWith("whenc_sm4gcm_");
            byte[] key = Base64.getDecoder().decode(text.substring(text.indexOf('_', "whenc_".length()) + 1));
            boolean named = keyId(key).equals(header.get("kid"));
            if (named && (sm4 ? "SM4-GCM" : "A256GCM").equals(header.get("enc"))) {
                return sm4 ? openSm4(key, iv, associated, sealed) : openAes(key, iv, associated, sealed);
            }
        }
        throw new Refused("another key");
    }

    private static byte[] openAes(byte[] key, byte[] iv, byte[] associated, byte[] sealed)
            throws Refused, GeneralSecurityException {
        Cipher gcm = Cipher.getInstance("AES/GCM/NoPadding");
        gcm.init(Cipher.DECRYPT_MODE, new SecretKeySpec(key, "AES"), new GCMParameterSpec(128, iv));
        gcm.updateAAD(associated);
        try {
            return gcm.doFinal(sealed);
        } catch (javax.crypto.AEADBadTagException e) {
            throw new Refused("the seal is broken");
        }
    }

    private static byte[] openSm4(byte[] key, byte[] iv, byte[] associated, byte[] sealed) throws Refused {
        GCMBlockCipher gcm = new GCMBlockCipher(new SM4Engine());
        gcm.init(false, new AEADParameters(new KeyParameter(key), 128, iv, associated));
        byte[] plain = new byte[gcm.getOutputSize(sealed.length)];
        try {
            int written = gcm.processBytes(sealed, 0, sealed.length, plain, 0);
            return Arrays.copyOf(plain, written + gcm.doFinal(plain, written));
        } catch (InvalidCipherTextException e) {
            throw new Refused("the seal is broken");
        }
    }

    /** The first 8 bytes of the key's SHA-256, in hexadecimal. */
    private static String keyId(byte[] key) throws GeneralSecurityException {
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(key);
        return java.util.HexFormat.of().formatHex(digest, 0, 8);
    }

    /** Strict: no padding, no stray characters or bits, so that every text has one meaning. */
    private static byte[] base64url(String text) throws Refused {
        try {
            byte[] bytes = Base64.getUrlDecoder().decode(text);
            if (Base64.getUrlEncoder().withoutPadding().encodeToString(bytes).equals(text)) return bytes;
        } catch (IllegalArgumentException e) {
            // Told below.
        }
        throw new Refused("not base64url");
    }

    private static byte[] join(byte[] first, byte[] second) {
        byte[] joined = Arrays.copyOf(first, first.length + second.length);
        System.arraycopy(second, 0, joined, first.length, second.length);
        return joined;
    }
}
