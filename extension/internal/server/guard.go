package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// tokenHeader is the header AWS's own Parameters and Secrets extension takes its token from.
const tokenHeader = "X-Aws-Parameters-Secrets-Token"

// guard refuses, before any route, what did not come from the function itself: a request through a proxy, a DNS name bound
// anew to this address, a page of another site in a developer's browser.
func (s *Server) guard(r *http.Request) *problem {
	if !loopback(r.Host) {
		return forbidden("The Host header must be localhost, 127.0.0.1 or [::1]: ask http://localhost directly, not through another name.")
	}
	for _, name := range []string{"X-Forwarded-For", "Forwarded", "Via"} {
		if _, ok := r.Header[name]; ok {
			return forbidden("A request with the header %s came through a proxy: exempt localhost from it (NO_PROXY=localhost,127.0.0.1).", name)
		}
	}
	for _, origin := range r.Header["Origin"] {
		u, err := url.Parse(origin)
		if err != nil || !strings.EqualFold(u.Host, r.Host) {
			return forbidden("The Origin header names another site: only a page from here may read values.")
		}
	}
	for _, site := range r.Header["Sec-Fetch-Site"] {
		if site != "none" && site != "same-origin" {
			return forbidden("A browser sent this for another site (Sec-Fetch-Site): only a page from here may read values.")
		}
	}
	// A browser that is sent to a page cannot send a token with it; the page asks for what it shows.
	free := r.URL.Path == "/healthz" || r.URL.Path == "/" && s.pages["/"] != nil
	if !free && !s.knows(r.Header.Get(tokenHeader)) {
		return forbidden("server.token is on: send the value of AWS_SESSION_TOKEN (else of AWS_CONTAINER_AUTHORIZATION_TOKEN) in the header %s.", tokenHeader)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return methodNotAllowed()
	}
	return nil
}

// knows says whether token is the one to ask for, or none is asked for. It takes the same time whatever is wrong with it.
func (s *Server) knows(token string) bool {
	u := s.used.Load()
	if !u.asks {
		return true
	}
	got := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(got[:], u.token[:]) == 1
}

// loopback says whether a Host header names this machine itself: no DNS can point these names elsewhere.
func loopback(host string) bool {
	if h, port, err := net.SplitHostPort(host); err == nil {
		if strings.Trim(port, "0123456789") != "" {
			return false
		}
		host = h
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if strings.EqualFold(host, "localhost") || strings.EqualFold(host, "localhost.") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && (addr.Is4() && addr.IsLoopback() || addr == netip.IPv6Loopback())
}
