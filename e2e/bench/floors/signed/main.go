//go:build unix

// Command signed is the floor of programs that call AWS: it makes one call after another over net/http, each signed by hand
// with Signature Version 4, and prints the processor time of a call in nanoseconds.
//
//	signed <endpoint> <calls> <name of the parameter>
package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(endpoint, calls, name string) error {
	n, err := strconv.Atoi(calls)
	if err != nil {
		return err
	}
	// The first tenth warms up: connections, the heap's size.
	for range n / 10 {
		if err := get(endpoint, name); err != nil {
			return err
		}
	}
	before := processorTime()
	for range n {
		if err := get(endpoint, name); err != nil {
			return err
		}
	}
	fmt.Println((processorTime() - before).Nanoseconds() / int64(n))
	return nil
}

// get reads the parameter as the extension does.
func get(endpoint, name string) error {
	body, err := json.Marshal(struct {
		Name           string
		WithDecryption bool
	}{name, true})
	if err != nil {
		return err
	}
	request, err := http.NewRequest(http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return err
	}
	sign(request, body, time.Now().UTC())
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct{ Parameter struct{ Value string } }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Parameter.Value == "" {
		return fmt.Errorf("%s: no value", response.Status)
	}
	return nil
}

const (
	target      = "AmazonSSM.GetParameter"
	contentType = "application/x-amz-json-1.1"
	signed      = "content-type;host;x-amz-date;x-amz-target"
)

func sign(r *http.Request, body []byte, now time.Time) {
	date, day := now.Format("20060102T150405Z"), now.Format("20060102")
	scope := day + "/" + os.Getenv("AWS_REGION") + "/ssm/aws4_request"
	r.Header["Content-Type"] = []string{contentType}
	r.Header["X-Amz-Date"] = []string{date}
	r.Header["X-Amz-Target"] = []string{target}
	canonical := "POST\n/\n\ncontent-type:" + contentType + "\nhost:" + r.Host + "\nx-amz-date:" + date +
		"\nx-amz-target:" + target + "\n\n" + signed + "\n" + digest(body)
	key := []byte("AWS4" + os.Getenv("AWS_SECRET_ACCESS_KEY"))
	for _, part := range []string{day, os.Getenv("AWS_REGION"), "ssm", "aws4_request"} {
		key = code(key, part)
	}
	signature := code(key, "AWS4-HMAC-SHA256\n"+date+"\n"+scope+"\n"+digest([]byte(canonical)))
	r.Header["Authorization"] = []string{"AWS4-HMAC-SHA256 Credential=" + os.Getenv("AWS_ACCESS_KEY_ID") + "/" + scope +
		", SignedHeaders=" + signed + ", Signature=" + hex.EncodeToString(signature)}
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func code(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// processorTime is what the process has used so far, in the kernel's name, too.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err) // it fails for bad arguments alone
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
