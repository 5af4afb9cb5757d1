package source

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"
)

const digits38 = "12345678901234567890123456789012345678"

func TestDecimalString(t *testing.T) {
	tests := []struct{ name, input, want string }{
		{"zero", "0", "0"},
		{"zero in other words", "-000.000e5", "0"},
		{"a plus", "+5", "5"},
		{"zeros in front and behind", "007.100", "7.1"},
		{"a point in front", ".5", "0.5"},
		{"a point behind", "5.", "5"},
		{"an exponent", "4.2E1", "42"},
		{"a negative one", "-42e-1", "-4.2"},
		{"few zeros", "42e-6", "0.000042"},
		{"many zeros", "42e-9", "4.2e-8"},
		{"many zeros behind", "1E+125", "1e125"},
		{"all digits", digits38, digits38},
		{"all digits, small", "-" + digits38 + "e-130", "-1.2345678901234567890123456789012345678e-93"},
		{"a fraction with all digits", "0." + digits38, "0." + digits38},
	}
	for _, tt := range tests {
		d, ok := parseDecimal(tt.input)
		if got := d.String(); !ok || got != tt.want {
			t.Errorf("%s: parseDecimal(%q) = %q, %t, want %q", tt.name, tt.input, got, ok, tt.want)
		}
	}
	for _, input := range []string{"", "-", ".", "+-1", "1 ", "0x1", "1_0", "1e", "1e1.5", "1e99999999999", "NaN", "Infinity", "١"} {
		if d, ok := parseDecimal(input); ok {
			t.Errorf("parseDecimal(%q) = %v, want none", input, d)
		}
	}
}

func TestDecimalsAreMapKeys(t *testing.T) {
	want, _ := parseDecimal("42")
	for _, input := range []string{"42.0", "4.2E1", "+0042", "420e-1", "0.42e2"} {
		if got, _ := parseDecimal(input); got != want {
			t.Errorf("parseDecimal(%q) = %v, want %v", input, got, want)
		}
	}
}

func FuzzDecimal(f *testing.F) {
	for _, seed := range []string{"0", "-0", "1", "-1", "42", "4.2E1", "10", "9.99", "1e125", "1e-130", digits38, digits38[:37] + "9", "-" + digits38} {
		f.Add(seed, "42.0")
		f.Add(seed, "-"+digits38+"e-130")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a)+len(b) > 100 {
			return
		}
		x, ok := parseDecimal(a)
		y, ok2 := parseDecimal(b)
		if !ok || !ok2 || x.point > 1000 || x.point < -1000 || y.point > 1000 || y.point < -1000 {
			return // math/big would write out all the zeros
		}
		rx, ry := rational(t, a), rational(t, b)
		if got, want := x.compare(y), rx.Cmp(ry); got != want {
			t.Errorf("%q.compare(%q) = %d, want %d", a, b, got, want)
		}
		if got, want := x == y, rx.Cmp(ry) == 0; got != want {
			t.Errorf("%q == %q is %t, want %t", a, b, got, want)
		}
		text := x.String()
		if !isJSONNumber(text) {
			t.Errorf("%q is written %q, which is no JSON number", a, text)
		}
		if again, ok := parseDecimal(text); !ok || again != x {
			t.Errorf("%q is written %q, which is read as %v, want %v", a, text, again, x)
		}
		served, err := appendNumber(nil, a)
		if err != nil || !json.Valid(served) || rational(t, string(served)).Cmp(rx) != 0 {
			t.Errorf("%q is served as %s, %v", a, served, err)
		}
		if rational(t, text).Cmp(rx) != 0 {
			t.Errorf("%q is written %q, another number", a, text)
		}
	})
}

func rational(t *testing.T, text string) *big.Rat {
	t.Helper()
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		t.Fatalf("math/big does not read %q", text)
	}
	return r
}

func FuzzIsJSONNumber(f *testing.F) {
	for _, seed := range []string{"0", "-1.5e+3", "01", "1.", " 1", "1 ", "1\n", "true", `"1"`, "[1]", "-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var n json.Number
		want := json.Unmarshal([]byte(text), &n) == nil && strings.Trim(text, " \t\r\n") == text && n.String() == text
		if got := isJSONNumber(text); got != want {
			t.Errorf("isJSONNumber(%q) = %t, want %t", text, got, want)
		}
	})
}
