package cloud

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestProxyCountsAndDrops(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	proxy, err := StartProxy(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	client := NewClient(proxy.URL)
	defer client.Close()
	for _, target := range []string{"AmazonSSM.GetParameter", "AmazonSSM.GetParameter", "secretsmanager.GetSecretValue"} {
		if err := client.Call(t.Context(), target, nil); err != nil {
			t.Fatal(err)
		}
	}
	proxy.SetDown(true)
	if err := client.Call(t.Context(), "AmazonSSM.GetParameters", nil); err == nil {
		t.Error("a call while the proxy is down: got an answer")
	}
	proxy.SetDown(false)
	if err := client.Call(t.Context(), "AmazonSSM.GetParameters", nil); err != nil {
		t.Errorf("a call when the proxy is up again: %v", err)
	}
	if got, want := proxy.Calls(), map[string]int{"GetParameter": 2, "GetSecretValue": 1, "GetParameters": 2}; !maps.Equal(got, want) {
		t.Errorf("calls: got %v, want %v", got, want)
	}
	if got := proxy.Calls(); len(got) != 0 {
		t.Errorf("calls since: got %v, want none", got)
	}
}

func TestSeedPutsWhatTheTemplateDeclares(t *testing.T) {
	got := make(map[string]map[string]any)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var input map[string]any
		if err := json.NewDecoder(r.Body).Decode(&input); err != nil {
			t.Error(err)
		}
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		got[operation] = input
	}))
	defer server.Close()
	if err := Seed(t.Context(), server.URL, "../../SAM/template.yaml"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ operation, field, want string }{
		{"CreateTable", "TableName", "DynamoDbTable"},
		{"PutItem", "TableName", "DynamoDbTable"},
		{"PutParameter", "Name", "CacheExtensions_Parameter1"},
		{"PutParameter", "Value", "MyParameter"},
		{"CreateSecret", "Name", "secret_info"},
		{"CreateSecret", "SecretString", "MySecret"},
	} {
		if got := got[tt.operation][tt.field]; got != tt.want {
			t.Errorf("%s of %s: got %v, want %s", tt.field, tt.operation, got, tt.want)
		}
	}
	if keys, ok := got["CreateTable"]["KeySchema"].([]any); !ok || len(keys) != 2 {
		t.Errorf("keys of the table: got %v, want two", keys)
	}
}
