package server

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"cache-extension/extension/internal/cache"
)

// The document of RFC 6901, section 5.
const rfc6901 = `{
   "foo": ["bar", "baz"],
   "": 0,
   "a/b": 1,
   "c%d": 2,
   "e^f": 3,
   "g|h": 4,
   "i\\j": 5,
   "k\"l": 6,
   " ": 7,
   "m~n": 8
}`

func TestPointer(t *testing.T) {
	const (
		nested  = ` { "list" : [ [ 0 , { "x" : true } ] , null ] , "o" : { } } `
		exact   = `{"n":12345678901234567890123456789012345678,"small":1.10E-7,"neg":-0,"long":0.10000000000000000000000000001,"big":1e400}`
		strs    = `{"e":"","t":"a\"b\\\u00fc\n\ud83d\ude00","json":"{\"a\": \"b\"}","ü":"ü","\u20ac":"euro","~1":"tilde"}`
		twice   = `{"a":1,"a":{"b":2}}`
		numeric = `{"0":"zero","01":"one","-":"dash"}`
		unit    = "\u00a0"
	)
	none := "\x00" // found nothing
	for _, row := range []struct{ name, doc, input, want string }{
		{"RFC: member", rfc6901, "/foo", `["bar", "baz"]`},
		{"RFC: element", rfc6901, "/foo/0", "bar"},
		{"RFC: empty key", rfc6901, "/", "0"},
		{"RFC: slash", rfc6901, "/a~1b", "1"},
		{"RFC: percent", rfc6901, "/c%d", "2"},
		{"RFC: caret", rfc6901, "/e^f", "3"},
		{"RFC: bar", rfc6901, "/g|h", "4"},
		{"RFC: backslash", rfc6901, `/i\j`, "5"},
		{"RFC: quote", rfc6901, `/k"l`, "6"},
		{"RFC: space", rfc6901, "/ ", "7"},
		{"RFC: tilde", rfc6901, "/m~0n", "8"},
		{"absent", rfc6901, "/bar", none},
		{"other case", rfc6901, "/FOO", none},
		{"past the end", rfc6901, "/foo/2", none},
		{"after the last", rfc6901, "/foo/-", none},
		{"leading zero", rfc6901, "/foo/00", none},
		{"leading zero of one", rfc6901, "/foo/01", none},
		{"plus sign", rfc6901, "/foo/+1", none},
		{"minus sign", rfc6901, "/foo/-1", none},
		{"space in an index", rfc6901, "/foo/ 1", none},
		{"empty index", rfc6901, "/foo/", none},
		{"hexadecimal index", rfc6901, "/foo/0x1", none},
		{"index of no machine", rfc6901, "/foo/99999999999999999999", none},
		{"index that wraps round", rfc6901, "/foo/18446744073709551617", none},
		{"digits of another script", rfc6901, "/foo/١", none},
		{"below a string", rfc6901, "/foo/0/0", none},
		{"below a number", rfc6901, "/a~1b/x", none},

		{"array in array", nested, "/list/0/0", "0"},
		{"object in array", nested, "/list/0/1", `{ "x" : true }`},
		{"boolean", nested, "/list/0/1/x", "true"},
		{"null", nested, "/list/1", "null"},
		{"below null", nested, "/list/1/x", none},
		{"inner space is kept", nested, "/list/0", `[ 0 , { "x" : true } ]`},
		{"empty object", nested, "/o", "{ }"},
		{"array as the whole", `["a"]`, "/0", "a"},

		{"38 digits", exact, "/n", "12345678901234567890123456789012345678"},
		{"as written", exact, "/small", "1.10E-7"},
		{"negative zero", exact, "/neg", "-0"},
		{"29 decimals", exact, "/long", "0.10000000000000000000000000001"},
		{"past float64", exact, "/big", "1e400"},

		{"empty string", strs, "/e", ""},
		{"escapes in a string", strs, "/t", "a\"b\\ü\n😀"},
		{"JSON in a string", strs, "/json", `{"a": "b"}`},
		{"not into it", strs, "/json/a", none},
		{"key in UTF-8", strs, "/ü", "ü"},
		{"key with an escape", strs, "/€", "euro"},
		{"~01 is ~1", strs, "/~01", "tilde"},
		{"~1 is a slash", strs, "/~1", none},

		{"the last of two", twice, "/a", `{"b":2}`},
		{"below the last of two", twice, "/a/b", "2"},
		{"number as a key", numeric, "/0", "zero"},
		{"leading zero in a key", numeric, "/01", "one"},
		{"dash as a key", numeric, "/-", "dash"},

		{"text", "hello", "/a", none},
		{"nothing", "", "/a", none},
		{"string", `"a"`, "/0", none},
		{"number", "1", "/0", none},
		{"cut off", `{"a":1`, "/a", none},
		{"more than one value", `{"a":1}{}`, "/a", none},
		{"comment", `{"a":1}//`, "/a", none},
		{"other space before", unit + `{"a":1}`, "/a", none},
		{"byte order mark", "\ufeff" + `{"a":1}`, "/a", none},
	} {
		t.Run(row.name, func(t *testing.T) {
			if !validPointer(row.input) {
				t.Fatalf("validPointer(%q) = false", row.input)
			}
			got, ok := pick(&cache.Value{Body: []byte(row.doc)}, row.input)
			if !ok {
				got = []byte(none)
			}
			if string(got) != row.want {
				t.Errorf("pick(%s, %q) = %q, want %q", row.doc, row.input, got, row.want)
			}
		})
	}
	if got, ok := pick(&cache.Value{Body: []byte(`{"a":1}`), Binary: true}, "/a"); ok {
		t.Errorf("pick of a binary secret = %q, want nothing", got)
	}
}

