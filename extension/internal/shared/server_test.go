package shared

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/shared/redistest"
)

const upstreamA = "value of id a"

func TestValueOfOneIsReadByTheOthers(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	up := newUpstream(t, plain("a"), plain("b"))
	one, _ := ours(t, Options{URL: srv.URL("", "")})
	wantRead(t, one.Source("parameters", up), "a", upstreamA)
	two, log := ours(t, Options{URL: srv.URL("", "")})
	before := time.Now()
	g := fetchAll(t, bound(t, ample), two.Source("parameters", up), "a", "b")
	if got, want := show(g["a"]), upstreamA+", shared"; got != want {
		t.Errorf("a is %q, want %q", got, want)
	}
	if at := g["a"].v.FetchedAt; at.After(before) || before.Sub(at) > time.Minute {
		t.Errorf("fetched at %v, want when the first one did, just before %v", at, before)
	}
	if got, want := show(g["b"]), "value of id b"; got != want {
		t.Errorf("b is %q, want %q", got, want)
	}
	if up.count("a") != 1 || up.count("b") != 1 {
		t.Errorf("a was fetched %d times, b %d times, want each once", up.count("a"), up.count("b"))
	}
	wantStats(t, two, Stats{Hits: 1, Misses: 1})
	if log.String() != "" {
		t.Errorf("it said %s", log)
	}
	// Another kind is another resource, and so is another prefix.
	wantRead(t, two.Source("dynamodb", up), "a", upstreamA)
	other, _ := ours(t, Options{URL: srv.URL("", ""), Prefix: "other/"})
	wantRead(t, other.Source("parameters", up), "a", upstreamA)
}

func TestEachFormOfValueComesBack(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	up := newUpstream(t, plain("empty"), plain("binary"), plain("tree"), plain("bare"))
	values := map[string]*cache.Value{
		"empty":  text(""),
		"binary": {Body: []byte("\x00\xff\r\n"), Binary: true},
		"tree":   {Body: []byte(`{"a":"1","b/c":""}`), Members: map[string]*cache.Value{"a": text("1"), "b/c": text("")}},
		"bare":   {Body: []byte(`{}`), Members: map[string]*cache.Value{}},
	}
	for name, v := range values {
		up.set(name, v, nil)
	}
	for _, key := range []func(context.Context) ([]byte, error){nil, fixed('k')} {
		o := Options{URL: srv.URL("", ""), Key: key}
		writer, _ := ours(t, o)
		reader, _ := ours(t, o)
		for name, want := range values {
			read(t, writer.Source("dynamodb", up), name)
			got := fetchAll(t, bound(t, ample), reader.Source("dynamodb", up), name)[name]
			if got.err != nil || !got.v.Shared || string(content(got.v, time.UnixMilli(0))) != string(content(want, time.UnixMilli(0))) {
				t.Errorf("%s came back as %+v, %v, want %+v", name, got.v, got.err, want)
			}
		}
	}
}

func TestWriteEndsAtTheHardLimit(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	never := plain("never")
	never.TTL, never.StaleIfError = 0, 0
	up := newUpstream(t, plain("a"), never)
	tier, _ := ours(t, Options{URL: srv.URL("", "")})
	s := tier.Source("parameters", up)
	fetchAll(t, bound(t, ample), s, "a", "never")
	if got := srv.CLI("keys", "*"); got != "test/parameters:id a" {
		t.Errorf("the server has %q, want a alone and no lease", got)
	}
	if got := srv.CLI("ttl", "test/parameters:id a"); got != "3660" && got != "3659" {
		t.Errorf("it is kept for %s s, want the TTL and stale_if_error, 3660", got)
	}
}

func TestTTLOf0AsksAWSAndFallsBack(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	key := plain("a")
	key.TTL = 0
	up := newUpstream(t, key)
	tier, _ := ours(t, Options{URL: srv.URL("", "")})
	s := tier.Source("parameters", up)
	wantRead(t, s, "a", upstreamA)
	wantRead(t, s, "a", upstreamA)
	up.set("a", nil, cache.ErrThrottled)
	wantRead(t, s, "a", upstreamA+", shared, throttled by AWS")
	if got := up.count("a"); got != 3 {
		t.Errorf("AWS was asked %d times, want each time, 3", got)
	}
}

