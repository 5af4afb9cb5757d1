package source

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"unicode/utf8"
)

// The functions here take JSON apart that encoding/json has found well-formed before. They look for where a value ends and
// leave it as it is, so that of an item only what is asked for is read, and no digit gets lost.

// parts returns the values in an array, or the names and values in turn of an object. ok is false unless data begins with
// the bracket given.
func parts(data []byte, bracket byte) (all [][]byte, ok bool) {
	if len(data) == 0 || data[0] != bracket {
		return nil, false
	}
	all = make([][]byte, 0, 4)
	for rest := data[1:]; ; {
		rest = bytes.TrimLeft(rest, " \t\r\n,:")
		if len(rest) == 0 || rest[0] == '}' || rest[0] == ']' {
			return all, true
		}
		n := valueLen(rest)
		all, rest = append(all, rest[:n:n]), rest[n:]
	}
}

// valueLen returns the length of the value that data begins with.
func valueLen(data []byte) int {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			for i++; i < len(data) && data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		case ',', ':', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return len(data)
}

// unquote reads a JSON string.
func unquote(quoted []byte) (s string, ok bool) {
	if len(quoted) < 2 || quoted[0] != '"' {
		return "", false
	}
	if plain := quoted[1 : len(quoted)-1]; bytes.IndexByte(plain, '\\') < 0 && utf8.Valid(plain) {
		return string(plain), true
	}
	return s, json.Unmarshal(quoted, &s) == nil
}

// unquoteBinary reads a JSON string that holds base64.
func unquoteBinary(quoted []byte) (s string, ok bool) {
	s, ok = unquote(quoted)
	b, err := base64.StdEncoding.DecodeString(s)
	return string(b), ok && err == nil
}
