package server

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"cache-extension/extension/internal/cache"
)

// validPointer says whether p is a JSON pointer (RFC 6901) in its string form.
func validPointer(p string) bool {
	if p != "" && p[0] != '/' {
		return false
	}
	for i := 0; i < len(p); i++ {
		if p[i] == '~' && (i+1 == len(p) || p[i+1] != '0' && p[i+1] != '1') {
			return false
		}
	}
	return true
}

// pick returns what the valid, non-empty pointer finds in v: the text of a string, the exact bytes of anything else.
func pick(v *cache.Value, pointer string) ([]byte, bool) {
	if v.Binary || !json.Valid(v.Body) {
		return nil, false
	}
	at := v.Body
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	for token := range strings.SplitSeq(pointer[1:], "/") {
		var ok bool
		if at, ok = step(at, unescape.Replace(token)); !ok {
			return nil, false
		}
	}
	if at[0] != '"' {
		return at, true
	}
	var text string
	if json.Unmarshal(at, &text) != nil {
		return nil, false
	}
	return []byte(text), true
}

// step returns the exact bytes of the member of a JSON object, or the element of an array, that token names.
func step(at []byte, token string) ([]byte, bool) {
	at = bytes.TrimLeft(at, " \t\r\n")
	switch at[0] {
	case '{':
		var members map[string]json.RawMessage
		if json.Unmarshal(at, &members) != nil {
			return nil, false
		}
		m, ok := members[token]
		return m, ok
	case '[':
		i, err := strconv.Atoi(token)
		if err != nil || i < 0 || strconv.Itoa(i) != token { // no leading zeros, no sign
			return nil, false
		}
		var elements []json.RawMessage
		if json.Unmarshal(at, &elements) != nil || i >= len(elements) {
			return nil, false
		}
		return elements[i], true
	}
	return nil, false
}
