package source

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/source/awstest"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
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
	tests := []struct {
		name  string
		input types.AttributeValue
	}{
		{"nothing", nil},
		{"a type of the future", &types.UnknownUnionMember{Tag: "D", Value: []byte("hush")}},
		{"no number", &types.AttributeValueMemberN{Value: "hush"}},
		{"no number in a set", &types.AttributeValueMemberNS{Value: []string{"1", "hush"}}},
		{"no number in a list", &types.AttributeValueMemberL{Value: []types.AttributeValue{&types.AttributeValueMemberN{Value: "hush"}}}},
	}
	for _, tt := range tests {
		v, err := itemValue(map[string]types.AttributeValue{"a": tt.input})
		if err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: itemValue = %v, %v, want an error without the value", tt.name, v, err)
			continue
		}
		wantClass(t, tt.name, err, nil)
	}
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

func fromJSON(input []byte) (types.AttributeValue, bool) {
	d := json.NewDecoder(bytes.NewReader(input))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil || d.More() {
		return nil, false
	}
	return attributeOf(v), true
}

func attributeOf(v any) types.AttributeValue {
	switch v := v.(type) {
	case string:
		return &types.AttributeValueMemberS{Value: v}
	case json.Number:
		if _, ok := parseDecimal(v.String()); !ok {
			return &types.AttributeValueMemberNULL{Value: true} // an exponent no number of DynamoDB has
		}
		return &types.AttributeValueMemberN{Value: v.String()}
	case bool:
		return &types.AttributeValueMemberBOOL{Value: v}
	case []any:
		list := &types.AttributeValueMemberL{}
		for _, e := range v {
			list.Value = append(list.Value, attributeOf(e))
		}
		return list
	case map[string]any:
		m := &types.AttributeValueMemberM{Value: make(map[string]types.AttributeValue)}
		for name, e := range v {
			m.Value[name] = attributeOf(e)
		}
		return m
	default:
		return &types.AttributeValueMemberNULL{Value: true}
	}
}