func TestOldValueStandsInForAFailure(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	clock := &clock{now: cache.Clock()}
	up := newUpstream(t, plain("a"))
	tier, _ := ours(t, Options{URL: srv.URL("", ""), Clock: clock.Now})
	s := tier.Source("parameters", up)
	began := clock.Now().Wall
	wantRead(t, s, "a", upstreamA)

	clock.wait(2 * time.Minute)
	up.set("a", nil, cache.ErrThrottled)
	g := fetchAll(t, bound(t, ample), s, "a")["a"]
	if got, want := show(g), upstreamA+", shared, throttled by AWS"; got != want {
		t.Errorf("past its TTL it is %q, want %q", got, want)
	}
	if d := g.v.FetchedAt.Sub(began); d < -time.Millisecond || d > 10*time.Second {
		t.Errorf("it was fetched %v after the start, want at once", d)
	}
	clock.wait(time.Hour) // longer than stale_if_error; the server's clock is another
	wantRead(t, s, "a", "throttled by AWS")

	up.set("a", text("new"), nil)
	wantRead(t, s, "a", "new")
	wantRead(t, s, "a", "new, shared")
}

func TestRefusalDropsTheValue(t *testing.T) {
	for _, refusal := range []error{cache.ErrMissing, cache.ErrDenied} {
		srv := redistest.Start(t, redistest.Options{})
		clock := &clock{now: cache.Clock()}
		up := newUpstream(t, plain("a"))
		tier, _ := ours(t, Options{URL: srv.URL("", ""), Clock: clock.Now})
		s := tier.Source("parameters", up)
		wantRead(t, s, "a", upstreamA)
		clock.wait(2 * time.Minute)
		up.set("a", nil, refusal)
		wantRead(t, s, "a", refusal.Error())
		if got := srv.CLI("exists", "test/parameters:id a"); got != "0" {
			t.Errorf("%v: the server still has the value", refusal)
		}
	}
}

func TestRefreshGoesThrough(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	up := newUpstream(t, plain("a"))
	tier, _ := ours(t, Options{URL: srv.URL("", "")})
	c := cache.New(tier.Source("parameters", up), cache.Options{})
	fetchAll(t, bound(t, ample), tier.Source("parameters", up), "a")
	up.set("a", text("new"), nil)
	for _, want := range []struct {
		refresh bool
		body    string
		shared  bool
	}{{false, upstreamA, true}, {true, "new", false}, {false, "new", false}} {
		a, err := c.Get(bound(t, ample), "a", want.refresh)
		if err != nil || string(a.Value.Body) != want.body || a.Shared != want.shared {
			t.Errorf("Get(a, %v) = %+v, %v, want %q, shared %v", want.refresh, a, err, want.body, want.shared)
		}
	}
	other, _ := ours(t, Options{URL: srv.URL("", "")})
	// Get ends when the value is in memory; the server has it a moment later.
	until(t, func() bool { return read(t, other.Source("parameters", up), "a") == "new, shared" })
}

func TestFiftyEnvironmentsMakeOneCall(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	const fleet, names = 50, 12
	var keys []*cache.Key
	var all []string
	for i := range names {
		keys, all = append(keys, plain(name(i))), append(all, name(i))
	}
	up := newUpstream(t, keys...)
	// AWS answers when every environment but the one that asks is seen to wait for it.
	tiers := make([]*Tier, fleet)
	for i := range tiers {
		tiers[i], _ = ours(t, Options{URL: srv.URL("", "")})
	}
	up.hold = func(ctx context.Context) {
		until(t, func() bool {
			n := uint64(0)
			for _, tier := range tiers {
				n += tier.Stats().Waits
			}
			return n >= (fleet-1)*names || ctx.Err() != nil
		})
	}
	var wg sync.WaitGroup
	ctx := bound(t, 60*time.Second) // of which a lease takes a second
	for _, tier := range tiers {
		wg.Go(func() {
			for name, g := range fetchAll(t, ctx, tier.Source("parameters", up), all...) {
				if g.err != nil || string(g.v.Body) != "value of id "+name {
					t.Errorf("%s is %s", name, show(g))
				}
			}
		})
	}
	wg.Wait()
	for _, name := range all {
		if got := up.count(name); got != 1 {
			t.Errorf("%s was fetched %d times by %d environments, want once", name, got, fleet)
		}
	}
}

