package source

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/source/awstest"
)

// patterned is a configuration with a pattern of each kind, each with something declared that it also stands for.
const patterned = `
ttl: 2m
stale_if_error: 3h
parameters:
  - name: /tenants/house/plan
  - {name: "/tenants/{tenant}/plan", ttl: 1m}
  - {name: "/other/{id}:3", as: "third/{id}", region: us-west-2}
  - {path: /flags/}
secrets:
  - name: tenant/{tenant}/db
  - {name: "{region}-{name}", as: "secret/{region}/{name}", stage: AWSPREVIOUS}
dynamodb:
  - {table: Permissions, key: {id: "{id}"}, as: "permission/{id}"}
  - {table: Permissions, key: {id: house}, as: permission/house}
  - table: Numbers
    hashkey: n
    hashkeytype: N
    hashkeyvalue: "{n}"
    as: "number/{n}"
  - table: Pairs
    key: {user: "u#{user}", at: "{day}T{hour}"}
    as: "pair/{user}/{day}/{hour}"
    fields: [b]
    consistent: true
`

// sources makes a source of each kind.
func sources(t *testing.T, fake *awstest.Fake, text string) map[string]cache.Source {
	t.Helper()
	cfg := parse(t, text)
	clients := testClients(t, cfg, fake)
	return map[string]cache.Source{
		"parameters": NewParameters(cfg, clients),
		"secrets":    NewSecrets(cfg, clients),
		"dynamodb":   NewItems(cfg, clients),
	}
}

func TestOpen(t *testing.T) {
	srcs := sources(t, awstest.New(t), patterned)
	for _, tt := range []struct {
		kind, input string
		line        int // 0 where callers may not read the name
	}{
		{"parameters", "/tenants/42/plan", 6},
		{"parameters", "third/x", 7},
		{"parameters", "/tenants//plan", 0},
		{"parameters", "/tenants/a/b/plan", 0},
		{"parameters", "/tenants/a:3/plan", 0}, // would choose a version
		{"parameters", "third/x:4", 0},
		{"parameters", "tenants/42/plan", 0},
		{"parameters", "permission/42", 0},
		{"secrets", "tenant/a/db", 10},
		{"secrets", "secret/eu/db", 11},
		{"secrets", "secret/arn:aws:secretsmanager:eu-west-1:111122223333:secret:x/y", 0}, // would choose an account
		{"dynamodb", "permission/42", 13},
		{"dynamodb", "permission/a b", 0},
		{"dynamodb", "number/42", 15},
		{"dynamodb", "number/-1.5", 15},
		{"dynamodb", "number/042", 0},
		{"dynamodb", "number/+42", 0},
		{"dynamodb", "number/42.0", 0},
		{"dynamodb", "number/4.2e1", 0},
		{"dynamodb", "number/x", 0},
		{"dynamodb", "pair/a/2024-01-01/12", 20},
	} {
		if _, _, ok := srcs[tt.kind].Find(tt.input); ok {
			t.Errorf("%s: Find(%q) knows it, want only what is declared", tt.kind, tt.input)
		}
		key, ok := srcs[tt.kind].Open(tt.input)
		switch {
		case ok != (tt.line > 0):
			t.Errorf("%s: Open(%q) = %v, want %v", tt.kind, tt.input, ok, !ok)
		case !ok:
		case key.Name != tt.input || key.Line != tt.line || key.Timeout != 2*time.Second || key.StaleIfError != 3*time.Hour || key.Identity == "":
			t.Errorf("%s: Open(%q) = %+v, want a key of that name, with the settings of line %d", tt.kind, tt.input, key, tt.line)
		}
	}
	if key, _ := srcs["parameters"].Open("/tenants/42/plan"); key.TTL != time.Minute {
		t.Errorf("TTL of an open key = %v, want 1m, its entry's", key.TTL)
	}
	for kind, s := range srcs {
		if open := slices.ContainsFunc(s.Keys(), func(k *cache.Key) bool { return k.Open }); open {
			t.Errorf("%s: Keys() has open keys, want only what is declared", kind)
		}
	}
}

func TestFetchOpenNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		fake.PutParameter(here, "/tenants/42/plan", awstest.Parameter{Value: "gold"})
		fake.PutParameter(here, "/tenants/house/plan", awstest.Parameter{Value: "free"})
		fake.PutSecret(here, "tenant/a/db", awstest.Secret{Text: "hush"})
		fake.CreateTable(here, "Permissions", awstest.KeyAttr{Name: "id", Type: "S"}, awstest.KeyAttr{})
		fake.PutItem(here, "Permissions", `{"id":{"S":"42"},"may":{"S":"all"}}`)
		fake.CreateTable(here, "Numbers", awstest.KeyAttr{Name: "n", Type: "N"}, awstest.KeyAttr{})
		fake.PutItem(here, "Numbers", `{"n":{"N":"-1.5"}}`)
		fake.CreateTable(here, "Pairs", awstest.KeyAttr{Name: "user", Type: "S"}, awstest.KeyAttr{Name: "at", Type: "S"})
		fake.PutItem(here, "Pairs", `{"user":{"S":"u#a"},"at":{"S":"monT12"},"b":{"S":"x"},"c":{"S":"y"}}`)
		srcs := sources(t, fake, patterned)

		equal(t, "parameters", bodies(t, srcs["parameters"], "/tenants/42/plan", "/tenants/house/plan"),
			map[string]string{"/tenants/42/plan": "gold", "/tenants/house/plan": "free"})
		equal(t, "secrets", bodies(t, srcs["secrets"], "tenant/a/db"), map[string]string{"tenant/a/db": "hush"})
		equal(t, "dynamodb", bodies(t, srcs["dynamodb"], "permission/42", "number/-1.5", "pair/a/mon/12"), map[string]string{
			"permission/42": `{"id":"42","may":"all"}`, "number/-1.5": `{"n":-1.5}`, "pair/a/mon/12": `{"b":"x"}`,
		})
		if err := fetch(t, t.Context(), srcs["dynamodb"], "permission/43")["permission/43"].err; !errors.Is(err, cache.ErrMissing) {
			t.Errorf("fetching an open name without an item = %v, want %v", err, cache.ErrMissing)
		}
	})
}

