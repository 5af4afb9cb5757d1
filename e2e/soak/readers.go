//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	thinkTime     = 80 * time.Millisecond // the most that a reader waits between two reads
	refreshShare  = 20                    // one read in so many is with refresh=true
	answerWithin  = 30 * time.Second      // longer than any wait the program has
	recoverWithin = time.Minute           // longer than any hold-off
)

// client reads from the program over kept-alive connections.
type client struct {
	http.Client
	url string
}

func newClient(url string) *client {
	return &client{http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: readers},
		Timeout:   answerWithin,
	}, url}
}

// reading is one answer with what was asked, and when.
type reading struct {
	target    *target
	refresh   bool
	sent, got time.Time
	status    int
	header    http.Header
	body      []byte
}

func (c *client) get(ctx context.Context, t *target, refresh bool) (reading, error) {
	r := reading{target: t, refresh: refresh}
	url := c.url + t.path
	if refresh {
		url += "&refresh=true"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return r, err
	}
	r.sent = time.Now()
	res, err := c.Do(req)
	if err != nil {
		return r, err
	}
	defer res.Body.Close()
	r.body, err = io.ReadAll(res.Body)
	r.got, r.status, r.header = time.Now(), res.StatusCode, res.Header
	return r, err
}

// read reads names at random until ctx ends, and has each answer judged.
func (c *client) read(ctx context.Context, random *rand.Rand, t *tally, targets []*target) {
	seen := make(history)
	for pause(ctx, between(random, 0, thinkTime)) {
		r, err := c.get(ctx, targets[random.IntN(len(targets))], random.IntN(refreshShare) == 0)
		switch {
		case err == nil:
			t.judge(r, seen)
		case ctx.Err() == nil:
			t.broke(err)
		}
	}
}

// rude opens connections to the program and does not behave, until ctx ends. What it is answered is not judged: it must not
// be felt by others.
func (c *client) rude(ctx context.Context, random *rand.Rand) {
	manners := []string{
		"",                                // says nothing and hangs up
		"GET /stats HTTP/1.1\r\nHost: lo", // and never goes on
		"\x16\x03\x01\x02\x00\x01\x00",    // TLS
		"GET / HTTP/1.1\r\n\r\n\r\n\r\n",
		"POST /secrets HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nx",
		strings.Repeat("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 50), // reads none of the answers
	}
	address := strings.TrimPrefix(c.url, "http://")
	var lasting sync.WaitGroup
	defer lasting.Wait()
	for pause(ctx, between(random, 20*time.Millisecond, 200*time.Millisecond)) {
		conn, err := net.DialTimeout("tcp", address, answerWithin)
		if err != nil {
			continue
		}
		io.WriteString(conn, manners[random.IntN(len(manners))])
		if random.IntN(3) == 0 {
			conn.(*net.TCPConn).CloseWrite()
		}
		stays := between(random, 0, 8*time.Second) // past the time that the program gives a header
		lasting.Go(func() {
			pause(ctx, stays)
			conn.Close()
		})
	}
}

// recovery reads every name until it is answered with a value that AWS made since now. Its error names those that were not.
func recovery(ctx context.Context, c *client, t *tally, targets []*target) error {
	ctx, cancel := context.WithTimeout(ctx, recoverWithin)
	defer cancel()
	began := time.Now()
	late := make([]error, len(targets))
	var all sync.WaitGroup
	places := make(chan struct{}, 20)
	for i, target := range targets {
		all.Go(func() {
			for {
				places <- struct{}{}
				r, err := c.get(ctx, target, true)
				<-places
				if err == nil {
					if made := t.judge(r, make(history)); made.After(began) {
						return
					}
				}
				if !pause(ctx, 200*time.Millisecond) {
					late[i] = fmt.Errorf("%s did not come back: %d %s %w", target.path, r.status, r.header.Get("Cache-Status"), errors.Join(err, ctx.Err()))
					return
				}
			}
		})
	}
	all.Wait()
	fmt.Printf("all came back within %v\n", time.Since(began).Round(time.Millisecond))
	return errors.Join(late...)
}

// stats returns /stats. Its error is that more is held than was declared.
func (c *client) stats(ctx context.Context, declared int) (string, error) {
	r, err := c.get(ctx, &target{path: "/stats"}, false)
	if err != nil {
		return "", err
	}
	var kinds map[string]struct{ Entries int }
	if err := json.Unmarshal(r.body, &kinds); err != nil {
		return "", fmt.Errorf("/stats: %w", err)
	}
	held := 0
	for _, k := range kinds {
		held += k.Entries
	}
	if held > declared {
		err = fmt.Errorf("/stats: %d entries are held, %d were declared", held, declared)
	}
	return string(r.body), err
}
