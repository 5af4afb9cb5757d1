// Command byhand is the floor of extensions that speak HTTP themselves: what floors/nethttp does, with package net alone.
// It takes every request to be a GET without a body, which is what makes it a floor and not a server.
package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

func main() {
	if err := run(os.Getenv("AWS_LAMBDA_RUNTIME_API")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(api string) error {
	size, err := strconv.Atoi(os.Getenv("BENCH_BODY"))
	if err != nil {
		return fmt.Errorf("BENCH_BODY: %w", err)
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s",
		size, strings.Repeat("x", size))
	ended := make(chan error, 1)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				ended <- err
				return
			}
			go serve(conn, answer)
		}
	}()
	lambda, err := net.Dial("tcp", api)
	if err != nil {
		return err
	}
	const events = `{"events":["INVOKE","SHUTDOWN"]}`
	registered, err := call(lambda, fmt.Sprintf("POST /2020-01-01/extension/register HTTP/1.1\r\nHost: %s\r\n"+
		"Lambda-Extension-Name: byhand\r\nContent-Length: %d\r\n\r\n%s", api, len(events), events))
	if err != nil {
		return err
	}
	_, id, _ := strings.Cut(registered, "\r\nLambda-Extension-Identifier: ")
	id, _, _ = strings.Cut(id, "\r\n")
	fmt.Fprintf(os.Stderr, "port=%d\n", listener.Addr().(*net.TCPAddr).Port)
	go func() {
		_, err := call(lambda, fmt.Sprintf("GET /2020-01-01/extension/event/next HTTP/1.1\r\nHost: %s\r\n"+
			"Lambda-Extension-Identifier: %s\r\n\r\n", api, id))
		ended <- err
	}()
	return <-ended
}

// call makes one call of the Extensions API. Its answers are short and come in one piece.
func call(lambda net.Conn, request string) (string, error) {
	if _, err := lambda.Write([]byte(request)); err != nil {
		return "", err
	}
	answer := make([]byte, 4096)
	n, err := lambda.Read(answer)
	return string(answer[:n]), err
}

// serve answers the requests of one connection.
func serve(conn net.Conn, answer []byte) {
	defer conn.Close()
	buffer, held := make([]byte, 4096), 0
	for {
		n, err := conn.Read(buffer[held:])
		if err != nil {
			return
		}
		if held += n; !bytes.HasSuffix(buffer[:held], []byte("\r\n\r\n")) {
			continue
		}
		held = 0
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}
