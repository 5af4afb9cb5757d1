package shared

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"cache-extension/extension/internal/cache"
)

func testSeal(t testing.TB, b byte) *seal {
	t.Helper()
	s, err := newSeal(bytes.Repeat([]byte{b}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What is on the server outlives the program that wrote it, so the bytes are fixed.
func TestRecordBytes(t *testing.T) {
	at := time.UnixMilli(0x0102030405)
	r := resource{"parameters", "x"}
	var open *seal
	tests := []struct {
		name  string
		input *cache.Value
		want  string
	}{
		{"text", text("hi"), "0100" + "01" + "0a" + hex.EncodeToString([]byte("parameters")) + "0178" + "0000000102030405" + "00" + "026869"},
		{"binary", &cache.Value{Body: []byte{0xff}, Binary: true}, "0100" + "01" + "0a" + hex.EncodeToString([]byte("parameters")) + "0178" + "0000000102030405" + "01" + "01ff"},
		{"tree", &cache.Value{Body: []byte("{}"), Members: map[string]*cache.Value{"b": text(""), "a": text("1")}},
			"0100" + "01" + "0a" + hex.EncodeToString([]byte("parameters")) + "0178" + "0000000102030405" + "02" + "027b7d" + "02" + "0161" + "0131" + "0162" + "00"},
	}
	for _, c := range tests {
		got, err := open.write(r, c.input, at)
		if err != nil || hex.EncodeToString(got) != c.want {
			t.Errorf("%s: write = %x, %v, want %s", c.name, got, err, c.want)
		}
		v, err := open.read(r, got)
		if err != nil || !v.FetchedAt.Equal(at) || !v.Shared {
			t.Errorf("%s: read = %+v, %v, want it shared and of %v", c.name, v, err, at)
		}
	}
	if got, want := open.name(r), "parameters:x"; got != want {
		t.Errorf("name = %q, want %q", got, want)
	}
	sealed := testSeal(t, 'k')
	if got, want := sealed.name(r), "HTWCQrdNQulkCNuQYrrPMUIb0WMWGqSHZnVJteYamKw"; got != want {
		t.Errorf("the hashed name = %q, want %q", got, want)
	}
	const before = "0101"
	record, err := hex.DecodeString(before)
	if err != nil {
		t.Fatal(err)
	}
	got, err := sealed.write(r, text("hi"), at)
	if err != nil || !bytes.HasPrefix(got, record) || len(got) != 2+12+12+16 {
		t.Errorf("a sealed record is %x, %v, want 0101, a nonce, 12 bytes and a tag", got, err)
	}
}

func TestSealBinds(t *testing.T) {
	r := resource{"parameters", "x"}
	s := testSeal(t, 'k')
	var open *seal
	write := func(s *seal, r resource) []byte {
		record, err := s.write(r, text("value"), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return record
	}
	good := write(s, r)
	if v, err := s.read(r, good); err != nil || string(v.Body) != "value" {
		t.Fatalf("read = %+v, %v", v, err)
	}
	if bytes.Contains(good, []byte("value")) || bytes.Equal(good, write(s, r)) {
		t.Error("a sealed record shows its value, or is the same each time")
	}
	flipped := slices.Clone(good)
	flipped[len(flipped)-1] ^= 1
	version := slices.Clone(good)
	version[0]++
	tests := []struct {
		name   string
		by     *seal
		of     resource
		record []byte
	}{
		{"another key", testSeal(t, 'l'), r, good},
		{"another identity", s, resource{"parameters", "y"}, good},
		{"another kind", s, resource{"secrets", "x"}, good},
		{"the border moved", s, resource{"parametersx", ""}, good},
		{"a bit flipped", s, r, flipped},
		{"another version", s, r, version},
		{"cut off", s, r, good[:len(good)-1]},
		{"cut off in the nonce", s, r, good[:9]},
		{"nothing", s, r, nil},
		{"an open one where there is a key", s, r, write(open, r)},
		{"a sealed one where there is none", open, r, good},
		{"an open one of another identity", open, resource{"parameters", "y"}, write(open, r)},
		{"an open one of another kind", open, resource{"secrets", "x"}, write(open, r)},
		{"an open one with more behind", open, r, append(write(open, r), 0)},
		{"one that is too large", open, r, append(write(open, r), make([]byte, maxRecord+overhead)...)},
	}
	for _, c := range tests {
		if v, err := c.by.read(c.of, c.record); v != nil || !errors.Is(err, errRecord) {
			t.Errorf("%s: read = %+v, %v, want %v", c.name, v, err, errRecord)
		}
	}
	names := []string{s.name(r), s.name(resource{"secrets", "x"}), s.name(resource{"parameters", "y"}), testSeal(t, 'l').name(r)}
	slices.Sort(names)
	if len(slices.Compact(names)) != 4 {
		t.Errorf("two of the names are equal: %q", names)
	}
}

func TestLargestRecord(t *testing.T) {
	r := resource{"dynamodb", strings.Repeat("x", 2000)}
	for _, s := range []*seal{nil, testSeal(t, 'k')} {
		for _, size := range []int{maxRecord - 20, maxRecord} {
			body := make([]byte, size)
			for i := range body {
				body[i] = byte(rand.Uint32())
			}
			record, err := s.write(r, &cache.Value{Body: body}, time.Now())
			if size == maxRecord {
				if !errors.Is(err, errTooLarge) {
					t.Errorf("a body of %d: %v, want %v", size, err, errTooLarge)
				}
				continue
			}
			if v, err := s.read(r, record); err != nil || !bytes.Equal(v.Body, body) {
				t.Errorf("a body of %d does not come back: %v", size, err)
			}
			if len(record) > maxBulk {
				t.Errorf("a record of %d bytes is more than may come over a connection", len(record))
			}
		}
	}
}

func TestDecodeKey(t *testing.T) {
	const good = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	if got, err := DecodeKey(good + "\n"); string(got) != "01234567890123456789012345678901" || err != nil {
		t.Errorf("DecodeKey(%q) = %q, %v", good, got, err)
	}
	for _, bad := range []string{"", "hunter2", good[4:], good + good, strings.Repeat("=", 44)} {
		got, err := DecodeKey(bad)
		if got != nil || err == nil || !strings.Contains(err.Error(), "openssl rand -base64 32") || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("DecodeKey(%q) = %q, %v, want an error that says how to make one and does not quote it", bad, got, err)
		}
	}
	if _, err := newSeal([]byte("short")); err == nil {
		t.Error("a short key seals")
	}
}

func FuzzOpen(f *testing.F) {
	r := resource{"parameters", "x"}
	for _, v := range []*cache.Value{text(""), text("hi"), {Body: []byte{0}, Binary: true}, {Body: []byte("{}"), Members: map[string]*cache.Value{"a": text("1"), "b": text("")}}} {
		for _, s := range []*seal{nil, testSeal(f, 'k')} {
			record, err := s.write(r, v, time.UnixMilli(1))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(record)
		}
		f.Add(content(v, time.UnixMilli(1)))
	}
	sealed := testSeal(f, 'k')
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, s := range []*seal{nil, sealed} {
			if v, err := s.read(r, b); (v == nil) == (err == nil) {
				t.Fatalf("read = %+v, %v", v, err)
			}
		}
		v, err := readContent(b)
		if err != nil {
			return
		}
		// What is taken has one form: it is written the same again.
		if again := content(v, v.FetchedAt); !bytes.Equal(again, b) {
			t.Errorf("%x was read and written again as %x", b, again)
		}
	})
}