func TestDeadHolderIsFollowedByOne(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	up := newUpstream(t, plain("a"))
	const fleet = 10
	tiers := make([]*Tier, fleet)
	for i := range tiers {
		tiers[i], _ = ours(t, Options{URL: srv.URL("", "")})
	}
	srv.CLI("set", "test/lease:parameters:id a", rand.Text(), "px", "300")
	var wg sync.WaitGroup
	for _, tier := range tiers {
		wg.Go(func() { // 2 s of patience
			if g := fetchAll(t, bound(t, ample), tier.Source("parameters", up), "a")["a"]; g.err != nil || string(g.v.Body) != upstreamA {
				t.Errorf("a is %s", show(g))
			}
		})
	}
	wg.Wait()
	if got := up.count("a"); got != 1 {
		t.Errorf("after the lease of the dead AWS was asked %d times, want once", got)
	}
}

func TestPatienceEnds(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	up := newUpstream(t, plain("a"))
	tier, _ := ours(t, Options{URL: srv.URL("", "")})
	slow := rand.Text()
	srv.CLI("set", "test/lease:parameters:id a", slow)
	began := time.Now()
	if got := show(fetchAll(t, bound(t, 3*time.Second), tier.Source("parameters", up), "a")["a"]); got != upstreamA {
		t.Errorf("a is %q, want %q", got, upstreamA)
	}
	if took := time.Since(began); took < 900*time.Millisecond || took > 2*time.Second {
		t.Errorf("it took %v, want about a third of 3s", took)
	}
	if got := srv.CLI("get", "test/lease:parameters:id a"); got != slow {
		t.Errorf("the lease of another is %q now", got)
	}
	wantStats(t, tier, Stats{Misses: 1, Waits: 1})
}

// A holder whose lease ended before AWS answered leaves that of the next alone.
func TestLeaseOfAnotherIsLeftAlone(t *testing.T) {
	const lease = "test/lease:parameters:id a"
	for _, answer := range []error{nil, cache.ErrThrottled, cache.ErrMissing, cache.ErrDenied} {
		srv := redistest.Start(t, redistest.Options{})
		up := newUpstream(t, plain("a"))
		want := upstreamA
		if answer != nil {
			up.set("a", nil, answer)
			want = answer.Error()
		}
		up.hold = func(context.Context) { srv.CLI("set", lease, "another's") }
		tier, _ := ours(t, Options{URL: srv.URL("", "")})
		wantRead(t, tier.Source("parameters", up), "a", want)
		if got := srv.CLI("get", lease); got != "another's" {
			t.Errorf("after %q the lease of another is %q", want, got)
		}
	}
}

// What is at the key of a lease and no lease, which may be there for ever, is not waited for.
func TestLeaseOfNobodyIsNotWaitedFor(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	up := newUpstream(t, plain("a"), plain("b"))
	tier, _ := ours(t, Options{URL: srv.URL("", "")})
	srv.CLI("set", "test/lease:parameters:id a", "another program's")
	srv.CLI("rpush", "test/lease:parameters:id b", "x")
	for _, name := range []string{"a", "b"} {
		within(t, slack, func() { // 2 s of patience
			want := "value of id " + name
			if got := show(fetchAll(t, bound(t, 30*time.Second), tier.Source("parameters", up), name)[name]); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		})
	}
	wantStats(t, tier, Stats{Misses: 2, Waits: 2})
}

