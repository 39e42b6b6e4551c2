import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** Holds Webhooks.java against the vectors: java Check vectors.json */
final class Check {
    private Check() {}

    public static void main(String[] arguments) throws Exception {
        Map<String, Object> vectors = object(new Json(Files.readString(Path.of(arguments[0]))).whole());
        List<String> wrong = new ArrayList<>();
        for (Object each : (List<?>) vectors.get("messages")) {
            Map<String, Object> message = object(each);
            Map<String, List<String>> headers = new LinkedHashMap<>();
            object(message.get("headers")).forEach((name, value) -> headers.put(name, List.of((String) value)));
            byte[] body = ((String) message.get("body")).getBytes(StandardCharsets.UTF_8);
            String said;
            try {
                said = Webhooks.verify(headers, body, texts(message.get("keys")), (Long) message.get("now"));
            } catch (Webhooks.Refused e) {
                said = null;
            }
            String expected = (Boolean) message.get("accepted") ? headers.get("webhook-id").get(0) : null;
            Map<String, List<String>> doubled = new LinkedHashMap<>(headers);
            doubled.put("Webhook-Signature", headers.getOrDefault("webhook-signature", List.of("")));
            try {
                Webhooks.verify(doubled, body, texts(message.get("keys")), (Long) message.get("now"));
                wrong.add(message.get("name") + ", doubled");
            } catch (Webhooks.Refused e) {
                // As it should be.
            }
            if (!Objects.equals(said, expected)) wrong.add((String) message.get("name"));
        }
        List<?> allSealed = (List<?>) vectors.get("sealed");
        for (Object each : allSealed) {
            Map<String, Object> sealed = object(each);
            if (!Objects.equals(opened(sealed), sealed.get("body"))) wrong.add((String) sealed.get("name"));
        }
        wrong.forEach(name -> System.out.println("  decided otherwise: " + name));
        System.out.printf("  %d messages (HMAC, Ed25519, SM2), %d sealed bodies%n",
                ((List<?>) vectors.get("messages")).size(), allSealed.size());
        System.exit(wrong.isEmpty() ? 0 : 1);
    }

    private static String opened(Map<String, Object> sealed) throws Exception {
        byte[] jwe = ((String) sealed.get("jwe")).getBytes(StandardCharsets.US_ASCII);
        try {
            Map<String, Object> header = object(new Json(Webhooks.sealedHeader(jwe)).whole());
            String id = (String) sealed.get("webhook-id");
            byte[] body = Webhooks.openSealed(id, jwe, header, texts(sealed.get("keys")));
            return new String(body, StandardCharsets.UTF_8);
        } catch (Webhooks.Refused | IllegalArgumentException e) {
            return null;
        }
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> object(Object value) {
        return (Map<String, Object>) value;
    }

    private static List<String> texts(Object value) {
        return ((List<?>) value).stream().map(String.class::cast).toList();
    }

    /** Just enough JSON for the vectors, since the JDK has none: objects, arrays, strings, whole numbers, true, false. */
    private static final class Json {
        private final String text;
        private int at;

        Json(String text) {
            this.text = text;
        }

        Object whole() {
            Object value = value();
            if (next() != 0) throw new IllegalArgumentException("more than one value");
            return value;
        }

        private char next() {
            while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) at++;
            return at < text.length() ? text.charAt(at) : 0;
        }

        private void expect(String word) {
            next();
            if (!text.startsWith(word, at)) throw new IllegalArgumentException("expected " + word + " at " + at);
            at += word.length();
        }

        private Object value() {
            switch (next()) {
                case '{': return members();
                case '[': return elements();
                case '"': return string();
                case 't': expect("true"); return true;
                case 'f': expect("false"); return false;
                default: return number();
            }
        }

        private Map<String, Object> members() {
            Map<String, Object> members = new LinkedHashMap<>();
            expect("{");
            while (next() != '}') {
                if (!members.isEmpty()) expect(",");
                next();
                String name = string();
                expect(":");
                members.put(name, value());
            }
            expect("}");
            return members;
        }

        private List<Object> elements() {
            List<Object> elements = new ArrayList<>();
            expect("[");
            while (next() != ']') {
                if (!elements.isEmpty()) expect(",");
                elements.add(value());
            }
            expect("]");
            return elements;
        }

        private Long number() {
            int start = at;
            while (at < text.length() && "-0123456789".indexOf(text.charAt(at)) >= 0) at++;
            return Long.valueOf(text.substring(start, at));
        }

        private String string() {
            expect("\"");
            StringBuilder string = new StringBuilder();
            for (; ; at++) {
                if (at >= text.length()) throw new IllegalArgumentException("a string without end");
                char letter = text.charAt(at);
                if (letter == '"') break;
                if (letter != '\\') {
                    string.append(letter);
                    continue;
                }
                char escaped = text.charAt(++at);
                int plain = "nrtbf".indexOf(escaped);
                if (escaped == 'u') {
                    string.append((char) Integer.parseInt(text.substring(at + 1, at + 5), 16));
                    at += 4;
                } else {
                    string.append(plain < 0 ? escaped : "\n\r\t\b\f".charAt(plain));
                }
            }
            at++;
            return string.toString();
        }
    }
}
