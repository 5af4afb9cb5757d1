package source

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// errAttribute quotes nothing: what could not be read is a value.
var errAttribute = errors.New("the item has an attribute of no known type, or a number that is none")

// attributes are those of an item or a key by name: JSON as on the wire, such as {"S": "x"}. It is nil where a name came
// twice.
type attributes map[string][]byte

// UnmarshalJSON takes an object apart and reads no attribute: one that cannot be read costs nobody but its item.
func (a *attributes) UnmarshalJSON(data []byte) (err error) {
	if string(data) != "null" {
		*a, err = takeApart(bytes.Clone(data))
	}
	return err
}

func takeApart(object []byte) (attributes, error) {
	all, ok := parts(object, '{')
	if !ok {
		return nil, errAttribute
	}
	a := make(attributes, len(all)/2)
	for pair := range slices.Chunk(all, 2) {
		name, _ := unquote(pair[0])
		if _, twice := a[name]; twice {
			pair[1] = nil
		}
		a[name] = pair[1]
	}
	return a, nil
}

// typed returns the type of an attribute and its value. The type is empty unless there is exactly one.
func typed(attribute []byte) (kind string, value []byte) {
	if pair, _ := parts(attribute, '{'); len(pair) == 2 {
		kind, _ = unquote(pair[0])
		value = pair[1]
	}
	return kind, value
}

// appendItem appends an item as one JSON object. Keys and sets are sorted, so that equal items have equal bytes, and
// numbers keep every digit.
func appendItem(dst []byte, item attributes) ([]byte, error) {
	return appendObject(dst, item, appendAttribute)
}

func appendAttribute(dst, attribute []byte) ([]byte, error) {
	kind, value := typed(attribute)
	switch kind {
	case "S":
		if text, ok := unquote(value); ok {
			return appendText(dst, text)
		}
	case "N":
		if text, ok := unquote(value); ok {
			return appendNumber(dst, text)
		}
	case "B":
		if b, ok := unquoteBinary(value); ok {
			return appendBinary(dst, b)
		}
	case "BOOL":
		if text := string(value); text == "true" || text == "false" {
			return append(dst, text...), nil
		}
	case "NULL":
		if string(value) == "true" {
			return append(dst, "null"...), nil
		}
	case "M":
		if m, err := takeApart(value); err == nil {
			return appendItem(dst, m)
		}
	case "L":
		if list, ok := parts(value, '['); ok {
			return appendArray(dst, list, appendAttribute)
		}
	case "SS":
		return appendSet(dst, value, unquote, strings.Compare, appendText)
	case "NS":
		return appendSet(dst, value, unquote, byNumber, appendNumber)
	case "BS":
		return appendSet(dst, value, unquoteBinary, strings.Compare, appendBinary)
	}
	return dst, errAttribute
}

// appendSet appends a set in the given order of its elements, each of which read reads.
func appendSet(dst, set []byte, read func([]byte) (string, bool), order func(a, b string) int, appendValue func([]byte, string) ([]byte, error)) ([]byte, error) {
	quoted, ok := parts(set, '[')
	values := make([]string, 0, len(quoted))
	for _, q := range quoted {
		v, readable := read(q)
		values, ok = append(values, v), ok && readable
	}
	if !ok {
		return dst, errAttribute
	}
	slices.SortFunc(values, order)
	return appendArray(dst, values, appendValue)
}

// byNumber orders numbers by value, then by text. What is no number comes anywhere: appendNumber refuses it.
func byNumber(a, b string) int {
	m, _ := parseDecimal(a)
	n, _ := parseDecimal(b)
	return cmp.Or(m.compare(n), strings.Compare(a, b))
}

// appendNumber appends text as it is where JSON has that number, too, else the same number in JSON's spelling.
func appendNumber(dst []byte, text string) ([]byte, error) {
	if isJSONNumber(text) {
		return append(dst, text...), nil
	}
	d, ok := parseDecimal(text)
	if !ok {
		return dst, errAttribute
	}
	return append(dst, d.String()...), nil
}

func appendText(dst []byte, s string) ([]byte, error) { return appendString(dst, s), nil }

func appendBinary(dst []byte, s string) ([]byte, error) {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, []byte(s))
	return append(dst, '"'), nil
}

func appendObject[V any](dst []byte, members map[string]V, appendValue func([]byte, V) ([]byte, error)) ([]byte, error) {
	dst = append(dst, '{')
	for i, name := range slices.Sorted(maps.Keys(members)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, name), ':')
		var err error
		if dst, err = appendValue(dst, members[name]); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

func appendArray[V any](dst []byte, values []V, appendValue func([]byte, V) ([]byte, error)) ([]byte, error) {
	dst = append(dst, '[')
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = appendValue(dst, v); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

// appendString appends s as encoding/json writes strings without its escapes for HTML: what is not UTF-8 becomes U+FFFD,
// and the two line ends that JavaScript once refused in strings are escaped.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\b':
			dst = append(dst, `\b`...)
		case r == '\f':
			dst = append(dst, `\f`...)
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r < ' ':
			dst = append(dst, `\u00`...)
			dst = append(dst, hex[r>>4], hex[r&15])
		case r == utf8.RuneError && size == 1:
			dst = append(dst, `\ufffd`...)
		case r == '\u2028' || r == '\u2029':
			dst = append(dst, `\u202`...)
			dst = append(dst, hex[r&15])
		default:
			dst = append(dst, s[i:i+size]...)
		}
		i += size
	}
	return append(dst, '"')
}