func TestValidPointer(t *testing.T) {
	for _, row := range []struct {
		input string
		want  bool
	}{
		{"", true}, {"/", true}, {"//", true}, {"/a", true}, {"/~0~1", true}, {"/\x00", true}, {"/%", true},
		{"a", false}, {"#/a", false}, {" /a", false}, {"0", false}, {"~0", false},
		{"/~", false}, {"/~2", false}, {"/a~/b", false}, {"/~~0", false}, {"/~01~", false},
	} {
		if got := validPointer(row.input); got != row.want {
			t.Errorf("validPointer(%q) = %t, want %t", row.input, got, row.want)
		}
	}
}

// TestPickLeavesTheValue: a value is shared by all readers.
func TestPickLeavesTheValue(t *testing.T) {
	v := &cache.Value{Body: []byte(` {"a":[{"b":"c\u0020d"}]} `)}
	before := bytes.Clone(v.Body)
	for _, pointer := range []string{"/a", "/a/0", "/a/0/b"} {
		pick(v, pointer)
	}
	if !bytes.Equal(v.Body, before) {
		t.Errorf("the value is %q now, want %q", v.Body, before)
	}
}

// TestField is a field over HTTP: a string raw, anything else as it is written, each with the type of what is sent.
func TestField(t *testing.T) {
	f := newFixture(map[string]reply{"a": {body: `{"s":"p w","o":{"n":1.0},"j":"{\"x\":1}","e":"","u/r":{"l":"v"}}`}}, setup{})
	for _, row := range []struct{ name, input, want, contentType string }{
		{"string", "/s", "p w", "text/plain; charset=utf-8"},
		{"object", "/o", `{"n":1.0}`, "application/json"},
		{"number", "/o/n", "1.0", "text/plain; charset=utf-8"},
		{"JSON in a string", "/j", `{"x":1}`, "application/json"},
		{"empty string", "/e", "", "text/plain; charset=utf-8"},
		{"escaped twice", "%2Fu~1r%2Fl", "v", "text/plain; charset=utf-8"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := f.wantBody(t, "/secrets?name=a&field="+row.input, 200, row.want)
			wantHeader(t, w.Header(), "Content-Type", row.contentType)
			wantHeader(t, w.Header(), "Content-Length", strconv.Itoa(len(row.want)))
		})
	}
}

// decode is an oracle for JSON: the one value in b, numbers as they are written.
func decode(b []byte) (any, bool) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil, false
	}
	_, err := d.Token()
	return v, err == io.EOF
}

// walk is an oracle for a pointer.
func walk(v any, pointer string) (any, bool) {
	for _, token := range strings.Split(pointer, "/")[1:] {
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		switch at := v.(type) {
		case map[string]any:
			member, ok := at[token]
			if !ok {
				return nil, false
			}
			v = member
		case []any:
			found := false
			for i := range at {
				if strconv.Itoa(i) == token {
					v, found = at[i], true
				}
			}
			if !found {
				return nil, false
			}
		default:
			return nil, false
		}
	}
	return v, true
}

// FuzzPointer compares with decoding the whole document and walking through it.
func FuzzPointer(f *testing.F) {
	for _, seed := range [][2]string{
		{rfc6901, "/foo/1"}, {rfc6901, "/a~1b"}, {rfc6901, "/"}, {`{"a":{"a":1},"a":[2]}`, "/a/0"}, {`[[],[null]]`, "/1/0"},
		{`{"n":1e400}`, "/n"}, {`{"\ud800":"\udfff"}`, "/\ufffd"}, {` [ 1 , "\u0041" ] `, "/1"}, {`{}`, "/~01"}, {"x", "/x"}, {`["a"]`, "/00"},
	} {
		f.Add([]byte(seed[0]), seed[1])
	}
	f.Fuzz(func(t *testing.T, doc []byte, pointer string) {
		if pointer == "" || !validPointer(pointer) {
			return
		}
		got, found := pick(&cache.Value{Body: doc}, pointer)
		var want any
		whole, ok := decode(doc)
		if ok {
			want, ok = walk(whole, pointer)
		}
		if found != ok {
			t.Fatalf("pick(%q, %q) found something: %t, want %t", doc, pointer, found, ok)
		}
		if !found {
			return
		}
		if text, ok := want.(string); ok {
			if string(got) != text {
				t.Errorf("pick(%q, %q) = %q, want %q", doc, pointer, got, text)
			}
			return
		}
		if again, ok := decode(got); !ok || !reflect.DeepEqual(again, want) {
			t.Errorf("pick(%q, %q) = %q, want what decodes to %v", doc, pointer, got, want)
		}
		if !bytes.Contains(doc, got) {
			t.Errorf("pick(%q, %q) = %q, which is not in the document as it is", doc, pointer, got)
		}
	})
}
