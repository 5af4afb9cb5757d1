package source

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/source/awstest"
)

// every has an attribute of each type; wantEvery is what is served of it.
const (
	every = `{
	"pk": {"S": "all"},
	"n": {"N": "-0.` + digits38 + `"}, "big": {"N": "9.9999999999999999999999999999999999999E+125"}, "odd": {"N": "+07."},
	"yes": {"BOOL": true}, "no": {"BOOL": false}, "nothing": {"NULL": true},
	"b": {"B": "AP8="}, "empty": {"S": ""}, "é\"<": {"S": "\u0001\u2028<&>\n\\"},
	"ss": {"SS": ["b", "a", "é", "B"]}, "ns": {"NS": ["10", "9", "-1", "9.50", "1E1", "0.5"]}, "bs": {"BS": ["/w==", "AA==", "AAA="]},
	"l": {"L": [{"S": "x"}, {"N": "1"}, {"L": []}, {"M": {}}, {"NULL": true}]},
	"m": {"M": {"z": {"N": "1"}, "a": {"M": {"deep": {"L": [{"NS": ["2", "1"]}]}}}}}
}`
	wantEvery = `{"b":"AP8=","big":9.9999999999999999999999999999999999999E+125,"bs":["AA==","AAA=","/w=="],"empty":"",` +
		`"l":["x",1,[],{},null],"m":{"a":{"deep":[[1,2]]},"z":1},"n":-0.` + digits38 + `,"no":false,"nothing":null,` +
		`"ns":[-1,0.5,9,9.50,10,1E1],"odd":7,"pk":"all","ss":["B","a","b","é"],"yes":true,"é\"<":"\u0001\u2028<&>\n\\"}`
)

func TestEveryAttributeType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		fake.CreateTable(here, "table", awstest.KeyAttr{Name: "pk", Type: "S"}, awstest.KeyAttr{})
		fake.PutItem(here, "table", every)
		s := items(t, fake, config.Item{Entry: config.Entry{Name: "all"}, Table: "table", Hash: text("pk", "all")})
		for i := range 1000 {
			if got := bodies(t, s, "all")["all"]; got != wantEvery {
				t.Fatalf("read %d:\ngot  %s\nwant %s", i, got, wantEvery)
			}
		}
	})
}

func TestUnreadableAttributes(t *testing.T) {
	tests := []struct{ name, input string }{
		{"nothing", `null`},
		{"no type", `{}`},
		{"two types", `{"S": "hush", "N": "1"}`},
		{"one type twice", `{"S": "hush", "S": "hush"}`},
		{"a type of the future", `{"D": "hush"}`},
		{"a type in lower case", `{"s": "hush"}`},
		{"a string as it is", `"hush"`},
		{"no string", `{"S": 1}`},
		{"no string at all", `{"S": null}`},
		{"no number", `{"N": "hush"}`},
		{"a number as it is", `{"N": 1}`},
		{"no number in a set", `{"NS": ["1", "hush"]}`},
		{"no number in a list", `{"L": [{"N": "hush"}]}`},
		{"no number in a map", `{"M": {"a": {"N": "hush"}}}`},
		{"a name twice in a map", `{"M": {"a": {"S": "hush"}, "\u0061": {"S": "hush"}}}`},
		{"no base64", `{"B": "hush!"}`},
		{"no base64 in a set", `{"BS": ["hush!"]}`},
		{"no string in a set", `{"SS": ["hush", 1]}`},
		{"no set", `{"SS": {"hush": "hush"}}`},
		{"no list", `{"L": {"hush": "hush"}}`},
		{"no map", `{"M": ["hush"]}`},
		{"no boolean", `{"BOOL": "true"}`},
		{"no null", `{"NULL": false}`},
	}
	for _, tt := range tests {
		if !json.Valid([]byte(tt.input)) {
			t.Fatalf("%s: not JSON", tt.name)
		}
		v, err := itemValue(attributes{"a": []byte(tt.input)})
		if err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: itemValue = %v, %v, want an error without the value", tt.name, v, err)
			continue
		}
		wantClass(t, tt.name, err, nil)
	}
}