// Those who wait for what AWS has not, or may not give to its holder, do not wait for each other in turn.
func TestRefusedHolderSendsTheOthersAtOnce(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	holder, other := newUpstream(t, plain("a")), newUpstream(t, plain("a"))
	holder.set("a", nil, cache.ErrDenied)
	waiting := make(chan struct{})
	holder.hold = func(context.Context) { <-waiting }
	one, _ := ours(t, Options{URL: srv.URL("", "")})
	two, _ := ours(t, Options{URL: srv.URL("", "")})
	other.hold = func(context.Context) {
		if got := srv.CLI("get", "test/lease:parameters:id a"); got != nothingComes {
			t.Errorf("the lease is %q while the other asks AWS, want %q", got, nothingComes)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { wantRead(t, one.Source("parameters", holder), "a", cache.ErrDenied.Error()) })
	until(t, func() bool { return srv.CLI("exists", "test/lease:parameters:id a") == "1" })
	var told time.Time
	wg.Go(func() {
		ctx := bound(t, 30*time.Second) // 2 s of patience
		if got := show(fetchAll(t, ctx, two.Source("parameters", other), "a")["a"]); got != upstreamA {
			t.Errorf("the other reads %q, want %q", got, upstreamA)
		}
		if took := time.Since(told); took > goneFor*9/10 {
			t.Errorf("the other waited %v more, want a poll or two", took)
		}
	})
	until(t, func() bool { return two.Stats().Waits == 1 })
	told = time.Now()
	close(waiting)
	wg.Wait()
}

func TestNamesOfOneResourceAreOne(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	short := plain("b")
	short.Identity, short.TTL, short.StaleIfError = "id a", 10*time.Second, 0
	clock := &clock{now: cache.Clock()}
	up := newUpstream(t, plain("a"), short)
	tier, _ := ours(t, Options{URL: srv.URL("", ""), Clock: clock.Now})
	s := tier.Source("parameters", up)
	for _, names := range [][]string{{"b", "a"}, {"a", "b"}} { // the longer of the limits counts wherever it is
		srv.CLI("flushall")
		for name, g := range fetchAll(t, bound(t, ample), s, names...) {
			if got := show(g); got != upstreamA {
				t.Errorf("%s is %q, want %q", name, got, upstreamA)
			}
		}
		if got := srv.CLI("ttl", "test/parameters:id a"); got != "3660" && got != "3659" {
			t.Errorf("asked for as %q it is kept for %s s, want the longer limit, 3660", names, got)
		}
	}
	wantStats(t, tier, Stats{Misses: 2})
	clock.wait(20 * time.Second) // old for b
	up.set("b", text("newer"), nil)
	wantRead(t, s, "a", upstreamA+", shared")
	up.set("a", text("newer"), nil)
	for name, g := range fetchAll(t, bound(t, ample), s, "a", "b") {
		if got := show(g); got != "newer" {
			t.Errorf("together %s is %q, want one that is new enough for b", name, got)
		}
	}
	wantRead(t, s, "a", "newer, shared")
}

func TestValueThatIsOldAlreadyIsNotWritten(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	up := newUpstream(t, plain("a"))
	tier, log := ours(t, Options{URL: srv.URL("", "")})
	s := tier.Source("parameters", up)
	read(t, s, "a")
	old := text("old")
	old.FetchedAt = time.Now().Add(-3 * time.Hour)
	up.set("a", old, nil)
	fetchAll(t, refreshing(t), s, "a")
	if got := srv.CLI("exists", "test/parameters:id a"); got != "0" || log.String() != "" {
		t.Errorf("the server has the value that was there before, or one past its limit; it said %s", log)
	}
}

func TestValueThatIsTooLargeIsNotShared(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	up := newUpstream(t, plain("a"))
	tier, log := ours(t, Options{URL: srv.URL("", "")})
	s := tier.Source("parameters", up)
	read(t, s, "a")
	up.set("a", text(strings.Repeat("x", maxRecord)), nil)
	fetchAll(t, refreshing(t), s, "a")
	if got := srv.CLI("dbsize"); got != "0" || log.String() != "" {
		t.Errorf("the server has %s keys, want neither the value nor the one before; it said %s", got, log)
	}
}

// refreshing is the context of a Fetch that refresh=true asked for, as the cache makes it.
func refreshing(t *testing.T) (ctx context.Context) {
	up := newUpstream(t, plain("a"))
	up.hold = func(c context.Context) { ctx = c }
	if _, err := cache.New(up, cache.Options{}).Get(bound(t, time.Second), "a", true); err != nil || !cache.Refreshing(ctx) {
		t.Fatalf("Get with refresh: %v", err)
	}
	return context.WithoutCancel(ctx)
}

func TestSecretsAreSharedSealedAlone(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	up := newUpstream(t, plain("secret-name"), plain("key-name"))
	open, _ := ours(t, Options{URL: srv.URL("", "")})
	wantRead(t, open.Source("secrets", up), "secret-name", "value of id secret-name")
	if got := srv.CLI("dbsize"); got != "0" {
		t.Errorf("without a key the server got %s secrets", got)
	}
	// The key is read through the cache above the tier, in one fetch with what it seals.
	var c *cache.Cache
	up.set("key-name", text("QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="), nil)
	sealed, _ := ours(t, Options{URL: srv.URL("", ""), KeySecret: "key-name", Key: func(ctx context.Context) ([]byte, error) {
		a, err := c.Get(ctx, "key-name", false)
		if err != nil {
			return nil, err
		}
		return DecodeKey(string(a.Value.Body))
	}})
	c = cache.New(sealed.Source("secrets", up), cache.Options{})
	if failed := c.Warm(bound(t, ample), []string{"secret-name", "key-name"}); len(failed) > 0 {
		t.Fatalf("Warm: %v", failed)
	}
	// Warm ends when the values are in memory; the server has them a moment later.
	until(t, func() bool { return srv.CLI("dbsize") == "1" })
	dump := srv.CLI("--no-raw", "keys", "*")
	dump += srv.CLI("--no-raw", "get", strings.Trim(strings.TrimPrefix(dump, "1) "), `"`))
	for _, part := range []string{"secret", "key-name", "value", "QUFB", "AAAA", "id "} {
		if strings.Contains(dump, part) {
			t.Errorf("the dump has %q in it: %s", part, dump)
		}
	}
	reader, log := ours(t, Options{URL: srv.URL("", ""), Key: fixed('A')})
	wantRead(t, reader.Source("secrets", up), "secret-name", "value of id secret-name, shared")

	// With another key nothing is found, names being hashed with it, too; nothing breaks.
	rotated, _ := ours(t, Options{URL: srv.URL("", ""), Key: fixed('B')})
	wantRead(t, rotated.Source("secrets", up), "secret-name", "value of id secret-name")
	wantRead(t, rotated.Source("secrets", up), "secret-name", "value of id secret-name, shared")
	if log.String() != "" {
		t.Errorf("it said %s", log)
	}
}

func TestKeyThatCannotBeReadCostsTheTier(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	up := newUpstream(t, plain("a"))
	for _, key := range []func(context.Context) ([]byte, error){
		func(context.Context) ([]byte, error) { return nil, cache.ErrDenied },
		func(context.Context) ([]byte, error) { return []byte("short"), nil },
		func(ctx context.Context) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() },
	} {
		tier, log := ours(t, Options{URL: srv.URL("", ""), Key: key})
		s := tier.Source("parameters", up)
		wantRead(t, s, "a", upstreamA)
		wantRead(t, s, "a", upstreamA)
		if got := log.count("its key could not be read"); got != 1 || strings.Contains(log.String(), "short") {
			t.Errorf("it said so %d times, want once: %s", got, log)
		}
	}
	if got := srv.CLI("dbsize"); got != "0" {
		t.Errorf("the server has %s keys, want none", got)
	}
}

