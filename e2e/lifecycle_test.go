package e2e

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cache-extension/e2e/cloud"
	"cache-extension/e2e/emulator"
	"cache-extension/e2e/parts"
)

// want is what each URL answers after a deployment of the template.
var want = map[string]string{
	"/dynamodb?name=DynamoDbTable-pKey1-sKey1":                   `{"Data":"MyData","num":42,"pKey":"pKey1","sKey":"sKey1"}`,
	"/parameters?name=CacheExtensions_Parameter1":                "MyParameter",
	"/parameters?name=/aws/reference/secretsmanager/secret_info": "MySecret",
	"/secrets?name=secret_info":                                  "MySecret",
}

func TestSampleFunction(t *testing.T) {
	if !sandboxed(t, parts.RIE, parts.Moto, parts.SAM) {
		return
	}
	proxy := aws(t)
	for _, tt := range []struct {
		name     string
		prefetch string
		calls    map[string]int // of AWS, when all has been read
	}{
		{"with prefetch", "true", map[string]int{"GetItem": 1, "GetParameters": 1, "GetSecretValue": 1}},
		{"without prefetch", "false", map[string]int{"GetItem": 1, "GetParameter": 2, "GetSecretValue": 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := start(t, emulator.Function{
				Layer: layer(t),
				Code:  filepath.Join(built(t), "ExampleFunction"),
				Env:   append(cloud.Env(proxy.URL), "CACHE_EXTENSION_TTL=5m", "CACHE_EXTENSION_INIT_STARTUP="+tt.prefetch, "TABLE_NAME="+cloud.Table),
			})
			for range 3 {
				var answer struct{ Values map[string]string }
				if err := json.Unmarshal([]byte(invoke(t, e, "{}")), &answer); err != nil {
					t.Fatal(err)
				}
				wantValues := map[string]string{
					"dynamodb":   want["/dynamodb?name=DynamoDbTable-pKey1-sKey1"],
					"parameters": want["/parameters?name=CacheExtensions_Parameter1"],
					"secrets":    want["/secrets?name=secret_info"],
				}
				if !maps.Equal(answer.Values, wantValues) {
					t.Errorf("the function's values: got %v, want %v", answer.Values, wantValues)
				}
				for url, want := range want {
					if status, body := get(t, url); status != http.StatusOK || body != want {
						t.Errorf("GET %s: got %d %q, want 200 %q", url, status, body, want)
					}
				}
			}
			if got := proxy.Calls(); !maps.Equal(got, tt.calls) {
				t.Errorf("calls of AWS: got %v, want %v", got, tt.calls)
			}
		})
	}
}

