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

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// errAttribute quotes nothing: what could not be read is a value.
var errAttribute = errors.New("the item has an attribute of no known type, or a number that is none")

// appendItem appends an item as one JSON object. Keys and sets are sorted, so that equal items have equal bytes, and
// numbers keep every digit.
func appendItem(dst []byte, item map[string]types.AttributeValue) ([]byte, error) {
	return appendObject(dst, item, appendAttribute)
}

func appendAttribute(dst []byte, v types.AttributeValue) ([]byte, error) {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return appendString(dst, v.Value), nil
	case *types.AttributeValueMemberN:
		return appendNumber(dst, v.Value)
	case *types.AttributeValueMemberBOOL:
		if v.Value {
			return append(dst, "true"...), nil
		}
		return append(dst, "false"...), nil
	case *types.AttributeValueMemberNULL:
		return append(dst, "null"...), nil
	case *types.AttributeValueMemberM:
		return appendObject(dst, v.Value, appendAttribute)
	case *types.AttributeValueMemberL:
		return appendArray(dst, v.Value, appendAttribute)
	case *types.AttributeValueMemberB:
		return appendBinary(dst, v.Value)
	case *types.AttributeValueMemberSS:
		return appendArray(dst, slices.Sorted(slices.Values(v.Value)), func(dst []byte, s string) ([]byte, error) {
			return appendString(dst, s), nil
		})
	case *types.AttributeValueMemberNS:
		return appendNumbers(dst, v.Value)
	case *types.AttributeValueMemberBS:
		return appendArray(dst, slices.SortedFunc(slices.Values(v.Value), bytes.Compare), appendBinary)
	default:
		return dst, errAttribute
	}
}

// appendNumbers appends a set of numbers by value, then by text.
func appendNumbers(dst []byte, set []string) ([]byte, error) {
	type number struct {
		value decimal
		text  string
	}
	numbers := make([]number, 0, len(set))
	for _, text := range set {
		value, ok := parseDecimal(text)
		if !ok {
			return dst, errAttribute
		}
		numbers = append(numbers, number{value, text})
	}
	slices.SortFunc(numbers, func(a, b number) int {
		return cmp.Or(a.value.compare(b.value), strings.Compare(a.text, b.text))
	})
	return appendArray(dst, numbers, func(dst []byte, n number) ([]byte, error) { return appendNumber(dst, n.text) })
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

func appendBinary(dst, b []byte) ([]byte, error) {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, b)
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
