//go:build unix

// Command client asks one question again and again over kept-alive connections, and prints as JSON how long the answers took.
// It does as little as it can: what it costs is a part of every figure.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// report is what client prints.
type report struct {
	P50, P99 time.Duration
	PerSec   float64
}

func main() {
	port := flag.Int("port", 0, "of 127.0.0.1")
	requests := flag.Int("n", 1, "requests on each connection")
	conns := flag.Int("conns", 1, "connections")
	target := flag.String("get", "", "what to GET; without it the answer is the question")
	flag.Parse()
	r, err := run(*port, *conns, *requests, *target)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(r)
}

func run(port, conns, requests int, target string) (report, error) {
	// The headers are those that curl sends.
	question := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: localhost:%d\r\nUser-Agent: bench/1\r\nAccept: */*\r\n\r\n", target, port)
	took := make([][]time.Duration, conns)
	errs := make([]error, conns)
	var all sync.WaitGroup
	start := time.Now()
	for i := range conns {
		all.Go(func() { took[i], errs[i] = ask(port, requests, question, target == "") })
	}
	all.Wait()
	elapsed := time.Since(start)
	sorted := slices.Concat(took...)
	slices.Sort(sorted)
	if err := errors.Join(errs...); err != nil {
		return report{}, err
	}
	return report{
		P50:    sorted[len(sorted)/2],
		P99:    sorted[len(sorted)*99/100],
		PerSec: float64(len(sorted)) / elapsed.Seconds(),
	}, nil
}

// ask puts the question on one connection, with blocking calls of the system: Go's poller would wake a thread for each answer.
func ask(port, requests int, question []byte, echo bool) ([]time.Duration, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, err
	}
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
		return nil, err
	}
	took := make([]time.Duration, requests)
	buffer := make([]byte, 1<<20)
	for i := range took {
		start := time.Now()
		if _, err := syscall.Write(fd, question); err != nil {
			return nil, err
		}
		for held := 0; ; {
			n, err := syscall.Read(fd, buffer[held:])
			if err != nil || n == 0 {
				return nil, errors.Join(errors.New("the connection ended"), err)
			}
			held += n
			if echo && held == len(question) {
				break
			}
			if !echo {
				whole, err := complete(buffer[:held])
				if err != nil {
					return nil, err
				}
				if whole {
					break
				}
			}
		}
		took[i] = time.Since(start)
	}
	return took, nil
}

// complete reports whether answer is a whole one. One that is not a success is an error.
func complete(answer []byte) (bool, error) {
	end := bytes.Index(answer, []byte("\r\n\r\n"))
	if end < 0 {
		return false, nil
	}
	if !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) {
		return false, fmt.Errorf("not a 200: %q", answer)
	}
	const header = "\r\nContent-Length: "
	at := bytes.Index(answer[:end+2], []byte(header))
	if at < 0 {
		return false, errors.New("an answer without Content-Length")
	}
	digits, _, _ := bytes.Cut(answer[at+len(header):end+2], []byte("\r\n"))
	size, err := strconv.Atoi(string(digits))
	return len(answer) >= end+4+size, err
}
