package source

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/source/awstest"
)

func number(name, value string) config.KeyPart {
	return config.KeyPart{Name: name, Type: "N", Value: value}
}

func item1(name string) config.Item {
	return config.Item{Entry: config.Entry{Name: name}, Table: "table", Hash: text("id", name)}
}

// table makes a table with the hash key id of the given type and an item for each of ids, which are wire JSON.
func table(fake *awstest.Fake, region, name, kind string, ids ...string) {
	fake.CreateTable(region, name, awstest.KeyAttr{Name: "id", Type: kind}, awstest.KeyAttr{})
	for _, id := range ids {
		fake.PutItem(region, name, fmt.Sprintf(`{"id": {%q: %q}, "value": {"S": %q}}`, kind, id, region+id))
	}
}

func TestItemKeys(t *testing.T) {
	keys := []struct {
		name       string
		hash, sort config.KeyPart
		wire       string // of the item's key
	}{
		{"S", text("hash", "a"), config.KeyPart{}, `"hash": {"S": "a"}`},
		{"S and S", text("hash", "a"), text("sort", "b"), `"hash": {"S": "a"}, "sort": {"S": "b"}`},
		{"N", number("hash", "42"), config.KeyPart{}, `"hash": {"N": "4.20E1"}`},
		{"N and N", number("hash", "-0.5"), number("sort", "1e2"), `"hash": {"N": "-.50"}, "sort": {"N": "100"}`},
		{"B and S", config.KeyPart{Name: "hash", Type: "B", Value: "\x00\xff"}, text("sort", "b"), `"hash": {"B": "AP8="}, "sort": {"S": "b"}`},
	}
	for _, tt := range keys {
		synctest.Test(t, func(t *testing.T) {
			fake := awstest.New(t)
			entry := config.Item{Entry: config.Entry{Name: "item"}, Table: "table", Hash: tt.hash, Sort: tt.sort, Fields: []string{"v"}}
			other := entry
			other.Name, other.Hash.Value = "other", "7"
			fake.CreateTable(here, "table", awstest.KeyAttr{Name: "hash", Type: tt.hash.Type}, awstest.KeyAttr{Name: tt.sort.Name, Type: tt.sort.Type})
			fake.PutItem(here, "table", fmt.Sprintf(`{%s, "v": {"S": %q}}`, tt.wire, tt.name))
			s := items(t, fake, entry, other)

			got := fetch(t, t.Context(), s, "item", "other")
			if o := got["item"]; o.err != nil || string(o.value.Body) != fmt.Sprintf(`{"v":%q}`, tt.name) {
				t.Errorf("%s: item in a batch = %v, %v", tt.name, o.value, o.err)
			}
			wantClass(t, tt.name+": other in a batch", got["other"].err, cache.ErrMissing)
			wantCalls(t, fake, map[string]int{"BatchGetItem": 1})

			fake.Reset()
			equal(t, tt.name, bodies(t, s, "item"), map[string]string{"item": fmt.Sprintf(`{"v":%q}`, tt.name)})
			wantClass(t, tt.name+": other", fetch(t, t.Context(), s, "other")["other"].err, cache.ErrMissing)
			wantCalls(t, fake, map[string]int{"GetItem": 2})
		})
	}
}

func TestProjection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		fake.CreateTable(here, "table", awstest.KeyAttr{Name: "id", Type: "S"}, awstest.KeyAttr{Name: "size", Type: "N"})
		for _, id := range []string{"a", "b"} {
			fake.PutItem(here, "table", fmt.Sprintf(`{"id": {"S": %q}, "size": {"N": "1"}, "a.b": {"S": "dot"}, "name": {"S": "reserved"}, "c": {"S": "c"}}`, id))
		}
		entry := func(name, id string, fields ...string) config.Item {
			return config.Item{Entry: config.Entry{Name: name}, Table: "table", Hash: text("id", id), Sort: number("size", "1"), Fields: fields}
		}
		s := items(t, fake,
			entry("all", "a"), entry("all too", "b"),
			entry("some", "a", "name", "a.b", "name"), entry("some too", "b", "a.b", "name"),
			entry("with keys", "a", "size", "c", "id"), entry("with keys too", "b", "id", "c", "size"),
			entry("none", "a", "gone"), entry("none too", "b", "gone"),
		)
		whole := func(id string) string { return `{"a.b":"dot","c":"c","id":"` + id + `","name":"reserved","size":1}` }
		want := map[string]string{
			"all": whole("a"), "all too": whole("b"),
			"some": `{"a.b":"dot","name":"reserved"}`, "some too": `{"a.b":"dot","name":"reserved"}`,
			"with keys": `{"c":"c","id":"a","size":1}`, "with keys too": `{"c":"c","id":"b","size":1}`,
			"none": `{}`, "none too": `{}`,
		}
		var names []string
		for _, k := range s.Keys() {
			names = append(names, k.Name)
			equal(t, k.Name, bodies(t, s, k.Name)[k.Name], want[k.Name])
		}
		wantCalls(t, fake, map[string]int{"GetItem": 8})
		fake.Reset()
		equal(t, "in batches", bodies(t, s, names...), want)
		wantCalls(t, fake, map[string]int{"BatchGetItem": 4})
	})
}

func TestItemGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		var ids, names []string
		var entries []config.Item
		for i := range 101 {
			ids = append(ids, fmt.Sprint(i))
		}
		table(fake, here, "table", "S", ids...)
		table(fake, here, "other", "N", ids...)
		table(fake, there, "table", "S", ids...)
		add := func(as string, i int, change func(*config.Item)) {
			e := item1(ids[i])
			e.Name = as + ids[i]
			change(&e)
			entries = append(entries, e)
			names = append(names, e.Name)
		}
		for i := range 101 {
			add("here ", i, func(*config.Item) {})
		}
		for i := range 2 {
			add("there ", i, func(e *config.Item) { e.Region = there })
			add("consistent ", i, func(e *config.Item) { e.Consistent = true })
			add("other ", i, func(e *config.Item) { e.Table, e.Hash = "other", number("id", ids[i]+".0") })
		}
		// The same item with another ttl is a key of its own, and asked for once.
		add("again ", 0, func(e *config.Item) { e.TTL = time.Hour })
		// A key that does not fit the table costs no other.
		add("wrong ", 0, func(e *config.Item) { e.Hash.Name = "ID" })
		s := items(t, fake, entries...)

		got := fetch(t, t.Context(), s, names...)
		for _, name := range names[:len(names)-1] {
			_, id, _ := strings.Cut(name, " ")
			if got[name].err != nil || !strings.Contains(string(got[name].value.Body), `"id":`) || !strings.Contains(string(got[name].value.Body), id) {
				t.Errorf("%s = %v, %v", name, got[name].value, got[name].err)
			}
		}
		wantClass(t, "wrong 0", got["wrong 0"].err, nil)
		// 100 and one of the table here, and the one with the wrong key.
		wantCalls(t, fake, map[string]int{"BatchGetItem": 4, "GetItem": 2})
		consistent := 0
		for _, c := range fake.Calls() {
			if strings.Contains(c.Body, `"ConsistentRead":true`) {
				consistent++
			}
		}
		equal(t, "calls that ask for consistent reads", consistent, 1)
	})
}

func TestUnprocessedKeys(t *testing.T) {
	tests := []struct {
		name   string
		plan   []int // unprocessed keys, call by call; the last one's from then on
		want   map[string]error
		calls  int
		pauses time.Duration
	}{
		{"twice some", []int{2, 1, 0}, nil, 3, 50*time.Millisecond + 100*time.Millisecond},
		{"all for a while", []int{4, 4, 1, 1, 0}, nil, 5, 50*time.Millisecond + 100*time.Millisecond + 400*time.Millisecond},
		{"all for ever", []int{4}, map[string]error{"a": cache.ErrThrottled, "b": cache.ErrThrottled, "c": cache.ErrThrottled, "gone": cache.ErrThrottled},
			3, 50*time.Millisecond + 100*time.Millisecond},
		{"one for ever", []int{3, 1}, map[string]error{"a": cache.ErrThrottled}, 5, 50*time.Millisecond + 100*time.Millisecond + 400*time.Millisecond},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			fake := awstest.New(t)
			table(fake, here, "table", "S", "a", "b", "c")
			for i, n := range tt.plan {
				m := awstest.Match{Op: "BatchGetItem", Times: 1}
				if i == len(tt.plan)-1 {
					m.Times = 0
				}
				fake.Fail(m, awstest.Fault{Unprocessed: n})
			}
			s := items(t, fake, item1("a"), item1("b"), item1("c"), item1("gone"))
			start := time.Now()
			got := fetch(t, t.Context(), s, "a", "b", "c", "gone")
			equal(t, tt.name+": time taken", time.Since(start), tt.pauses)
			for _, name := range []string{"a", "b", "c", "gone"} {
				want := tt.want[name]
				if name == "gone" && want == nil {
					want = cache.ErrMissing
				}
				if want != nil {
					wantClass(t, tt.name+": "+name, got[name].err, want)
				} else if got[name].err != nil {
					t.Errorf("%s: %s: %v", tt.name, name, got[name].err)
				}
			}
			wantCalls(t, fake, map[string]int{"BatchGetItem": tt.calls})
		})
	}
}

func TestUnprocessedKeysUntilTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		table(fake, here, "table", "S", "a", "b")
		fake.Fail(awstest.Match{}, awstest.Fault{Unprocessed: 1})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		got := fetch(t, ctx, items(t, fake, item1("a"), item1("b")), "a", "b")
		wantClass(t, "a", got["a"].err, cache.ErrThrottled)
		if got["b"].err != nil {
			t.Errorf("b: %v", got["b"].err)
		}
	})
}

func TestItemsDeniedOneWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		table(fake, here, "table", "S", "a", "b")
		s := items(t, fake, item1("a"), item1("b"))
		fake.Fail(awstest.Match{Op: "GetItem"}, awstest.Fault{Code: "AccessDeniedException"})
		bodies(t, s, "a")
		wantCalls(t, fake, map[string]int{"GetItem": 1, "BatchGetItem": 1})

		fake.Clear()
		fake.Reset()
		fake.Fail(awstest.Match{Op: "BatchGetItem"}, awstest.Fault{Code: "AccessDeniedException"})
		bodies(t, s, "a", "b")
		if got := fake.Count("GetItem"); got != 2 {
			t.Errorf("%d calls of GetItem, want 2", got)
		}
		fake.Reset()
		bodies(t, s, "a", "b")
		wantCalls(t, fake, map[string]int{"GetItem": 2})
	})
}

func TestNoSuchTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := fetch(t, t.Context(), items(t, awstest.New(t), item1("a"), item1("b")), "a", "b")
		wantClass(t, "a", got["a"].err, cache.ErrMissing)
		wantClass(t, "b", got["b"].err, cache.ErrMissing)
	})
}

func TestMatchItems(t *testing.T) {
	found := func(ids ...string) []attributes {
		var all []attributes
		for _, id := range ids {
			all = append(all, attributes{"id": []byte(`{"N": "` + id + `"}`)})
		}
		return all
	}
	nameless := []attributes{{"other": []byte(`{"S": "x"}`)}}
	tests := []struct {
		name              string
		input, left       []attributes
		landed            map[string]string // by the number asked for: its body, or "missing"
		again, unsureWant []string
	}{
		{"numbers in other words", found("4.2E1", "0.070e2"), nil, map[string]string{"42": `{"id":4.2E1}`, "7.0": `{"id":0.070e2}`}, nil, nil},
		{"one missing", found("42"), nil, map[string]string{"42": `{"id":42}`, "7.0": "missing"}, nil, nil},
		{"both missing", nil, nil, map[string]string{"42": "missing", "7.0": "missing"}, nil, nil},
		{"one unprocessed", found("42"), found("7"), map[string]string{"42": `{"id":42}`}, []string{"7.0"}, nil},
		{"one that nobody asked for", found("42", "8"), nil, map[string]string{"42": `{"id":42}`}, nil, []string{"7.0"}},
		{"one without its key", append(found("42"), nameless...), nil, map[string]string{"42": `{"id":42}`}, nil, []string{"7.0"}},
		{"one twice", found("42", "42.0", "7"), nil, map[string]string{"7.0": `{"id":7}`}, nil, []string{"42"}},
		{"one thrice", found("42", "42.0", "42"), nil, map[string]string{"7.0": "missing"}, nil, []string{"42"}},
		{"found and unprocessed", found("42", "7"), found("7"), map[string]string{"42": `{"id":42}`}, nil, []string{"7.0"}},
		{"unprocessed that nobody asked for", found("42"), found("8"), map[string]string{"42": `{"id":42}`}, nil, []string{"7.0"}},
	}
	for _, tt := range tests {
		var group []*item
		for _, id := range []string{"42", "7.0"} {
			group = append(group, &item{hash: number("id", id), key: itemKey{hash: canonical("N", id)}})
		}
		landed := make(map[string]string)
		out := &batch{
			Responses:       map[string][]attributes{"table": tt.input},
			UnprocessedKeys: map[string]struct{ Keys []attributes }{"table": {Keys: tt.left}},
		}
		again, unsure := matchItems(group, out, func(i *item, v *cache.Value, err error) {
			if err != nil {
				wantClass(t, tt.name, err, cache.ErrMissing)
				landed[i.hash.Value] = "missing"
				return
			}
			landed[i.hash.Value] = string(v.Body)
		})
		equal(t, tt.name+": landed", landed, tt.landed)
		ids := func(all []*item) (ids []string) {
			for _, i := range all {
				ids = append(ids, i.hash.Value)
			}
			return ids
		}
		if !slices.Equal(ids(again), tt.again) || !slices.Equal(ids(unsure), tt.unsureWant) {
			t.Errorf("%s: again %v, unsure %v, want %v, %v", tt.name, ids(again), ids(unsure), tt.again, tt.unsureWant)
		}
	}
}