func TestAnothersDataUnderOurKey(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	up := newUpstream(t, plain("a"), plain("b"))
	setup, _ := ours(t, Options{URL: srv.URL("", "")})
	read(t, setup.Source("parameters", up), "b")
	const key = "test/parameters:id a"
	for name, put := range map[string][]string{
		"text":               {"set", key, "hello"},
		"nothing":            {"set", key, ""},
		"another type":       {"rpush", key, "x", "y"},
		"another's record":   {"copy", "test/parameters:id b", key},
		"more than a record": {"setrange", key, "2000000", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			srv.CLI("del", key)
			srv.CLI(put...)
			tier, log := ours(t, Options{URL: srv.URL("", "")})
			s := tier.Source("parameters", up)
			wantRead(t, s, "a", upstreamA)
			wantRead(t, s, "a", upstreamA+", shared")
			wantStats(t, tier, Stats{Hits: 1, Misses: 1, Errors: 1})
			if got := log.count("that we did not write"); got != 1 || log.count("\n") != 1 || strings.Contains(log.String(), "hello") {
				t.Errorf("it said so %d times, want once and nothing else: %s", got, log)
			}
		})
	}
}

func TestRecordFromTheFuture(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	up := newUpstream(t, plain("a"))
	ahead, slightly := &clock{now: cache.Clock()}, &clock{now: cache.Clock()}
	ahead.wait(2 * time.Minute)
	slightly.wait(30 * time.Second)
	for _, c := range []struct {
		clock *clock
		want  string
	}{{ahead, upstreamA}, {slightly, upstreamA + ", shared"}} {
		srv.CLI("flushall")
		us, log := ours(t, Options{URL: srv.URL("", "")})
		them, _ := ours(t, Options{URL: srv.URL("", ""), Clock: c.clock.Now})
		wantRead(t, them.Source("parameters", up), "a", upstreamA)
		g := fetchAll(t, bound(t, ample), us.Source("parameters", up), "a")["a"]
		if got := show(g); got != c.want {
			t.Errorf("written by a clock that is ahead: %q, want %q", got, c.want)
		}
		if got := log.count("a value from the future") == 1; got == g.v.Shared || log.count("\n") > 1 {
			t.Errorf("with %s it said %s", show(g), log)
		}
		if g.v.Shared && g.v.FetchedAt.After(time.Now()) {
			t.Errorf("it was fetched at %v, which is in the future", g.v.FetchedAt)
		}
	}
}

