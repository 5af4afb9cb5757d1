package cloud

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// What the stand-ins are asked with. They check no signature.
const (
	region    = "us-east-1"
	accessKey = "example"
	secretKey = "example"
)

// What the template leaves open: the table's name to CloudFormation, the secret's value to the user.
const (
	Table       = "DynamoDbTable"
	SecretValue = "MySecret"
)

// Env returns the variables by which a program takes the stand-in at url for AWS.
func Env(url string) []string {
	return []string{"AWS_REGION=" + region, "AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey, "AWS_ENDPOINT_URL=" + url}
}

// Seed puts into the stand-in at url what the SAM template in file declares: a table, its item, a parameter and a secret.
func Seed(ctx context.Context, url, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var template struct {
		Resources map[string]struct {
			Properties map[string]any `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(text, &template); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	// CloudFormation calls the properties what the services' own calls do.
	properties := func(resource string, more map[string]any) map[string]any {
		all := maps.Clone(template.Resources[resource].Properties)
		maps.Copy(all, more)
		return all
	}
	client := NewClient(url)
	defer client.Close()
	item, ok := template.Resources["Item"].Properties["Item"].(string)
	if !ok {
		return fmt.Errorf("%s: Item has no property Item", file)
	}
	for _, c := range []struct {
		target string
		input  map[string]any
	}{
		{"DynamoDB_20120810.CreateTable", properties("Table", map[string]any{"TableName": Table})},
		{"DynamoDB_20120810.PutItem", map[string]any{"TableName": Table, "Item": json.RawMessage(item)}},
		{"AmazonSSM.PutParameter", properties("Parameter", nil)},
		{"secretsmanager.CreateSecret", properties("Secret", map[string]any{"SecretString": SecretValue})},
	} {
		if err := client.Call(ctx, c.target, c.input); err != nil {
			return err
		}
	}
	return nil
}

// Client calls a stand-in, over connections of its own.
type Client struct {
	url  string
	http http.Client
}

// NewClient makes a client of the stand-in at url.
func NewClient(url string) *Client {
	return &Client{url: url, http: http.Client{Transport: &http.Transport{}, Timeout: startTimeout}}
}

// Close closes the client's connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Call makes one call of AWS's JSON protocol; target is a value of X-Amz-Target, such as AmazonSSM.PutParameter. The
// answer is read and dropped.
func (c *Client) Call(ctx context.Context, target string, input any) error {
	body, err := json.Marshal(input)
	if err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	service, _, _ := strings.Cut(target, ".")
	service = strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(service, "Amazon"), "_20120810"))
	now := time.Now().UTC()
	request.Header.Set("X-Amz-Target", target)
	request.Header.Set("X-Amz-Date", now.Format("20060102T150405Z"))
	request.Header.Set("Content-Type", "application/x-amz-json-1.0")
	request.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s/%s/%s/aws4_request, SignedHeaders=host;x-amz-date, Signature=%064d",
		accessKey, now.Format("20060102"), region, service, 0))
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", target, response.Status, answer)
	}
	return nil
}
