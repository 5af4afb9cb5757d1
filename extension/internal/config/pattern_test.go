package config

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestOpenEntries reads a file with every form of placeholders, and with what goes with them.
func TestOpenEntries(t *testing.T) {
	got := parseFile(t, "testdata/good/open.yaml")
	wantShared := &Shared{
		Line: 6, URL: "rediss://app:secret@cache.example.com:6380/1", Prefix: "{prod}/", Kinds: []string{"secrets", "dynamodb"},
		KeySecret: "cache-key", Timeout: 20 * time.Millisecond,
	}
	if want := (Memory{MaxEntries: 500, MaxBytes: 512 << 10}); got.Memory != want || !reflect.DeepEqual(got.Shared, wantShared) {
		t.Errorf("Parse(open.yaml) = memory %+v, shared %+v, want %+v, %+v", got.Memory, got.Shared, want, wantShared)
	}

	// What is served, what is read, and whether there is a pattern, entry by entry.
	var rows []string
	add := func(e Entry, read string) {
		rows = append(rows, fmt.Sprintf("%d %s = %s %v", e.Line, e.Name, read, e.Pattern != nil))
	}
	for _, p := range got.Parameters {
		add(p.Entry, p.ID+" "+p.Selector)
	}
	for _, s := range got.Secrets {
		add(s.Entry, s.ID)
	}
	for _, it := range got.Items {
		add(it.Entry, fmt.Sprintf("%s %q %q", it.Table, it.Hash, it.Sort))
	}
	want := []string{
		"12 /tenants/{tenant}/plan = /tenants/{tenant}/plan  true",
		"15 /prod{{1}}/users/{user}/mail = /prod{{1}}/users/{user}/mail  true",
		"16 /prod/plain = /prod/plain  false",
		"18 shared/{p} = arn:aws:ssm:eu-west-1:123456789012:parameter/shared/{p} live true",
		"21 cache-key = cache-key false",
		"22 tenant/{tenant}/db = tenant/{tenant}/db true",
		"24 tenant/acme/db = tenant/acme/db false",
		`26 permission/{id} = Permissions {"id" "S" "{id}"} {"" "" ""} true`,
		`30 orders/{tenant} = Orders {"tenant" "S" "T#{tenant}"} {"at" "S" "{{{tenant}}}"} true`,
		`33 Products-{id}-e3t7 = Products {"id" "N" "{id}"} {"part" "B" "{{{{{{"} true`,
		`40 Plain-{not a placeholder}-{{id}} = Plain {"id" "S" "{not a placeholder}"} {"at" "S" "{{id}}"} false`,
	}
	if !reflect.DeepEqual(rows, want) {
		t.Errorf("Parse(open.yaml) declares\n%s\nwant\n%s", strings.Join(rows, "\n"), strings.Join(want, "\n"))
	}

	captures, ok := got.Items[2].Pattern.Match("Products-42-e3t7")
	if !ok || captures["id"] != "42" {
		t.Fatalf("Match(Products-42-e3t7) = %v, %v, want id 42", captures, ok)
	}
	filled, ok := got.Items[2].Fill(captures)
	wantFilled := got.Items[2]
	wantFilled.Name, wantFilled.Pattern, wantFilled.Hash.Value, wantFilled.Sort.Value = "Products-42-e3t7", nil, "42", "{{{"
	if !ok || !reflect.DeepEqual(filled, wantFilled) {
		t.Errorf("Fill(%v) = %+v, %v, want %+v", captures, filled, ok, wantFilled)
	}
	if s := got.Secrets[1].Fill(Captures{"tenant": "{x}"}); s.ID != "tenant/{x}/db" || s.Name != s.ID || s.Pattern != nil || s.Stage != "AWSPREVIOUS" {
		t.Errorf("Fill of a secret = %+v, want tenant/{x}/db", s)
	}
	if p := got.Parameters[3].Fill(Captures{"p": "x"}); p.ID != "arn:aws:ssm:eu-west-1:123456789012:parameter/shared/x" || p.Name != "shared/x" || p.Selector != "live" {
		t.Errorf("Fill of a parameter = %+v, want shared/x", p)
	}
}

