package shared

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// server is where the shared tier lives, and as whom it is used.
type server struct {
	host, port     string
	tls            bool
	user, password string
	db             int
}

func (s server) addr() string { return net.JoinHostPort(s.host, s.port) }

const urlForm = "write redis://[user:password@]host[:port][/db], with TLS rediss://; what is special in user or password is percent-encoded, %40 for @"

// parseURL reads shared.url. Its errors quote nothing but the scheme: where a password is not encoded, any other part may
// hold a piece of it.
func parseURL(text string) (server, error) {
	u, err := url.Parse(text)
	if err != nil {
		return server{}, errors.New("shared: url: not a URL: " + urlForm)
	}
	s := server{host: u.Hostname(), port: u.Port(), user: u.User.Username()}
	s.password, _ = u.User.Password()
	switch u.Scheme {
	case "redis", "valkey":
	case "rediss", "valkeys":
		s.tls = true
	case "":
		return server{}, errors.New("shared: url: no scheme: " + urlForm)
	default:
		return server{}, fmt.Errorf("shared: url: unknown scheme %q: %s", u.Scheme, urlForm)
	}
	if s.host == "" {
		return server{}, errors.New("shared: url: no host: " + urlForm)
	}
	if s.port == "" {
		s.port = "6379"
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return server{}, errors.New("shared: url: ? and # have no meaning in it: " + urlForm)
	}
	if db := strings.TrimPrefix(u.Path, "/"); db != "" {
		n, err := strconv.ParseUint(db, 10, 31)
		if err != nil {
			return server{}, errors.New("shared: url: the database is a number: " + urlForm)
		}
		s.db = int(n)
	}
	return s, nil
}
