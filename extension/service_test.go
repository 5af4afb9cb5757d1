package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/source/awstest"
)

// sample is what the SAM template deploys, as a config.yaml.
const sample = `
parameters:
  - names:
      - CacheExtensions_Parameter1
      - /aws/reference/secretsmanager/secret_info
secrets:
  - names: [secret_info]
dynamodb:
  - table: DynamoDbTable
    hashkey: pKey
    hashkeytype: S
    hashkeyvalue: pKey1
    sortkey: sKey
    sortkeytype: S
    sortkeyvalue: sKey1
`

func (w *world) seedSample() {
	const region = "eu-west-1"
	w.aws.PutParameter(region, "CacheExtensions_Parameter1", awstest.Parameter{Value: "MyParameter", Type: "String"})
	w.aws.PutSecret(region, "secret_info", awstest.Secret{Text: "MySecret"})
	w.aws.CreateTable(region, "DynamoDbTable", awstest.KeyAttr{Name: "pKey", Type: "S"}, awstest.KeyAttr{Name: "sKey", Type: "S"})
	w.aws.PutItem(region, "DynamoDbTable", `{"pKey":{"S":"pKey1"},"sKey":{"S":"sKey1"},"Data":{"S":"Data goes here"}}`)
}

var sampleReads = map[string]string{
	"/dynamodb?name=DynamoDbTable-pKey1-sKey1":                   `{"Data":"Data goes here","pKey":"pKey1","sKey":"sKey1"}`,
	"/parameters?name=CacheExtensions_Parameter1":                "MyParameter",
	"/parameters?name=/aws/reference/secretsmanager/secret_info": "MySecret",
	"/secrets?name=secret_info":                                  "MySecret",
}

func TestFourURLsAnswerWithAndWithoutPrefetch(t *testing.T) {
	for _, prefetch := range []string{"true", "false"} {
		for _, short := range []bool{true, false} {
			t.Run(fmt.Sprintf("prefetch=%s,short=%t", prefetch, short), func(t *testing.T) {
				w := newWorld(t, sample)
				w.aws.ShortReferenceNames = short
				w.seedSample()
				w.env["CACHE_EXTENSION_INIT_STARTUP"] = prefetch
				p := w.start()
				w.lambda.WaitNext(1)
				calls := w.aws.Count("")
				if prefetched := calls > 0; fmt.Sprint(prefetched) != prefetch {
					t.Errorf("%d upstream calls before the first invocation with prefetch %s", calls, prefetch)
				}
				for range 2 {
					for url, want := range sampleReads {
						p.get(url).want(t, url, 200, want)
					}
				}
				if got := w.aws.Count(""); prefetch == "true" && got != calls {
					t.Errorf("reads after prefetch made %d upstream calls, want 0", got-calls)
				} else if prefetch == "false" && got != len(sampleReads) {
					t.Errorf("two reads of each name made %d upstream calls, want %d", got, len(sampleReads))
				}
			})
		}
	}
}

func TestServeAnswersLikeTheExtension(t *testing.T) {
	w := newWorld(t, sample)
	w.seedSample()
	delete(w.env, "AWS_LAMBDA_RUNTIME_API")
	p := w.start("serve", w.file)
	for url, want := range sampleReads {
		p.get(url).want(t, url, 200, want)
	}
	p.stop()
	if code := p.wait(); code != 0 {
		t.Errorf("serve ended with %d after a signal, want 0", code)
	}
	p.stderr.wait(t, "cache-extension stops")
}

func TestReadsDuringInitAndPrefetchAreAnswered(t *testing.T) {
	w := newWorld(t, sample)
	w.seedSample()
	w.env["CACHE_EXTENSION_INIT_STARTUP"] = "true"
	w.aws.Latency(300 * time.Millisecond)
	p := w.start()
	var readers sync.WaitGroup
	for url, want := range sampleReads {
		readers.Go(func() { p.get(url).want(t, url, 200, want) })
	}
	readers.Wait()
	w.lambda.WaitNext(1)
	// One call for each kind, and another where a reader of a parameter came before prefetch did.
	if got := w.aws.Count(""); got > 4 {
		t.Errorf("prefetch and four readers together made %d upstream calls, want 3 or 4", got)
	}
	var stats map[string]cache.Stats
	if err := json.Unmarshal([]byte(p.get("/stats").body), &stats); err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[string]uint64{"dynamodb": 1, "parameters": 2, "secrets": 1} {
		if got := stats[kind].Fetches; got != want {
			t.Errorf("%s: %d fetches, want %d: each name once", kind, got, want)
		}
	}
}

func Test200ParallelReadersMakeOneCall(t *testing.T) {
	w := newWorld(t, sample)
	w.seedSample()
	w.aws.Latency(100 * time.Millisecond)
	p := w.start()
	var readers sync.WaitGroup
	for range 200 {
		readers.Go(func() {
			p.get("/secrets?name=secret_info").want(t, "parallel read", 200, "MySecret")
		})
	}
	readers.Wait()
	if got := w.aws.Count(""); got != 1 {
		t.Errorf("200 parallel reads of a cold name made %d upstream calls, want 1", got)
	}
}