// An open name of a resource that is asked for under another name as well: DynamoDB refuses a key that comes twice.
func TestOpenNamesOfOneResourceAreReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		fake.CreateTable(here, "T", awstest.KeyAttr{Name: "id", Type: "S"}, awstest.KeyAttr{})
		fake.PutItem(here, "T", `{"id":{"S":"1"}}`)
		fake.PutItem(here, "T", `{"id":{"S":"2"}}`)
		src := sources(t, fake, `
dynamodb:
  - {table: T, key: {id: "1"}, as: one}
  - {table: T, key: {id: "{id}"}, as: "a/{id}"}
  - {table: T, key: {id: "{id}"}, as: "b/{id}"}
`)["dynamodb"]
		one, two := `{"id":"1"}`, `{"id":"2"}`
		equal(t, "bodies", bodies(t, src, "one", "a/1", "b/1", "a/2", "b/2"),
			map[string]string{"one": one, "a/1": one, "b/1": one, "a/2": two, "b/2": two})
		wantCalls(t, fake, map[string]int{"BatchGetItem": 1})
	})
}

// TestIdentity: names of one resource read in one way have one identity, declared or not, and others have another.
func TestIdentity(t *testing.T) {
	srcs := sources(t, awstest.New(t), `
parameters:
  - name: /t/1/plan
  - {name: /t/1/plan, as: again, ttl: 1s}
  - {name: /t/1/plan, as: pinned, version: 1}
  - {name: /t/1/plan, as: alone, region: us-west-2}
  - {name: "/t/{t}/plan", as: "plan/{t}"}
  - {path: /t/, as: tree}
secrets:
  - name: s
  - {name: s, as: old, stage: AWSPREVIOUS}
  - {name: s, as: current, stage: AWSCURRENT}
  - {name: "{s}", as: "any/{s}"}
dynamodb:
  - {table: T, key: {id: "1"}, as: one}
  - {table: T, key: {id: 1}, as: number}
  - {table: T, key: {id: 1.0}, as: uno}
  - {table: T, key: {id: "{id}"}, as: "any/{id}"}
  - {table: T, key: {id: "{id}"}, as: "some/{id}", fields: [a]}
  - {table: T, key: {id: "{id}"}, as: "sure/{id}", consistent: true}
`)
	for _, tt := range []struct {
		kind, names string // names of one identity, and after a bar one of another each
	}{
		{"parameters", "/t/1/plan again plan/1 | pinned alone plan/2 tree"},
		{"secrets", "s current any/s | old any/t"},
		{"dynamodb", "one any/1 | number any/2 some/1 sure/1 some/2"},
		{"dynamodb", "number uno | one"},
	} {
		same, others, _ := strings.Cut(tt.names, " | ")
		first := ""
		seen := make(map[string]string)
		for _, name := range strings.Fields(same) {
			id := identity(t, srcs[tt.kind], name)
			if first == "" {
				first = id
				seen[id] = name
			}
			if id != first {
				t.Errorf("%s: identity of %q = %q, want %q", tt.kind, name, id, first)
			}
		}
		for _, name := range strings.Fields(others) {
			id := identity(t, srcs[tt.kind], name)
			if seen[id] != "" {
				t.Errorf("%s: %q and %q have the identity %q, want one each", tt.kind, seen[id], name, id)
			}
			seen[id] = name
		}
	}
}

func identity(t *testing.T, s cache.Source, name string) string {
	t.Helper()
	key, _, ok := s.Find(name)
	if !ok {
		key, ok = s.Open(name)
	}
	if !ok {
		t.Fatalf("%q cannot be read", name)
	}
	return key.Identity
}

func TestBrief(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		fake.Fail(awstest.Match{}, awstest.Fault{Code: "AccessDeniedException", Status: 400, Message: "no ssm:GetParameter on /tenants/42/plan"})
		src := sources(t, fake, patterned)["parameters"]
		err := fetch(t, t.Context(), src, "/tenants/42/plan")["/tenants/42/plan"].err
		if got := Brief(err); !strings.HasPrefix(got, "AccessDeniedException (HTTP 400, request ") || strings.Contains(got, "42/plan") {
			t.Errorf("Brief(%v) = %q, want it without what AWS wrote", err, got)
		}
		if err := errors.New("else"); Brief(err) != "else" {
			t.Errorf("Brief(%v) = %q, want all of it", err, Brief(err))
		}
		if err := errNoItem(); Brief(err) != err.Error() {
			t.Errorf("Brief(%v) = %q, want all of it", err, Brief(err))
		}
	})
}
