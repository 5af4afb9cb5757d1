package shared

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"cache-extension/extension/internal/cache"
)

// KeySize is the length in bytes of the key that seals what is shared.
const KeySize = 32

// DecodeKey reads the text of the secret that key_secret names. Its errors do not quote it.
func DecodeKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != KeySize {
		return nil, fmt.Errorf("the secret that key_secret names is not %d bytes in base64; make one with: openssl rand -base64 %d", KeySize, KeySize)
	}
	return key, nil
}

// seal writes and reads records, and names the keys they are under. A nil seal leaves both open to who can read the server.
type seal struct {
	records cipher.AEAD
	names   []byte // key of the keyed hash
}

func newSeal(key []byte) (*seal, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("the sealing key has %d bytes, not %d", len(key), KeySize)
	}
	derive := func(use string) ([]byte, error) {
		return hkdf.Key(sha256.New, key, nil, "cache-extension shared tier, "+use, KeySize)
	}
	records, err := derive("records")
	if err != nil {
		return nil, err
	}
	names, err := derive("names")
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(records)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &seal{aead, names}, nil
}

// The second byte of a record.
const (
	formOpen   = 0 // the label and the content follow
	formSealed = 1 // a nonce and the sealed content follow; the label is authenticated with it
)

// overhead is more than what a record has beside its label and its content.
const overhead = 64

// errTooLarge is the error of a value that is not shared.
var errTooLarge = errors.New("too large to be shared")

// write makes the record of a value that was fetched at the given time.
func (s *seal) write(r resource, v *cache.Value, at time.Time) ([]byte, error) {
	c := content(v, at)
	if len(c) > maxRecord {
		return nil, errTooLarge
	}
	if s == nil {
		return join([]byte{recordVersion, formOpen}, r.label(), c), nil
	}
	return s.records.Seal([]byte{recordVersion, formSealed}, nil, c, r.label()), nil
}

// read gives what write was given. A record of another form, resource or key is errRecord; so is an open one where there
// is a key: whoever can write to the server could have put it there.
func (s *seal) read(r resource, record []byte) (*cache.Value, error) {
	label := r.label()
	if len(record) > maxRecord+len(label)+overhead {
		return nil, errRecord
	}
	if s == nil {
		c, ok := bytes.CutPrefix(record, join([]byte{recordVersion, formOpen}, label))
		if !ok {
			return nil, errRecord
		}
		return readContent(c)
	}
	sealed, ok := bytes.CutPrefix(record, []byte{recordVersion, formSealed})
	if !ok {
		return nil, errRecord
	}
	c, err := s.records.Open(nil, nil, sealed, label)
	if err != nil {
		return nil, errRecord
	}
	return readContent(c)
}

// name is what the resource is called in the keys of the server.
func (s *seal) name(r resource) string {
	if s == nil {
		return r.kind + ":" + r.identity
	}
	h := hmac.New(sha256.New, s.names)
	h.Write(r.label())
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
