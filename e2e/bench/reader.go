package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// reader is a kept-alive connection to a server.
type reader struct {
	net.Conn
	answers *bufio.Reader
}

func dial(port int) (*reader, error) {
	conn, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	return &reader{conn, bufio.NewReader(conn)}, nil
}

// get reads a target, which must be there, within patience.
func (r *reader) get(target string) (string, error) {
	if err := r.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(r, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", target); err != nil {
		return "", err
	}
	response, err := http.ReadResponse(r.answers, nil)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", target, response.Status, body)
	}
	return string(body), err
}

// readAll reads each target in turn, n in all, on one connection.
func readAll(port int, targets []string, n int) error {
	r, err := dial(port)
	if err != nil {
		return err
	}
	defer r.Close()
	for i := range n {
		if _, err := r.get(targets[i%len(targets)]); err != nil {
			return err
		}
	}
	return nil
}

// readTogether reads a target on n connections at once and returns how long it took from the first question to the last answer.
func readTogether(port, n int, target string) (time.Duration, error) {
	readers := make([]*reader, n)
	for i := range readers {
		r, err := dial(port)
		if err != nil {
			return 0, err
		}
		defer r.Close()
		readers[i] = r
	}
	errs := make(chan error, n)
	var all sync.WaitGroup
	start := time.Now()
	for _, r := range readers {
		all.Go(func() {
			if _, err := r.get(target); err != nil {
				errs <- err
			}
		})
	}
	all.Wait()
	took := time.Since(start)
	close(errs)
	return took, <-errs
}

// upstreamCall makes one call straight to u, over a connection that is open.
func (u *upstream) upstreamCall() (time.Duration, error) {
	conn, err := net.Dial("tcp4", strings.TrimPrefix(u.url, "http://"))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	const body = `{"Name":"/bench/parameter-0000","WithDecryption":true}`
	start := time.Now()
	if _, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: AmazonSSM.GetParameter\r\nContent-Length: %d\r\n\r\n%s",
		len(body), body); err != nil {
		return 0, err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if _, err := io.ReadAll(response.Body); err != nil {
		return 0, err
	}
	return time.Since(start), nil
}
