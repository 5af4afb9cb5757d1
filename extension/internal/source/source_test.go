package source

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/source/awstest"
)

const (
	here  = "eu-west-1"
	there = "us-west-2"
)

func testConfig() *config.Config {
	return &config.Config{
		Timeout: 2 * time.Second,
		AWS:     config.AWS{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "not-a-secret", SessionToken: "session", MaxAttempts: 3},
	}
}

func testClients(t *testing.T, cfg *config.Config, fake *awstest.Fake) *Clients {
	t.Helper()
	clients := NewClients(cfg, Options{HTTPClient: fake})
	return clients
}

// parameters makes a source of the given entries. A line is the position of an entry, a region is here unless set.
func parameters(t *testing.T, fake *awstest.Fake, entries ...config.Parameter) *Parameters {
	t.Helper()
	cfg := testConfig()
	for i, e := range entries {
		cfg.Parameters = append(cfg.Parameters, e)
		complement(&cfg.Parameters[i].Entry, i)
	}
	return NewParameters(cfg, testClients(t, cfg, fake))
}

func secrets(t *testing.T, fake *awstest.Fake, entries ...config.Secret) *Secrets {
	t.Helper()
	cfg := testConfig()
	for i, e := range entries {
		cfg.Secrets = append(cfg.Secrets, e)
		complement(&cfg.Secrets[i].Entry, i)
	}
	return NewSecrets(cfg, testClients(t, cfg, fake))
}

func items(t *testing.T, fake *awstest.Fake, entries ...config.Item) *Items {
	t.Helper()
	cfg := testConfig()
	for i, e := range entries {
		cfg.Items = append(cfg.Items, e)
		complement(&cfg.Items[i].Entry, i)
	}
	return NewItems(cfg, testClients(t, cfg, fake))
}

func complement(e *config.Entry, i int) {
	e.Line = i + 1
	if e.Region == "" {
		e.Region = here
	}
}

// parameter1 is an entry for a parameter, its name split from its selector.
func parameter1(name string) config.Parameter {
	id, selector, _ := strings.Cut(name, ":")
	return config.Parameter{Entry: config.Entry{Name: name}, ID: id, Selector: selector}
}

func secret1(name string) config.Secret {
	return config.Secret{Entry: config.Entry{Name: name}, ID: name}
}

func text(name, value string) config.KeyPart {
	return config.KeyPart{Name: name, Type: "S", Value: value}
}

type outcome struct {
	value *cache.Value
	err   error
}

// fetch runs Fetch and returns what was put, which must be each name once.
func fetch(t *testing.T, ctx context.Context, s cache.Source, names ...string) map[string]outcome {
	t.Helper()
	var mu sync.Mutex
	got := make(map[string]outcome)
	s.Fetch(ctx, names, func(name string, v *cache.Value, err error) {
		mu.Lock()
		defer mu.Unlock()
		if _, ok := got[name]; ok {
			t.Errorf("Fetch put %q twice", name)
		}
		if (v == nil) == (err == nil) {
			t.Errorf("Fetch put %q with value %v and error %v, want one of them", name, v, err)
		}
		got[name] = outcome{v, err}
	})
	for _, name := range names {
		if _, ok := got[name]; !ok {
			t.Errorf("Fetch did not put %q", name)
		}
	}
	return got
}

// bodies is fetch where all must succeed.
func bodies(t *testing.T, s cache.Source, names ...string) map[string]string {
	t.Helper()
	got := make(map[string]string)
	for name, o := range fetch(t, t.Context(), s, names...) {
		if o.err != nil {
			t.Errorf("Fetch %q: %v", name, o.err)
			continue
		}
		got[name] = string(o.value.Body)
	}
	return got
}

func equal(t *testing.T, call string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s = %v, want %v", call, got, want)
	}
}

func wantCalls(t *testing.T, fake *awstest.Fake, want map[string]int) {
	t.Helper()
	got := make(map[string]int)
	for _, c := range fake.Calls() {
		got[c.Op]++
	}
	equal(t, "calls", got, want)
}

func wantClass(t *testing.T, name string, err, want error) {
	t.Helper()
	for _, class := range []error{cache.ErrMissing, cache.ErrDenied, cache.ErrThrottled, cache.ErrTimeout} {
		if errors.Is(err, class) != (class == want) {
			t.Errorf("%s: error %v is %v: %t, want %t", name, err, class, errors.Is(err, class), class == want)
		}
	}
	if err == nil {
		t.Errorf("%s: no error", name)
	}
}

func TestSources(t *testing.T) {
	for _, s := range []cache.Source{&Parameters{}, &Secrets{}, &Items{}} {
		if keys := s.Keys(); len(keys) != 0 {
			t.Errorf("%T without entries has keys %v", s, keys)
		}
	}
}

func TestFind(t *testing.T) {
	tree := func(path, as string) config.Parameter {
		return config.Parameter{Entry: config.Entry{Name: as}, Path: path}
	}
	explicit := parameter1("/app/prod/explicit")
	s := parameters(t, awstest.New(t), tree("/app/", "/app/"), tree("/app/prod", "renamed"), explicit, parameter1("/app"))
	tests := []struct{ name, input, key, member string }{
		{"a path as written", "/app/", "/app/", ""},
		{"below a path", "/app/dev/x", "/app/", "dev/x"},
		{"below the longest path", "/app/prod/x", "renamed", "x"},
		{"the new name of a path", "renamed", "renamed", ""},
		{"below the new name of a path", "renamed/x", "", ""},
		{"the old name of a path, below another", "/app/prod", "/app/", "prod"},
		{"an entry of its own below a path", "/app/prod/explicit", "/app/prod/explicit", ""},
		{"an entry that begins like a path", "/app", "/app", ""},
		{"a path and nothing below it", "/app/prod/", "/app/", "prod/"},
		{"a name that begins like a path", "/apples", "", ""},
		{"nothing", "", "", ""},
	}
	for _, tt := range tests {
		key, member, ok := s.Find(tt.input)
		name := ""
		if ok {
			name = key.Name
		}
		if name != tt.key || member != tt.member {
			t.Errorf("%s: Find(%q) = %q, %q, %t, want %q, %q", tt.name, tt.input, name, member, ok, tt.key, tt.member)
		}
	}
}

func TestKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		fake.PutParameter(here, "shared", awstest.Parameter{Value: "one"})
		shared := func(name string, ttl time.Duration, required bool) config.Parameter {
			return config.Parameter{Entry: config.Entry{Name: name, TTL: ttl, StaleIfError: time.Hour, Required: required}, ID: "shared"}
		}
		path := config.Parameter{Entry: config.Entry{Name: "/p/"}, Path: "/p/"}
		s := parameters(t, fake, shared("a", time.Minute, false), shared("b", time.Minute, true), shared("c", time.Second, false), path)

		want := []cache.Key{
			{Name: "a", Line: 1, TTL: time.Minute, StaleIfError: time.Hour, Timeout: 2 * time.Second, Required: true},
			{Name: "c", Line: 3, TTL: time.Second, StaleIfError: time.Hour, Timeout: 2 * time.Second},
			{Name: "/p/", Line: 4, Timeout: 20 * time.Second},
		}
		var got []cache.Key
		for _, k := range s.Keys() {
			k := *k
			k.Identity = "" // see TestIdentity
			got = append(got, k)
		}
		equal(t, "Keys()", got, want)
		a, _, _ := s.Find("a")
		if b, _, _ := s.Find("b"); a != b {
			t.Errorf("Find(a) and Find(b) = %p and %p, want one key", a, b)
		}

		equal(t, "bodies", bodies(t, s, "a", "b", "c"), map[string]string{"a": "one", "b": "one", "c": "one"})
		wantCalls(t, fake, map[string]int{"GetParameter": 1})
	})
}

func TestUndeclared(t *testing.T) {
	fake := awstest.New(t)
	got := fetch(t, t.Context(), secrets(t, fake, secret1("a")), "private")
	wantClass(t, "an undeclared name", got["private"].err, nil)
	if strings.Contains(got["private"].err.Error(), "private") {
		t.Errorf("error %q has the name of who asked", got["private"].err)
	}
	wantCalls(t, fake, map[string]int{})
}

func TestPrefetchRoundTrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		fake.Latency(50 * time.Millisecond)
		fake.CreateTable(here, "table", awstest.KeyAttr{Name: "id", Type: "S"}, awstest.KeyAttr{})
		cfg := testConfig()
		for i := range 20 {
			name := fmt.Sprintf("n%d", i)
			e := config.Entry{Name: name, Line: i, Region: here}
			cfg.Parameters = append(cfg.Parameters, config.Parameter{Entry: e, ID: name})
			cfg.Secrets = append(cfg.Secrets, config.Secret{Entry: e, ID: name})
			cfg.Items = append(cfg.Items, config.Item{Entry: e, Table: "table", Hash: text("id", name)})
			fake.PutParameter(here, name, awstest.Parameter{Value: name})
			fake.PutSecret(here, name, awstest.Secret{Text: name})
			fake.PutItem(here, "table", fmt.Sprintf(`{"id": {"S": %q}}`, name))
		}
		clients := testClients(t, cfg, fake)
		start := time.Now()
		var all sync.WaitGroup
		for _, s := range []cache.Source{NewParameters(cfg, clients), NewSecrets(cfg, clients), NewItems(cfg, clients)} {
			all.Go(func() {
				var names []string
				for _, k := range s.Keys() {
					names = append(names, k.Name)
				}
				if got := bodies(t, s, names...); len(got) != 20 {
					t.Errorf("%T: %d values, want 20", s, len(got))
				}
			})
		}
		all.Wait()
		if took := time.Since(start); took > 4*50*time.Millisecond {
			t.Errorf("prefetch took %v, want four round trips of 50ms at most", took)
		}
		wantCalls(t, fake, map[string]int{"GetParameters": 2, "GetSecretValue": 20, "BatchGetItem": 1})
		if got := fake.MaxParallel(); got != maxCalls {
			t.Errorf("%d calls at a time, want %d", got, maxCalls)
		}
	})
}

func TestReaderDoesNotQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		fake.Latency(time.Second)
		var entries []config.Secret
		var names []string
		for i := range 25 {
			name := fmt.Sprintf("n%d", i)
			fake.PutSecret(here, name, awstest.Secret{Text: name})
			entries = append(entries, secret1(name))
			names = append(names, name)
		}
		s := secrets(t, fake, entries...)
		start := time.Now()
		var all sync.WaitGroup
		all.Go(func() {
			// The third round waits for two seconds before it begins. That is no part of its timeout, two seconds as well.
			bodies(t, s, names[1:]...)
		})
		synctest.Wait()
		bodies(t, s, names[0])
		if took := time.Since(start); took != time.Second {
			t.Errorf("a reader's fetch took %v, want 1s", took)
		}
		all.Wait()

		ctx, cancel := context.WithTimeout(Limited(t.Context()), 1500*time.Millisecond)
		defer cancel()
		late := 0
		for name, o := range fetch(t, ctx, s, names...) {
			if o.err != nil {
				wantClass(t, name, o.err, cache.ErrTimeout)
				late++
			}
		}
		if late != 25-maxCalls {
			t.Errorf("%d names late, want %d", late, 25-maxCalls)
		}
	})
}
