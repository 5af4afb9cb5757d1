package source

import (
	"cmp"
	"encoding/json"
	"strconv"
	"strings"
)

// decimal is a number with all its digits: 0.digits times ten to the power of point. Equal numbers are equal decimals:
// digits has no zero at either end, and is empty for zero, which has no sign and no point.
type decimal struct {
	negative bool
	digits   string
	point    int
}

// parseDecimal reads a number as DynamoDB takes it: a sign, digits with a point anywhere among them, an exponent.
func parseDecimal(text string) (d decimal, ok bool) {
	mantissa, power := text, 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		n, err := strconv.ParseInt(text[i+1:], 10, 32)
		if err != nil {
			return decimal{}, false
		}
		mantissa, power = text[:i], int(n)
	}
	if mantissa != "" && (mantissa[0] == '-' || mantissa[0] == '+') {
		d.negative = mantissa[0] == '-'
		mantissa = mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := whole + fraction
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return decimal{}, false
	}
	significant := strings.TrimLeft(digits, "0")
	d.point = power + len(whole) - (len(digits) - len(significant))
	d.digits = strings.TrimRight(significant, "0")
	if d.digits == "" {
		return decimal{}, true
	}
	return d, true
}

func (d decimal) sign() int {
	switch {
	case d.digits == "":
		return 0
	case d.negative:
		return -1
	default:
		return 1
	}
}

// compare returns -1, 0 or 1 as d is less than, equal to or more than o.
func (d decimal) compare(o decimal) int {
	if c := cmp.Compare(d.sign(), o.sign()); c != 0 || d.sign() == 0 {
		return c
	}
	// The first digit of neither is zero, so the place of the point decides before the digits do.
	return d.sign() * cmp.Or(cmp.Compare(d.point, o.point), strings.Compare(d.digits, o.digits))
}

// String returns d as JSON writes numbers: plainly where that takes few zeros, else with an exponent.
func (d decimal) String() string {
	const manyZeros = 6
	sign, n := "", len(d.digits)
	if d.negative {
		sign = "-"
	}
	switch {
	case n == 0:
		return "0"
	case -manyZeros < d.point && d.point <= 0:
		return sign + "0." + strings.Repeat("0", -d.point) + d.digits
	case 0 < d.point && d.point < n:
		return sign + d.digits[:d.point] + "." + d.digits[d.point:]
	case n <= d.point && d.point < n+manyZeros:
		return sign + d.digits + strings.Repeat("0", d.point-n)
	}
	mantissa := d.digits[:1]
	if n > 1 {
		mantissa += "." + d.digits[1:]
	}
	return sign + mantissa + "e" + strconv.Itoa(d.point-1)
}

// isJSONNumber reports whether text can stand in JSON as it is.
func isJSONNumber(text string) bool {
	if text == "" || !strings.ContainsRune("-0123456789", rune(text[0])) || !strings.ContainsRune("0123456789", rune(text[len(text)-1])) {
		return false // a space at either end would be valid JSON
	}
	return json.Valid([]byte(text))
}