func TestAttributesOnTheWire(t *testing.T) {
	tests := []struct{ name, input, want string }{
		{"spaces", " { \"a\" : { \"L\" : [ { \"S\" : \"x\" } ,\n{\t\"BOOL\" : true\r} ] } } ", `{"a":["x",true]}`},
		{"brackets in strings", `{"a}\"]": {"S": "{[\\\"}"}}`, `{"a}\"]":"{[\\\"}"}`},
		{"escapes", `{"\u0061": {"\u0053": "\u00e9\ud83d\ude00\ud800\/"}}`, "{\"a\":\"é😀\ufffd/\"}"},
		{"not UTF-8", "{\"a\": {\"S\": \"\xff\"}}", "{\"a\":\"\ufffd\"}"},
		{"nothing", `null`, ""},
		{"no attributes", `{}`, `{}`},
		{"a name twice", `{"a": {"S": "hush"}, "a": {"S": "hush"}, "a": {"S": "hush"}}`, errAttribute.Error()},
	}
	for _, tt := range tests {
		var a attributes
		if err := json.Unmarshal([]byte(tt.input), &a); err != nil {
			t.Errorf("%s: Unmarshal: %v", tt.name, err)
			continue
		}
		got := ""
		if a != nil {
			v, err := itemValue(a)
			if err != nil {
				got = err.Error()
			} else {
				got = string(v.Body)
			}
		}
		if got != tt.want {
			t.Errorf("%s: %s is served as %s, want %s", tt.name, tt.input, got, tt.want)
		}
	}
	if err := json.Unmarshal([]byte(`["hush"]`), new(attributes)); err != errAttribute {
		t.Errorf("Unmarshal of an array = %v, want %v", err, errAttribute)
	}
}

// FuzzParts takes a JSON value apart and puts it together again.
func FuzzParts(f *testing.F) {
	f.Add([]byte(`{"a": [1, -2.50e1, "x\\\"", null, true, {}], "": {"]": [[], "}"]}} `))
	f.Add([]byte("[\n[ ] ,\t{ } , \"\\u005c\" ]"))
	f.Fuzz(func(t *testing.T, input []byte) {
		var want bytes.Buffer
		if json.Compact(&want, input) != nil {
			return
		}
		if got := compact(want.Bytes()); string(got) != want.String() {
			t.Errorf("the parts of %s make %s", want.Bytes(), got)
		}
		if got := compact(bytes.TrimSpace(input)); string(got) != want.String() {
			t.Errorf("the parts of %q make %s, want %s", input, got, want.Bytes())
		}
	})
}

// compact is a slow json.Compact, made of parts.
func compact(value []byte) []byte {
	if all, ok := parts(value, '['); ok {
		for i := range all {
			all[i] = compact(all[i])
		}
		return slices.Concat([]byte("["), bytes.Join(all, []byte(",")), []byte("]"))
	}
	if all, ok := parts(value, '{'); ok {
		var members [][]byte
		for pair := range slices.Chunk(all, 2) {
			members = append(members, slices.Concat(pair[0], []byte(":"), compact(pair[1])))
		}
		return slices.Concat([]byte("{"), bytes.Join(members, []byte(",")), []byte("}"))
	}
	return value
}

func FuzzAppendString(f *testing.F) {
	for _, seed := range []string{"", "a", "\x00\x1f\x7f\b\f\n\r\t", `"\/<>&`, "\u2028\u2029\u2027é😀", "\xff\xc3", "\ufffd"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var want bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		if err := e.Encode(s); err != nil {
			t.Fatal(err)
		}
		if got := string(appendString(nil, s)) + "\n"; got != want.String() {
			t.Errorf("appendString(%q) = %s, want %s", s, got, want.String())
		}
	})
}

// FuzzAttribute prints a value made of the input, reads that as JSON, makes a value of that and prints it again.
func FuzzAttribute(f *testing.F) {
	f.Add([]byte(`{"a": [1, -2.50, 1e5, "x", null, true], "b": {"set": ["b", "a"]}}`))
	f.Add([]byte(`[[[]], {}, "", 0, -0, 123456789012345678901234567890.5]`))
	f.Fuzz(func(t *testing.T, input []byte) {
		v, ok := fromJSON(input)
		if !ok {
			return
		}
		first, err := appendAttribute(nil, v)
		if err != nil {
			t.Fatalf("appendAttribute: %v", err)
		}
		v, ok = fromJSON(first)
		if !ok {
			t.Fatalf("%s is not JSON", first)
		}
		second, err := appendAttribute(nil, v)
		if err != nil || !bytes.Equal(first, second) {
			t.Errorf("printed %s, then %s, %v", first, second, err)
		}
	})
}

func fromJSON(input []byte) (attribute []byte, ok bool) {
	d := json.NewDecoder(bytes.NewReader(input))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil || d.More() {
		return nil, false
	}
	attribute, err := json.Marshal(attributeOf(v))
	return attribute, err == nil
}

func attributeOf(v any) fields {
	switch v := v.(type) {
	case string:
		return fields{"S": v}
	case json.Number:
		if _, ok := parseDecimal(v.String()); !ok {
			return fields{"NULL": true} // an exponent no number of DynamoDB has
		}
		return fields{"N": v.String()}
	case bool:
		return fields{"BOOL": v}
	case []any:
		list := []fields{}
		for _, e := range v {
			list = append(list, attributeOf(e))
		}
		return fields{"L": list}
	case map[string]any:
		m := make(fields)
		for name, e := range v {
			m[name] = attributeOf(e)
		}
		return fields{"M": m}
	default:
		return fields{"NULL": true}
	}
}
