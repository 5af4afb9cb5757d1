// Command nethttp is the floor of extensions written with net/http: it listens, registers and waits for events, and answers
// every request with one body. It has no configuration, no cache and no log.
package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
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
	body := bytes.Repeat([]byte("x"), size)
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		ended <- http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{"text/plain; charset=utf-8"}
			w.Write(body)
		}))
	}()
	base := "http://" + api + "/2020-01-01/extension/"
	id, err := call(http.MethodPost, base+"register", "", `{"events":["INVOKE","SHUTDOWN"]}`)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "port=%d\n", listener.Addr().(*net.TCPAddr).Port)
	go func() {
		_, err := call(http.MethodGet, base+"event/next", id, "")
		ended <- err
	}()
	return <-ended
}

// call makes one call of the Extensions API and returns the identifier in its answer.
func call(method, url, id, body string) (string, error) {
	request, err := http.NewRequest(method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return "", err
	}
	request.Header.Set("Lambda-Extension-Name", "nethttp")
	request.Header.Set("Lambda-Extension-Identifier", id)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	response.Body.Close()
	return response.Header.Get("Lambda-Extension-Identifier"), nil
}
