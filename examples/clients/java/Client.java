import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Reads from cache-extension: {@code Client.get("parameters", "/app/greeting")}. Copy this file into your function. */
public final class Client {
    private static final String PORT = variable("CACHE_EXTENSION_PORT", "4000");
    private static final long TIMEOUT = 2500; // milliseconds: the extension gives AWS 2 s, Lambda gives a function 3 by default

    // It keeps its connections: opening one takes longer than a read from memory. HTTP/1.1, or each request asks for HTTP/2.
    private static final HttpClient HTTP =
            HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).proxy(HttpClient.Builder.NO_PROXY).build();

    /** What went wrong. The fields are those of the answer; where there was none they are 0, "" and 0. */
    public static final class CacheException extends IOException {
        public final int status;
        public final String code;
        public final int retryAfter; // seconds; 0 where nothing was said

        CacheException(String message, int status, String code, int retryAfter, Throwable cause) {
            super(message, cause);
            this.status = status;
            this.code = code;
            this.retryAfter = retryAfter;
        }
    }

    /** Returns a value as text. */
    public static String get(String cachetype, String name) throws CacheException, InterruptedException {
        return get(cachetype, name, Map.of());
    }

    /** Returns a value as text. The query may hold field and refresh. */
    public static String get(String cachetype, String name, Map<String, String> query)
            throws CacheException, InterruptedException {
        String what = cachetype + " " + name;
        StringBuilder path = new StringBuilder("/" + cachetype + "?name=" + encode(name));
        query.forEach((key, value) -> path.append("&" + key + "=" + encode(value)));
        HttpResponse<String> response;
        try {
            response = send(path.toString());
        } catch (TimeoutException | ExecutionException e) {
            String why = e instanceof TimeoutException ? "none within " + TIMEOUT + " ms" : String.valueOf(e.getCause());
            throw new CacheException(
                    what + ": no answer from the cache extension on port " + PORT + ": " + why, 0, "", 0, e);
        }
        if (response.statusCode() == 200) {
            return response.body();
        }
        int status = response.statusCode();
        String code = member(response.body(), "code", "unknown");
        String detail = member(response.body(), "detail", "not an answer of the cache extension");
        int retryAfter = (int) response.headers().firstValueAsLong("Retry-After").orElse(0);
        String when = retryAfter > 0 ? " (Retry-After: " + retryAfter + ")" : "";
        throw new CacheException(what + ": " + status + " " + code + ": " + detail + when, status, code, retryAfter, null);
    }

    // The JDK has no parser of JSON. This will do for a problem of the extension, which is one flat object without spaces.
    private static String member(String problem, String name, String otherwise) {
        Matcher member = Pattern.compile("\"" + name + "\":\"((?:[^\"\\\\]++|\\\\.)*+)\"").matcher(problem);
        return member.find() ? member.group(1).replaceAll("\\\\(.)", "$1") : otherwise;
    }

    private static HttpResponse<String> send(String path)
            throws InterruptedException, ExecutionException, TimeoutException {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create("http://localhost:" + PORT + path));
        String token = variable("AWS_SESSION_TOKEN", variable("AWS_CONTAINER_AUTHORIZATION_TOKEN", ""));
        if (!token.isEmpty()) {
            request.header("X-Aws-Parameters-Secrets-Token", token); // for server.token: true
        }
        // HttpRequest's own timeout ends with the headers; this one holds for the body, too.
        var answer = HTTP.sendAsync(request.build(), BodyHandlers.ofString(StandardCharsets.UTF_8));
        try {
            return answer.get(TIMEOUT, TimeUnit.MILLISECONDS);
        } finally {
            answer.cancel(true); // closes the connection, unless the answer is there
        }
    }

    private static String encode(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8);
    }

    private static String variable(String name, String otherwise) {
        String value = System.getenv(name);
        return value == null || value.isEmpty() ? otherwise : value;
    }

    /** {@code java Client.java <cachetype> <name>...} prints each value. */
    public static void main(String[] args) throws InterruptedException {
        int failed = 0;
        for (int i = 1; i < args.length; i++) {
            try {
                System.out.println(get(args[0], args[i]));
            } catch (CacheException e) {
                System.err.println(e.getMessage());
                failed = 1;
            }
        }
        System.exit(failed);
    }
}
