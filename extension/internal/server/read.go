package server

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"cache-extension/extension/internal/cache"
)

// query is the query of a read, checked.
type query struct {
	name    string
	field   string // a JSON pointer; empty means the whole value
	refresh bool
}

// parseQuery reads the form-encoded query of a request to kind. inPath is the name where the path has it; empty where the
// query has it.
func parseQuery(kind, inPath, raw string) (query, *problem) {
	q := query{name: inPath}
	form, err := url.ParseQuery(raw)
	if err != nil {
		return q, badRequest("The query is malformed: encode %% as %%25, & as %%26, ; as %%3B and + as %%2B.")
	}
	keys := make([]string, 0, len(form))
	for k := range form {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		switch k {
		case "name", "field", "refresh":
			if k == "name" && inPath != "" {
				return q, badRequest("The name is given twice: in the path, where all after /%s/ is the name, and as name.", kind)
			}
			if len(form[k]) > 1 {
				return q, badRequest("The parameter %q is given %d times: give it once.", k, len(form[k]))
			}
		default:
			return q, badRequest("Unknown parameter %q: use name, field and refresh, and encode & in a name as %%26.", clip(k))
		}
	}
	if inPath == "" {
		q.name = form.Get("name")
	}
	if q.name == "" {
		return q, badRequest("Say which entry of config.yaml to read: /%s?name=<name>.", kind)
	}
	if q.field = form.Get("field"); !validPointer(q.field) {
		return q, badRequest("The field %q is not a JSON pointer (RFC 6901): start it with /, and write ~ as ~0 and / in a key as ~1.", clip(q.field))
	}
	if v, ok := form["refresh"]; ok {
		if v[0] != "true" && v[0] != "false" {
			return q, badRequest("refresh is %q: use true or false.", clip(v[0]))
		}
		q.refresh = v[0] == "true"
	}
	return q, nil
}

// read answers a read of c, which serves kind. inPath is as in parseQuery.
func (s *Server) read(w http.ResponseWriter, r *http.Request, kind, inPath string, c *cache.Cache) *problem {
	q, p := parseQuery(kind, inPath, r.URL.RawQuery)
	if p != nil {
		return p
	}
	// net/http ends the request's context when a client closes its sending side, though that client may still want the
	// answer. A read has bounds of its own.
	a, err := c.Get(context.WithoutCancel(r.Context()), q.name, q.refresh)
	if err != nil {
		return s.problemOf(err, kind, q.name)
	}
	sent := s.representation(a.Value)
	if q.field != "" {
		body, ok := pick(a.Value, q.field)
		if !ok {
			return noField(q)
		}
		sent = s.represent(body, false)
	}
	h := w.Header()
	h["Etag"] = sent.etag
	h["Age"] = []string{strconv.FormatInt(int64(a.Age/time.Second), 10)}
	h["Cache-Status"] = []string{string(appendCacheStatus(nil, a))}
	if match := r.Header["If-None-Match"]; match != nil && matches(match, sent.etag[0]) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h["Content-Type"] = sent.contentType
	h["Content-Length"] = sent.length
	w.Write(sent.body)
	return nil
}

// representation is a body with the headers that belong to it; never modified.
type representation struct {
	body                      []byte
	contentType, etag, length []string
	head                      string // the same headers as they are sent, from after Cache-Status to before the value of Date
}

// representation returns what is sent for v, made at the first read of it.
func (s *Server) representation(v *cache.Value) *representation {
	return v.Memo(func(v *cache.Value) any { return s.represent(v.Body, v.Binary) }).(*representation)
}

func (s *Server) represent(body []byte, binary bool) *representation {
	mac := hmac.New(sha256.New, s.tagKey[:])
	mac.Write(body)
	tag := base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
	r := &representation{
		body:        body,
		contentType: s.fixed.text,
		etag:        []string{`"` + tag + `"`},
		length:      []string{strconv.Itoa(len(body))},
	}
	switch {
	case binary:
		r.contentType = s.fixed.octets
	case isContainer(body):
		r.contentType = s.fixed.json
	}
	r.head = "\r\nContent-Length: " + r.length[0] + "\r\nContent-Type: " + r.contentType[0] + "\r\nEtag: " + r.etag[0] +
		"\r\nX-Content-Type-Options: nosniff\r\nDate: "
	return r
}

// isContainer says whether b is a JSON object or array.
func isContainer(b []byte) bool {
	for _, c := range b {
		switch c {
		case ' ', '\t', '\r', '\n':
		case '{', '[':
			return json.Valid(b)
		default:
			return false
		}
	}
	return false
}

// matches says whether one of the If-None-Match fields holds tag, by weak comparison (RFC 9110, 13.1.2).
func matches(fields []string, tag string) bool {
	for _, f := range fields {
		for f = strings.Trim(f, " \t,"); f != ""; f = strings.TrimLeft(f, " \t,") {
			if f == "*" {
				return true
			}
			f = strings.TrimPrefix(f, "W/")
			if len(f) == 0 || f[0] != '"' {
				break // not a list of entity tags: ignored
			}
			end := strings.IndexByte(f[1:], '"')
			if end < 0 {
				break
			}
			if f[:end+2] == tag {
				return true
			}
			f = f[end+2:]
		}
	}
	return false
}

// appendCacheStatus appends the members of Cache-Status (RFC 9211) for an answer, the one nearest to AWS first. They never
// name a resource.
func appendCacheStatus(b []byte, a cache.Answer) []byte {
	if a.Shared {
		b = append(b, "shared; hit, "...)
	}
	b = append(b, "cache-extension; "...)
	stored, detail := false, ""
	switch a.How {
	case cache.Hit:
		b = append(b, "hit"...)
	case cache.Missed:
		b, stored = append(b, "fwd=uri-miss; stored"...), true
	case cache.Expired:
		b, stored = append(b, "fwd=stale; stored"...), true
	case cache.Requested:
		b, stored = append(b, "fwd=request; stored"...), true
	case cache.Revalidating:
		b, detail = append(b, "hit"...), "stale-while-revalidate"
	case cache.StaleIfError:
		b, detail = append(b, "fwd=stale"...), "stale-if-error"
	case cache.HeldOff:
		b, detail = append(b, "hit"...), "stale-if-error"
	case cache.RefreshLimited:
		b, detail = append(b, "hit"...), "refresh-limited"
	case cache.RefreshFailed:
		b, detail = append(b, "fwd=request"...), "refresh-failed"
	case cache.RefreshFailedExpired:
		b, detail = append(b, "fwd=request"...), "stale-if-error"
	}
	if stored {
		if a.Collapsed {
			b = append(b, "; collapsed"...)
		}
		return b
	}
	b = append(b, "; ttl="...)
	b = strconv.AppendInt(b, seconds(a.TTL), 10)
	if detail != "" {
		b = append(append(b, "; detail="...), detail...)
	}
	return b
}

// seconds rounds down, so that what has expired is below zero.
func seconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d < 0 && d%time.Second != 0 {
		s--
	}
	return s
}
