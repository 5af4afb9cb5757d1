package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// reader is a function's kept-alive connection to its extension.
type reader struct {
	net.Conn
	answers *bufio.Reader
}

func dial(port string) (*reader, error) {
	conn, err := net.Dial("tcp4", "127.0.0.1:"+port)
	if err != nil {
		return nil, err
	}
	return &reader{conn, bufio.NewReader(conn)}, nil
}

// entry is a name that is declared, and what a read of it must give; an empty value may be anything.
type entry struct{ kind, name, value string }

// get reads an entry. ok is false where the extension has no value for now; a wrong value is an error.
func (r *reader) get(e entry) (ok bool, err error) {
	if err := r.SetDeadline(time.Now().Add(patience)); err != nil {
		return false, err
	}
	// The names have no character that needs an escape.
	if _, err := fmt.Fprintf(r, "GET /%s?name=%s HTTP/1.1\r\nHost: localhost\r\n\r\n", e.kind, e.name); err != nil {
		return false, err
	}
	response, err := http.ReadResponse(r.answers, nil)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return false, err
	case response.StatusCode == http.StatusBadGateway, response.StatusCode == http.StatusServiceUnavailable, response.StatusCode == http.StatusGatewayTimeout:
		return false, nil
	case response.StatusCode != http.StatusOK:
		return false, fmt.Errorf("%s %s: %s: %s", e.kind, e.name, response.Status, body)
	case e.value != "" && string(body) != e.value:
		return false, fmt.Errorf("%s %s: a wrong value of %d bytes", e.kind, e.name, len(body))
	}
	return true, nil
}