// TestSharedIsOffWithoutURL reads one file as a laptop and as a fleet does.
func TestSharedIsOffWithoutURL(t *testing.T) {
	const input = "shared:\n  url: ${SHARED_CACHE_URL:-}\nsecrets: [{name: a}]\n"
	if got := parse(t, input).Shared; got != nil {
		t.Errorf("Parse without the variable: shared = %+v, want none", got)
	}
	got := parse(t, input, "SHARED_CACHE_URL=valkey://host").Shared
	want := &Shared{Line: 2, URL: "valkey://host", Kinds: []string{"dynamodb", "parameters"}, Timeout: 50 * time.Millisecond}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Parse with the variable: shared = %+v, want %+v", got, want)
	}
	if got := parse(t, "shared:\nsecrets: [{name: a}]\n").Shared; got != nil {
		t.Errorf("Parse with an empty section: shared = %+v, want none", got)
	}
}

func TestCheckSharedURL(t *testing.T) {
	const form, port, behind = "is not a redis://", "has a port that is none", "has more behind the host"
	for _, tt := range []struct{ name, input, want string }{
		{"none", "", ""},
		{"plain", "redis://localhost:6379", ""},
		{"all of it", "valkeys://user:p%40ss@[::1]:6379/15", ""},
		{"password alone", "rediss://:pass@host/", ""},
		{"no scheme", "host:6379", form},
		{"other scheme", "http://host", form},
		{"no host", "redis://", form},
		{"user without host", "redis://user:pass@:6379", form},
		{"special characters", "redis://user:pa%ss@host", form},
		{"port out of range", "redis://host:70000", port},
		{"name of a database", "redis://host/main", behind},
		{"path", "redis://host/0/x", behind},
		{"query", "redis://host/0?db=1", behind},
		{"fragment", "redis://user:pa#ss@host", form},
		{"fragment behind the host", "redis://host/0#x", behind},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := checkSharedURL(tt.input)
			if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("checkSharedURL(%q) = %v, want %q", tt.input, err, tt.want)
			}
		})
	}
}

func TestParseSize(t *testing.T) {
	for _, tt := range []struct {
		name, input string
		want        int64
		fault       string
	}{
		{"bytes", "1", 1, ""},
		{"bytes with their unit", "100B", 100, ""},
		{"KiB", "64KiB", 64 << 10, ""},
		{"most", "512MiB", 512 << 20, ""},
		{"most, in bytes", "536870912", 512 << 20, ""},
		{"more", "513MiB", 0, "is more than 512MiB"},
		{"a byte more", "536870913", 0, "is more than 512MiB"},
		{"more than a number holds", "99999999999999999999KiB", 0, "is more than 512MiB"},
		{"that many of an unknown unit", "99999999999999999999MB", 0, "is not a size (write one such as 64KiB or 16MiB)"},
		{"zero", "0KiB", 0, "leaves no room at all (write a size, such as 16MiB)"},
		{"negative", "-1", 0, "is not a size (write one such as 64KiB or 16MiB)"},
		{"decimal unit", "16MB", 0, "is not a size (write one such as 64KiB or 16MiB)"},
		{"half a unit", "16Mi", 0, "is not a size (write one such as 64KiB or 16MiB)"},
		{"fraction", "1.5MiB", 0, "is not a size (write one such as 64KiB or 16MiB)"},
		{"empty", "", 0, "is not a size (write one such as 64KiB or 16MiB)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseSize(tt.input)
			fault := ""
			if err != nil {
				fault = err.Error()
			}
			if got != tt.want || fault != tt.fault {
				t.Errorf("parseSize(%q) = %d, %q, want %d, %q", tt.input, got, fault, tt.want, tt.fault)
			}
		})
	}
}

