// Command go-function is a Lambda function that reads a parameter and a secret through the cache extension.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
)

// client keeps its connection for the life of the environment: a transport of its own never closes one for being idle.
var client = http.Client{Timeout: 2500 * time.Millisecond, Transport: &http.Transport{}}

type answer struct {
	Greeting       string `json:"greeting"`
	PasswordLength int    `json:"passwordLength"`
}

func main() { lambda.Start(handle) }

// handle keeps the password to itself.
func handle(ctx context.Context) (answer, error) {
	greeting, err := read(ctx, "/parameters?name=greeting")
	if err != nil {
		return answer{}, err
	}
	password, err := read(ctx, "/secrets?name=password")
	return answer{greeting, len(password)}, err
}

func read(ctx context.Context, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost:4000"+path, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, response.Status, body)
	}
	return string(body), err
}
