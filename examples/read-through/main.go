// Command read-through is a Lambda function that reads items by their id through the cache extension.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
)

// client keeps its connection for the life of the environment: a transport of its own never closes one for being idle.
var client = http.Client{Timeout: 2500 * time.Millisecond, Transport: &http.Transport{}}

type request struct {
	ID string `json:"id"`
}

type answer struct {
	Status int             `json:"status"`         // 200, or 404 when the table has no such item
	Item   json.RawMessage `json:"item,omitempty"` // as the table has it
	Cache  string          `json:"cache"`          // where it came from
}

func main() { lambda.Start(handle) }

// handle makes an error of all that is neither an item nor the lack of one, for whoever invoked to try again.
func handle(ctx context.Context, r request) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost:4000/dynamodb/"+url.PathEscape(r.ID), nil)
	if err != nil {
		return answer{}, err
	}
	res, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{Status: res.StatusCode, Cache: res.Header.Get("Cache-Status")}
	switch a.Status {
	case http.StatusOK:
		a.Item = body
	case http.StatusNotFound:
	default:
		return answer{}, fmt.Errorf("%s: %s", res.Status, body)
	}
	return a, nil
}