// TestForm holds which braces are placeholders: those of the file, and none that a variable brings in.
func TestForm(t *testing.T) {
	env := environment{"X": "{id}", "OPEN": "{", "CLOSE": "}", "NAME": "id"}
	for _, tt := range []struct {
		name, input string
		want        form
		fault       string
	}{
		{"none", "a", form{text: "a"}, ""},
		{"braces of no placeholder", "{a b} {1} {} }{", form{text: "{a b} {1} {} }{"}, ""},
		{"doubled braces without a placeholder", "{{id}}", form{text: "{{id}}"}, ""},
		{"one", "a{id}b", form{"a{id}b", true}, ""},
		{"two", "{a}/{_B2}", form{"{a}/{_B2}", true}, ""},
		{"doubled braces beside one", "{{{id}}}", form{"{{{id}}}", true}, ""},
		{"variable", "${X}", form{text: "{id}"}, ""},
		{"variable beside one", "${X}{id}", form{"{{id}}{id}", true}, ""},
		{"brace from a variable before one", "${OPEN}{id}${CLOSE}", form{"{{{id}}}", true}, ""},
		{"variable in braces", "{${NAME}}", form{text: "{id}"}, ""},
		{"variable in the name", "{i${NAME}}", form{text: "{iid}"}, ""},
		{"braces from two variables", "${OPEN}id${CLOSE}", form{text: "{id}"}, ""},
		{"literal ${", "$${id}", form{text: "${id}"}, ""},
		{"literal ${ beside one", "$${a}}{id}", form{"${{a}}{id}", true}, ""},
		{"default", "${NONE:-{id}}", form{text: "{id}"}, ""},
		{"stray opening brace", "{id}{", form{}, "a { begins no placeholder (write one as {id}, and the character { itself as {{)"},
		{"stray brace around a variable", "{id}{${NAME}}", form{}, "a { begins no placeholder (write one as {id}, and the character { itself as {{)"},
		{"stray closing brace", "}{id}", form{}, "a } ends no placeholder (write the character } itself as }})"},
		{"unset variable", "{id}${NONE}", form{}, "${NONE} is not set (set it, or write ${NONE:-default})"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := env.form(tt.input)
			fault := ""
			if err != nil {
				fault = err.Error()
			}
			if got != tt.want || fault != tt.fault {
				t.Errorf("form(%q) = %+v, %q, want %+v, %q", tt.input, got, fault, tt.want, tt.fault)
			}
		})
	}
}

func TestPatternMatch(t *testing.T) {
	long := strings.Repeat("x", 128)
	for _, tt := range []struct {
		name, pattern, allow, never, input string
		want                               Captures // nil for no match
	}{
		{"one", "permission/{id}", "", "", "permission/42", Captures{"id": "42"}},
		{"all that the default allows", "{id}", "", "", "aZ09_.@:+-", Captures{"id": "aZ09_.@:+-"}},
		{"longest", "{id}", "", "", long, Captures{"id": long}},
		{"too long", "{id}", "", "", long + "x", nil},
		{"nothing captured", "permission/{id}", "", "", "permission/", nil},
		{"a slash", "permission/{id}", "", "", "permission/a/b", nil},
		{"a slash at the end", "permission/{id}", "", "", "permission/a/", nil},
		{"no segment", "permission/{id}", "", "", "permission", nil},
		{"another text", "permission/{id}", "", "", "permissions/a", nil},
		{"another character", "{id}", "", "", "a b", nil},
		{"never", "tenant/{id}", "", ":", "tenant/a:3", nil},
		{"empty name", "{id}", "", "", "", nil},
		{"in the middle", "/tenants/{t}/plan", "", "", "/tenants/acme/plan", Captures{"t": "acme"}},
		{"two", "/{a}/x/{b}", "", "", "/1/x/2", Captures{"a": "1", "b": "2"}},
		{"text around", "a-{x}-z", "", "", "a-a-z-z", Captures{"x": "a-z"}},
		{"text around, one for both", "aa{x}aa", "", "", "aaaa", nil},
		{"a separator that none may hold", "{a}#{b}", "", "", "1#2", Captures{"a": "1", "b": "2"}},
		{"that separator twice", "{a}#{b}", "", "", "1#2#3", nil},
		{"a long separator", "{a}-#-{b}", "", "", "1--#--2", Captures{"a": "1-", "b": "-2"}},
		{"a separator of the entry", "{a}-{b}", "[0-9]+", "", "1-2", Captures{"a": "1", "b": "2"}},
		{"braces", "{{{id}}}", "", "", "{a}", Captures{"id": "a"}},
		{"anchored in front", "{id}", "[a-z]+", "", "1a", nil},
		{"anchored behind", "{id}", "[a-z]+", "", "a1", nil},
		{"anchored before the end of a line", "{id}", "[a-z]+", "", "a\n", nil},
		{"either, anchored", "{id}", "a|b", "", "ab", nil},
		{"nothing, allowed", "x{id}", ".*", "", "x", nil},
		{"slash, allowed", "{id}", ".*", "", "a/b", nil},
		{"more than 128 bytes, allowed", "{id}", ".*", "", long + long, Captures{"id": long + long}},
		{"longest of all", "{id}", ".*", "", strings.Repeat("é", 512), Captures{"id": strings.Repeat("é", 512)}},
		{"too long for all", "{id}", ".*", "", strings.Repeat("é", 512) + "x", nil},
		{"no UTF-8", "{id}", ".*", "", "a\xff", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := pattern(t, tt.pattern, tt.allow, tt.never)
			got, ok := p.Match(tt.input)
			if ok != (tt.want != nil) || ok && !maps.Equal(got, tt.want) {
				t.Errorf("Match(%q) of %q = %v, %v, want %v", tt.input, tt.pattern, got, ok, tt.want)
			}
		})
	}
}