func TestAWSDownAtStartAndBackLater(t *testing.T) {
	w := newWorld(t, "timeout: 300ms\nnegative_ttl: 0s\n"+sample)
	w.seedSample()
	w.env["CACHE_EXTENSION_INIT_STARTUP"] = "true"
	w.aws.Fail(awstest.Match{}, awstest.Fault{Err: awstest.ErrRefused})
	p := w.start()
	w.lambda.WaitNext(1)
	p.get("/secrets?name=secret_info").want(t, "while AWS is down", 502, "upstream")
	w.aws.Clear()
	w.aws.Fail(awstest.Match{}, awstest.Fault{Code: "ThrottlingException"})
	await(t, "503 while AWS throttles", func() bool { return p.get("/parameters?name=CacheExtensions_Parameter1").code() == "throttled" })
	w.aws.Clear()
	await(t, "200 once AWS is back", func() bool {
		for url := range sampleReads {
			if p.get(url).status != 200 {
				return false
			}
		}
		return true
	})
}

// await polls until ok is true: for what happens after a hold-off of the program's own.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for late := time.Now().Add(patience); !ok(); {
		if time.Now().After(late) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func TestNoSecretReachesTheLog(t *testing.T) {
	w := newWorld(t, "log: {level: debug}\nserver: {token: true}\n"+sample)
	w.seedSample()
	w.aws.PutParameter("eu-west-1", "broken", awstest.Parameter{Value: "unreadable-value", Type: "String"})
	w.env["CACHE_EXTENSION_INIT_STARTUP"] = "true"
	w.aws.Fail(awstest.Match{Op: "GetSecretValue", Times: 1}, awstest.Fault{NotJSON: true})
	w.aws.Fail(awstest.Match{Op: "GetSecretValue", Times: 1}, awstest.Fault{Truncate: true})
	p := w.start()
	w.lambda.WaitNext(1)
	p.get("/secrets?name=secret_info").want(t, "without the token", 403, "forbidden")
	w.lambda.Shutdown("spindown", time.Now().Add(2*time.Second))
	p.wait()
	for _, never := range []string{"MySecret", "MyParameter", "Data goes here", "not-for-logs"} {
		if strings.Contains(p.stderr.String(), never) {
			t.Errorf("the log holds %q:\n%s", never, p.stderr.String())
		}
	}
}

func TestLogNamesItemsByLineAboveDebug(t *testing.T) {
	const config = "log: {level: %s}\nparameters:\n  - name: jane@example.com\n"
	for level, named := range map[string]bool{"info": false, "debug": true} {
		w := newWorld(t, fmt.Sprintf(config, level))
		p := w.start()
		p.get("/parameters?name=jane@example.com").want(t, "missing", 404, "missing")
		line := p.stderr.wait(t, "fetch failed")
		if got := strings.Contains(line, "jane@"); got != named {
			t.Errorf("at level %s the log names the parameter: %t, want %t: %s", level, got, named, line)
		}
		if !strings.Contains(line, `"line":3`) || !strings.Contains(line, `"class":"missing"`) {
			t.Errorf("the log lacks line or class: %s", line)
		}
	}
}

func TestLogFormats(t *testing.T) {
	for _, format := range []string{"", "JSON", "Text"} {
		w := newWorld(t, sample)
		w.env["AWS_LAMBDA_LOG_FORMAT"] = format
		p := w.start()
		line := p.stderr.wait(t, "cache-extension serves")
		var record map[string]any
		isJSON := json.Unmarshal([]byte(line), &record) == nil
		if isJSON != (format != "Text") {
			t.Errorf("AWS_LAMBDA_LOG_FORMAT=%s gives %q", format, line)
			continue
		}
		for _, key := range []string{"timestamp", "level", "message", "version", "port", "ttl"} {
			if _, ok := record[key]; isJSON && !ok {
				t.Errorf("no %q in %s", key, line)
			}
		}
	}
}

func TestStats(t *testing.T) {
	w := newWorld(t, sample)
	w.seedSample()
	p := w.start()
	for range 3 {
		p.get("/parameters?name=CacheExtensions_Parameter1")
	}
	const zero = `{"hits":0,"stale":0,"misses":0,"collapsed":0,"fetches":0,"errors":{"missing":0,"denied":0,"throttled":0,"timeout":0,"upstream":0},"evictions":0,"entries":0,"bytes":0}`
	const want = `{"dynamodb":` + zero + `,"parameters":{"hits":2,"stale":0,"misses":1,"collapsed":0,"fetches":1,"errors":{"missing":0,"denied":0,"throttled":0,"timeout":0,"upstream":0},"evictions":0,"entries":1,"bytes":11},"secrets":` + zero + `}`
	p.get("/stats").want(t, "/stats", 200, want)
	p.get("/healthz").want(t, "/healthz", 200, "ok")
}

func TestEntryOverEnvironmentOverFile(t *testing.T) {
	w := newWorld(t, "ttl: 1h\nparameters:\n  - name: a\n  - name: b\n    ttl: 0s\n")
	w.env["CACHE_EXTENSION_TTL"] = "30m"
	w.aws.PutParameter("eu-west-1", "a", awstest.Parameter{Value: "A", Type: "String"})
	w.aws.PutParameter("eu-west-1", "b", awstest.Parameter{Value: "B", Type: "String"})
	p := w.start()
	for range 3 {
		p.get("/parameters?name=a").want(t, "a", 200, "A")
		p.get("/parameters?name=b").want(t, "b", 200, "B")
	}
	if got := p.get("/parameters?name=a").header.Get("Cache-Status"); got != "cache-extension; hit; ttl=1799" && got != "cache-extension; hit; ttl=1798" {
		t.Errorf("Cache-Status under the environment's ttl = %q, want a hit with nearly 1800 left", got)
	}
	if got := w.aws.Count("GetParameter"); got != 4 {
		t.Errorf("%d calls, want 1 for a and 3 for b, whose ttl is 0", got)
	}
}
