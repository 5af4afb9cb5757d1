package config

import (
	"errors"
	"strconv"
	"strings"
)

// DynamoDB's limits of a number: significant digits, and the exponent of its first digit.
const (
	maxDigits      = 38
	minNumberPower = -130
	maxNumberPower = 125
)

// errNoNumber is what is wrong with text that is no number at all.
var errNoNumber = errors.New("is not a number")

// checkNumber returns what keeps text from being a DynamoDB number, or nil: an optional sign, digits with an optional
// point, an optional exponent.
func checkNumber(text string) error {
	mantissa, exponent, hasExponent := strings.Cut(strings.ToLower(text), "e")
	if mantissa != "" && strings.ContainsRune("+-", rune(mantissa[0])) {
		mantissa = mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := whole + fraction
	if !isDigits(digits) {
		return errNoNumber
	}
	var power int
	if hasExponent {
		// An exponent that overflows comes back as the largest one, which the range refuses below.
		n, err := strconv.ParseInt(exponent, 10, 32)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return errNoNumber
		}
		power = int(n)
	}
	significant := strings.TrimLeft(digits, "0")
	power += len(whole) - 1 - (len(digits) - len(significant))
	significant = strings.TrimRight(significant, "0")
	switch {
	case significant == "":
		return nil
	case len(significant) > maxDigits:
		return errors.New("has more than the 38 digits of a DynamoDB number")
	case power < minNumberPower || power > maxNumberPower:
		return errors.New("is outside the range of a DynamoDB number (1e-130 to 9.99e125)")
	}
	return nil
}

// isNumber reports whether text is a number in any spelling that checkNumber knows, however large.
func isNumber(text string) bool { return !errors.Is(checkNumber(text), errNoNumber) }

func isDigits(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }

// isPlainNumber reports whether text is a number as JSON writes it, without an exponent: the one spelling that every
// reader of YAML takes for the same number.
func isPlainNumber(text string) bool {
	whole, fraction, point := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	if whole == "" || whole[0] == '0' && whole != "0" || point && fraction == "" {
		return false
	}
	return isDigits(whole + fraction)
}

// isShortest reports whether text is a plain number in its shortest spelling: of equal numbers, there is only one.
func isShortest(text string) bool {
	_, fraction, _ := strings.Cut(text, ".")
	return isPlainNumber(text) && !strings.HasSuffix(fraction, "0") && text != "-0"
}