// TestDefaultAllow holds the default to the form that docs/config.md gives it.
func TestDefaultAllow(t *testing.T) {
	const form = `[A-Za-z0-9_.@:+-]{1,128}`
	if !strings.Contains(string(readTestFile(t, reference)), "`"+form+"`") {
		t.Errorf("%s does not say that the default is %s", reference, form)
	}
	anchored := regexp.MustCompile("^" + form + "$")
	own := pattern(t, "{id}", form, "").may
	var byDefault allowed
	for r := rune(0); r < 0x300; r++ {
		text := string(r)
		if want := anchored.MatchString(text); byDefault.match(text) != want || byDefault.mayHold(r) != want || own.mayHold(r) != want {
			t.Errorf("%q: match %v, mayHold %v, and %v for the same written out, want %v", text, byDefault.match(text), byDefault.mayHold(r), own.mayHold(r), want)
		}
	}
}

func TestItemFill(t *testing.T) {
	for _, tt := range []struct {
		name string
		typ  string
		id   string
		want bool
	}{
		{"text", "S", "042", true},
		{"integer", "N", "42", true},
		{"negative fraction", "N", "-1.5", true},
		{"zero", "N", "0", true},
		{"leading zero", "N", "042", false},
		{"plus", "N", "+1", false},
		{"exponent", "N", "1e3", false},
		{"zero behind the point", "N", "1.50", false},
		{"zero with a sign", "N", "-0", false},
		{"no number", "N", "abc", false},
		{"too many digits", "N", strings.Repeat("1", 39), false},
		{"longest sort key", "S", strings.Repeat("x", 1023), true},
		{"too long a sort key", "S", strings.Repeat("x", 1024), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			it := Item{Table: "T", Hash: KeyPart{"id", tt.typ, "{id}"}, Sort: KeyPart{"at", "S", "#{id}"}}
			filled, ok := it.Fill(Captures{"id": tt.id})
			if ok != tt.want || ok && (filled.Hash.Value != tt.id || filled.Sort.Value != "#"+tt.id) {
				t.Errorf("Fill(%q) for a key of type %s = %+v, %v, want %v", tt.id, tt.typ, filled, ok, tt.want)
			}
		})
	}
}

// FuzzPattern checks that no pattern and no name bring Match down, that what is captured is allowed, and that filled in
// again it makes the name.
func FuzzPattern(f *testing.F) {
	for _, seed := range [][3]string{
		{"permission/{id}", "", "permission/42"},
		{"/{a}/x{b}", "[a-z0-9-]{1,32}", "/1/x2"},
		{"{{{a}}}#{b}", "", "{1}#2"},
		{"{a}-{b}", `\p{Greek}+`, "α-β"},
		{"${X}{id}", ".*", "{id}a"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, text, allow, name string) {
		served, err := environment{"X": "{id}"}.form(text)
		if err != nil || !served.open {
			return
		}
		may := allowed{never: ":"}
		if allow != "" {
			if may.form, err = parseAllow(allow); err != nil {
				return
			}
		}
		p, err := newPattern(served.text, may)
		if err != nil {
			return
		}
		if !p.overlaps(p) {
			t.Errorf("%q does not overlap itself", text)
		}
		captures, ok := p.Match(name)
		if !ok {
			return
		}
		for _, placeholder := range placeholders(served.text) {
			part, ok := captures[placeholder]
			if !ok || part == "" || len(part) > 1024 || strings.ContainsAny(part, "/:") {
				t.Errorf("Match(%q) of %q captures %q for {%s}", name, text, part, placeholder)
			}
			if may.form != nil && !may.form.MatchString(part) {
				t.Errorf("Match(%q) of %q captures %q, which %s does not allow", name, text, part, allow)
			}
		}
		if got := captures.Fill(served.text); got != name {
			t.Errorf("Fill(%q) of %v = %q, want %q", served.text, captures, got, name)
		}
	})
}