func TestUserAndTLS(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{TLS: true, Users: []string{
		"default off",
		"app on >p@ss/word ~test/* +get +set +del +eval +select",
		"reader on >reader ~test/* +get",
		"elsewhere on >elsewhere ~other/* +@all",
	}})
	pem, err := os.ReadFile(srv.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	up := newUpstream(t, plain("a"))
	for range 2 { // what is written is what may be read
		tier, log := ours(t, Options{URL: srv.URL("app", "p%40ss%2Fword") + "/3", RootCAs: roots})
		read(t, tier.Source("parameters", up), "a")
		if log.String() != "" || up.count("a") != 1 {
			t.Fatalf("with user, TLS and database %d calls, want 1; it said %s", up.count("a"), log)
		}
	}
	tests := []struct {
		name, url string
		roots     *x509.CertPool
		want      string
	}{
		{"wrong password", srv.URL("app", "wrong"), roots, "WRONGPASS: user or password in shared.url are not those of the server"},
		{"no password", srv.URL("", ""), roots, "NOAUTH: user or password"},
		{"may not write", srv.URL("reader", "reader"), roots, "NOPERM: the user in shared.url needs the commands get, set, del and eval"},
		{"other keys", srv.URL("elsewhere", "elsewhere"), roots, "on the keys that begin with shared.prefix"},
		{"unknown authority", srv.URL("app", "p%40ss%2Fword"), nil, "certificate signed by unknown authority"},
		{"no TLS", strings.Replace(srv.URL("app", "p%40ss%2Fword"), "rediss", "redis", 1), nil, ""},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			tier, log := ours(t, Options{URL: c.url, RootCAs: c.roots})
			s := tier.Source("parameters", up)
			for range 3 {
				wantRead(t, s, "a", upstreamA)
			}
			if log.count("the shared tier failed") != 1 || log.count("\n") != 1 || !strings.Contains(log.String(), c.want) {
				t.Errorf("it said\n%swant once, with %q", log, c.want)
			}
			for _, secret := range []string{"p@ss", "p%40", "word@", "wrong@", "reader@"} {
				if strings.Contains(log.String(), secret) {
					t.Errorf("it said a password: %s", log)
				}
			}
			if got := tier.Stats(); got.Errors != 1 || !got.Open {
				t.Errorf("Stats() = %+v, want one error, and open", got)
			}
		})
	}
}

// A cluster of one shard has all keys, though it takes no command for two slots at once.
func TestClusterMode(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{Args: []string{"--cluster-enabled", "yes"}})
	up := newUpstream(t, plain("a"), plain("b"), plain("c"))
	lost, log := ours(t, Options{URL: srv.URL("", "")})
	wantRead(t, lost.Source("parameters", up), "a", upstreamA)
	if log.count("CLUSTERDOWN: it is one of several shards") != 1 {
		t.Errorf("a cluster that has no slots: it said %s", log)
	}
	srv.CLI("cluster", "addslotsrange", "0", "16383")
	until(t, func() bool { return strings.Contains(srv.CLI("cluster", "info"), "cluster_state:ok") })
	for _, want := range []bool{false, true} {
		tier, log := ours(t, Options{URL: srv.URL("", "")})
		for name, g := range fetchAll(t, bound(t, ample), tier.Source("parameters", up), "a", "b", "c") {
			if g.err != nil || g.v.Shared != want || log.String() != "" {
				t.Errorf("%s is %s, want it shared: %v; it said %s", name, show(g), want, log)
			}
		}
	}
}

// openSource takes any name that begins with open/.
type openSource struct{ *upstream }

func (o openSource) Open(name string) (*cache.Key, bool) {
	k := plain(name)
	k.Open = true
	return k, strings.HasPrefix(name, "open/")
}

func (o openSource) Fetch(_ context.Context, names []string, put func(string, *cache.Value, error)) {
	for _, name := range names {
		o.calls[name]++
		put(name, text("value of "+name), nil)
	}
}

func TestOpenNamesAreShared(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	up := openSource{newUpstream(t, plain("a"))}
	for _, want := range []string{"value of open/1", "value of open/1, shared"} {
		tier, _ := ours(t, Options{URL: srv.URL("", "")})
		s := tier.Source("parameters", up)
		k, ok := s.Open("open/1")
		if _, known := s.Open("shut/1"); !ok || k.Identity != "id open/1" || known {
			t.Errorf("Open(open/1) = %+v, %v, and Open(shut/1) is %v", k, ok, known)
		}
		wantRead(t, s, "open/1", want)
	}
}