func TestLifecycle(t *testing.T) {
	if !sandboxed(t, parts.RIE, parts.Moto, parts.SAM) {
		return
	}
	proxy := aws(t)
	// f makes a function out of the one in testdata, with the config.yaml given, if any.
	f := func(t *testing.T, config string, env ...string) emulator.Function {
		code := t.TempDir()
		if err := os.CopyFS(code, os.DirFS("testdata/function")); err != nil {
			t.Fatal(err)
		}
		if config != "" {
			write(t, filepath.Join(code, "config.yaml"), config, 0o644)
		}
		return emulator.Function{Layer: layer(t), Code: code, Env: append(cloud.Env(proxy.URL), env...), Timeout: 2 * time.Second}
	}
	for _, prefetch := range []string{"true", "false"} {
		t.Run("init code reads, prefetch "+prefetch, func(t *testing.T) {
			e := start(t, f(t, "", "CACHE_EXTENSION_INIT_STARTUP="+prefetch))
			checkReads(t, invoke(t, e, "{}"))
			if calls := proxy.Calls(); calls["GetItem"] != 1 || calls["GetSecretValue"] != 1 {
				t.Errorf("calls of AWS: got %v, want one GetItem and one GetSecretValue", calls)
			}
		})
	}
	t.Run("function times out", func(t *testing.T) {
		e := start(t, f(t, ""))
		invoke(t, e, "{}")
		if answer := invoke(t, e, `{"hang": true}`); !strings.Contains(answer, "timed out") {
			t.Errorf("a function that hangs: got %q, want a timeout", answer)
		}
		checkReads(t, invoke(t, e, "{}"))
	})
	t.Run("function crashes", func(t *testing.T) {
		e := start(t, f(t, ""))
		invoke(t, e, "{}")
		status, answer, err := e.Invoke(t.Context(), `{"crash": true}`)
		if err != nil || status == http.StatusOK {
			t.Errorf("a function that crashes: got %d %q, %v, want an error of the function", status, answer, err)
		}
		checkReads(t, invoke(t, e, "{}"))
	})
	t.Run("shutdown", func(t *testing.T) {
		deployed := f(t, "")
		deployed.Layer = reporting(t, deployed.Layer)
		e := start(t, deployed)
		invoke(t, e, "{}")
		if err := e.Stop(); err != nil {
			t.Fatal(err)
		}
		if log := e.Log(); !strings.Contains(log, "\nthe extension exited 0\n") {
			t.Errorf("the extension did not exit 0 at SHUTDOWN; the log says:\n%s", log)
		}
	})
	t.Run("faulty configuration", func(t *testing.T) {
		e := start(t, f(t, "ttl: 60\nparameterz: []\nsecrets:\n  - nmae: secret_info\n"))
		status, answer, err := e.Invoke(t.Context(), "{}")
		if err != nil || status == http.StatusOK {
			t.Errorf("invoke: got %d %q, %v, want a failed init", status, answer, err)
		}
		for _, want := range []string{"config.yaml:1: ", "config.yaml:2: ", "config.yaml:4: ", "Extension.InitError"} {
			if log := e.Log(); !strings.Contains(log, want) {
				t.Errorf("%q is not in the log:\n%s", want, log)
			}
		}
	})
	t.Run("AWS down at start", func(t *testing.T) {
		proxy.SetDown(true)
		defer proxy.SetDown(false)
		e := start(t, f(t, "", "CACHE_EXTENSION_INIT_STARTUP=true"))
		var answer struct{ Init []struct{ Status int } }
		if err := json.Unmarshal([]byte(invoke(t, e, "{}")), &answer); err != nil {
			t.Fatal(err)
		}
		for i, r := range answer.Init {
			if r.Status < 502 || r.Status > 504 {
				t.Errorf("read %d in the function's init code: got status %d, want 502 to 504", i, r.Status)
			}
		}
		proxy.SetDown(false)
		for url, want := range want {
			// A read may still be held off for a moment.
			status, body := get(t, url)
			for tries := 0; status != http.StatusOK && tries < 200; tries++ {
				<-time.After(50 * time.Millisecond)
				status, body = get(t, url)
			}
			if body != want {
				t.Errorf("GET %s after the outage: got %d %q, want 200 %q", url, status, body, want)
			}
		}
	})
}

// checkReads checks what the function in testdata read, in its init code and now.
func checkReads(t *testing.T, answer string) {
	t.Helper()
	type read struct {
		Status int
		Body   string
	}
	var got struct{ Init, Now []read }
	if err := json.Unmarshal([]byte(answer), &got); err != nil {
		t.Fatalf("%v in %s", err, answer)
	}
	wanted := []read{
		{http.StatusOK, want["/dynamodb?name=DynamoDbTable-pKey1-sKey1"]},
		{http.StatusOK, want["/parameters?name=CacheExtensions_Parameter1"]},
		{http.StatusOK, want["/parameters?name=/aws/reference/secretsmanager/secret_info"]},
		{http.StatusOK, want["/secrets?name=secret_info"]},
	}
	if !slices.Equal(got.Init, wanted) {
		t.Errorf("reads in the function's init code: got %v, want %v", got.Init, wanted)
	}
	if !slices.Equal(got.Now, wanted) {
		t.Errorf("reads in the handler: got %v, want %v", got.Now, wanted)
	}
}

// get reads from the extension.
func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	response, err := http.Get(emulator.Extension + url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// reporting returns a layer in which a script runs the extension of layer and writes what that exits with.
func reporting(t *testing.T, layer string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "extensions"), 0o755); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\n'" + filepath.Join(layer, "extensions", "cache-extension") + "'\ncode=$?\necho\necho the extension exited $code\n"
	write(t, filepath.Join(dir, "extensions", "cache-extension"), script, 0o755)
	return dir
}

func write(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}