func TestOverlaps(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"a/{x}", "a/{y}", true},
		{"a/{x}", "b/{y}", false},
		{"a/{x}", "a/{x}/b", false},
		{"a/{x}/b", "a/{x}/c", false},
		{"a/{x}", "{x}/a", true},
		{"a/b/{x}", "a/{y}/c", true},
		{"a/!/{x}", "a/{y}/c", false}, // no captured part is !
		{"a-{x}", "b-{x}", false},
		{"a-{x}", "a-b-{x}", true},
		{"{x}-a", "{x}-b", false},
		{"{x}a", "b{x}", true},
		{"a{x}b", "a{x}c", false},
		{"{x}#{y}", "{x}", true}, // only the texts at both ends are compared
		{"/{x}", "{x}", false},
		{"{{/{x}", "}}/{x}", false},
	} {
		p, q := pattern(t, tt.a, "", ""), pattern(t, tt.b, "", "")
		if got, back := p.overlaps(q), q.overlaps(p); got != tt.want || back != tt.want {
			t.Errorf("overlaps of %q and %q = %v, and %v the other way round, want %v", tt.a, tt.b, got, back, tt.want)
		}
	}
}

// TestPatternsApart tries all short patterns and names of a small alphabet: no name matches two patterns that are said to
// be apart, or lies below a path that is said to be apart from its pattern.
func TestPatternsApart(t *testing.T) {
	var patterns []*Pattern
	var texts []string
	for _, text := range words([]string{"a", "-", "/", "{x}", "{y}"}, 4) {
		if !strings.Contains(text, "{") {
			continue
		}
		for _, allow := range []string{"", "a+"} {
			may := allowed{}
			if allow != "" {
				may.form = regexp.MustCompile("^(?:" + allow + ")$")
			}
			if p, err := newPattern(text, may); err == nil {
				patterns, texts = append(patterns, p), append(texts, text+" allowing "+allow)
			}
		}
	}
	names := words([]string{"a", "-", "/"}, 6)
	matching := make(map[string][]int)
	for i, p := range patterns {
		for _, name := range names {
			if _, ok := p.Match(name); ok {
				matching[name] = append(matching[name], i)
			}
		}
	}
	if len(patterns) < 500 || len(matching) < 500 {
		t.Fatalf("%d patterns and %d names, want many", len(patterns), len(matching))
	}
	for name, all := range matching {
		for n, i := range all {
			for _, j := range all[:n] {
				if !patterns[i].overlaps(patterns[j]) {
					t.Errorf("%q matches both %s and %s, which do not overlap", name, texts[i], texts[j])
				}
			}
			for slash, r := range name {
				if root := name[:slash]; r == '/' && slash+1 < len(name) && !patterns[i].isBelow(root) {
					t.Errorf("%q matches %s and lies below %q, and isBelow is false", name, texts[i], root)
				}
			}
		}
	}
}

// words returns all texts of up to n of the parts.
func words(parts []string, n int) []string {
	all, last := []string{}, []string{""}
	for range n {
		var next []string
		for _, word := range last {
			for _, part := range parts {
				next = append(next, word+part)
			}
		}
		all, last = append(all, next...), next
	}
	return all
}

// pattern returns the pattern that text is, with what the entry allows; nothing for the default.
func pattern(t *testing.T, text, allow, never string) *Pattern {
	t.Helper()
	may := allowed{never: never}
	if allow != "" {
		var err error
		if may.form, err = parseAllow(allow); err != nil {
			t.Fatal(err)
		}
	}
	p, err := newPattern(text, may)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
