package source

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/source/awstest"
)

// planned is a configuration in which every way of grouping has its say.
const planned = `
parameters:
  - path: /flags/
  - {path: /flags/, as: flags}                # the same resource
  - {path: /flags/deep, ttl: 1s, region: us-west-2}
  - names: [p01, p02, p03, p04, p05, p06, p07, p08, p09, p10, p11]
  - {name: p01, as: again}                    # one resource, read once
  - {name: p01, as: anew, ttl: 1s}            # the same under a key of its own
  - {name: p01, as: pinned, version: 1}       # another resource
  - {name: p01, as: alone, region: us-west-2}
secrets:
  - names: [s1, s2]
  - {name: s1, as: current, stage: AWSCURRENT} # the same resource
  - {name: s1, as: old, stage: AWSPREVIOUS}
dynamodb:
  - {table: T, key: {id: 1}, as: one}
  - {table: T, key: {id: 1.0}, as: uno}       # the same item
  - {table: T, key: {id: 2}, as: two}
  - {table: T, key: {id: 3}, as: three, consistent: true}
  - {table: T, key: {id: 4}, as: four, fields: [b, a]}
  - {table: T, key: {id: 5}, as: five, fields: [a, b]}
  - {table: U, key: {id: 6}, as: six}
`

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("config.yaml", []byte(text), config.Options{
		Env: []string{"AWS_REGION=" + here, "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=not-a-secret"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestPlan(t *testing.T) {
	got := Plan(parse(t, planned))
	want := []Call{
		{"parameters", "GetParametersByPath", here, 1, []string{"/flags/", "flags"}},
		{"parameters", "GetParametersByPath", there, 1, []string{"/flags/deep"}},
		{"parameters", "GetParameters", here, 10, []string{
			"p01", "again", "anew", "p02", "p03", "p04", "p05", "p06", "p07", "p08", "p09", "p10"}},
		{"parameters", "GetParameters", here, 2, []string{"p11", "pinned"}},
		{"parameters", "GetParameter", there, 1, []string{"alone"}},
		{"secrets", "GetSecretValue", here, 1, []string{"s1", "current"}},
		{"secrets", "GetSecretValue", here, 1, []string{"s2"}},
		{"secrets", "GetSecretValue", here, 1, []string{"old"}},
		{"dynamodb", "BatchGetItem", here, 2, []string{"one", "uno", "two"}},
		{"dynamodb", "GetItem", here, 1, []string{"three"}},
		{"dynamodb", "BatchGetItem", here, 2, []string{"four", "five"}},
		{"dynamodb", "GetItem", here, 1, []string{"six"}},
	}
	if len(got) != len(want) {
		t.Errorf("Plan = %d calls, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("Plan, call %d = %+v, want %+v", i, got[i], want[i])
		}
	}
	if got := Plan(parse(t, "ttl: 5m")); len(got) != 0 {
		t.Errorf("Plan of no entries = %v, want none", got)
	}
}

// The calls of Plan are those that a prefetch makes.
func TestPlanIsWhatPrefetchDoes(t *testing.T) {
	many := new(strings.Builder)
	many.WriteString("dynamodb:\n")
	for i := range 2*maxKeys + 1 {
		fmt.Fprintf(many, "  - {table: T, key: {id: %d}}\n", i)
	}
	for _, text := range []string{planned, many.String()} {
		cfg := parse(t, text)
		fake := awstest.New(t)
		fill(fake, cfg)
		clients := testClients(t, cfg, fake)
		var all sync.WaitGroup
		for _, s := range []cache.Source{NewParameters(cfg, clients), NewSecrets(cfg, clients), NewItems(cfg, clients)} {
			var names []string
			for _, k := range s.Keys() {
				names = append(names, k.Name)
			}
			if len(names) > 0 {
				all.Go(func() { bodies(t, s, names...) })
			}
		}
		all.Wait()

		type call struct {
			operation, region string
			resources         int
		}
		order := func(a, b call) int {
			return cmp.Or(cmp.Compare(a.operation, b.operation), cmp.Compare(a.region, b.region), cmp.Compare(a.resources, b.resources))
		}
		var got, want []call
		for _, c := range Plan(cfg) {
			got = append(got, call{c.Operation, c.Region, c.Resources})
		}
		for _, c := range fake.Calls() {
			want = append(want, call{c.Op, c.Region, len(c.Names)})
		}
		slices.SortFunc(got, order)
		slices.SortFunc(want, order)
		equal(t, "Plan, against the calls of a prefetch,", got, want)
	}
}

// The calls of OnDemand are those that readers of open names make.
func TestOnDemandIsWhatReadersDo(t *testing.T) {
	cfg := parse(t, `
parameters:
  - {name: "/tenants/{tenant}/plan", region: us-west-2}
  - name: /tenants/house/plan
secrets:
  - {name: "tenant/{tenant}/db"}
dynamodb:
  - {table: T, key: {id: "{id}"}, as: "t/{id}"}
`)
	fake := awstest.New(t)
	fake.PutParameter(there, "/tenants/acme/plan", awstest.Parameter{Value: "v"})
	fake.PutSecret(here, "tenant/acme/db", awstest.Secret{Text: "v"})
	fake.CreateTable(here, "T", awstest.KeyAttr{Name: "id", Type: "S"}, awstest.KeyAttr{})
	fake.PutItem(here, "T", `{"id": {"S": "acme"}}`)
	clients := testClients(t, cfg, fake)
	bodies(t, NewParameters(cfg, clients), "/tenants/acme/plan")
	bodies(t, NewSecrets(cfg, clients), "tenant/acme/db")
	bodies(t, NewItems(cfg, clients), "t/acme")

	got := OnDemand(cfg)
	want := []Call{
		{"parameters", "GetParameter", there, 1, []string{"/tenants/{tenant}/plan"}},
		{"secrets", "GetSecretValue", here, 1, []string{"tenant/{tenant}/db"}},
		{"dynamodb", "GetItem", here, 1, []string{"t/{id}"}},
	}
	equal(t, "OnDemand", got, want)
	var made []string
	for _, c := range fake.Calls() {
		made = append(made, c.Op+" "+c.Region)
	}
	var said []string
	for _, c := range got {
		said = append(said, c.Operation+" "+c.Region)
	}
	equal(t, "calls of readers", made, said)
	if got := Plan(cfg); len(got) != 1 || !slices.Equal(got[0].Names, []string{"/tenants/house/plan"}) {
		t.Errorf("Plan = %v, want one call for /tenants/house/plan", got)
	}
}

// fill makes what cfg declares.
func fill(fake *awstest.Fake, cfg *config.Config) {
	for _, p := range cfg.Parameters {
		name := p.ID
		if p.Path != "" {
			name = below(p.Path) + "leaf"
		}
		fake.PutParameter(p.Region, name, awstest.Parameter{Value: "v"})
	}
	for _, s := range cfg.Secrets {
		fake.PutSecret(s.Region, s.ID, awstest.Secret{Text: "v"})
		fake.PutSecret(s.Region, s.ID, awstest.Secret{Text: "w"})
	}
	for _, table := range []string{"T", "U"} {
		fake.CreateTable(here, table, awstest.KeyAttr{Name: "id", Type: "N"}, awstest.KeyAttr{})
	}
	for _, it := range cfg.Items {
		fake.PutItem(it.Region, it.Table, fmt.Sprintf(`{"id": {"N": %q}, "a": {"S": "v"}}`, it.Hash.Value))
	}
}
