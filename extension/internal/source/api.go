package source

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"cache-extension/extension/internal/cache"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
)

// service is one of AWS's, by its name in endpoints and signatures.
type service string

const (
	systemsManager service = "ssm"
	secretsManager service = "secretsmanager"
	dynamoDB       service = "dynamodb"
)

// protocols has what else differs between services: all of them take a POST of JSON, with the operation in a header.
var protocols = map[service]struct {
	target      string // before the operation in X-Amz-Target
	contentType string
}{
	systemsManager: {"AmazonSSM.", "application/x-amz-json-1.1"},
	secretsManager: {"secretsmanager.", "application/x-amz-json-1.1"},
	dynamoDB:       {"DynamoDB_20120810.", "application/x-amz-json-1.0"},
}

// maxSkew is how far our clock may be off before it can be why AWS refuses a signature, which it takes for five minutes.
const maxSkew = 4 * time.Minute

// skewCodes are what AWS says of a signature whose time it does not accept, among other reasons.
var skewCodes = []string{
	"InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure", "RequestTimeTooSkewed", "AccessDeniedException",
}

// client calls one service in one region.
type client struct {
	*Clients
	service service
	region  string
	url     string
	err     error // why there is no url
	retryer *retry.Standard
	skew    atomic.Int64 // a time.Duration: how far the service's clock is ahead of ours, 0 until that matters
}

// in returns the client of a service in a region.
func (c *Clients) in(s service, region string) *client {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := string(s) + " " + region
	if c.clients[id] == nil {
		url, err := endpoint(s, region, c.conf)
		c.clients[id] = &client{Clients: c, service: s, region: region, url: url, err: err, retryer: newRetryer(c.conf.MaxAttempts)}
	}
	return c.clients[id]
}

// fields are an operation's input.
type fields map[string]any

// call runs one operation with its retries. It has the configured timeout from the moment it starts, without the time it
// spent in the queue. Its errors are those that classify returns.
func (c *client) call(ctx context.Context, operation string, in fields, out any) error {
	if ctx.Value(limitedKey{}) != nil {
		select {
		case c.slots <- struct{}{}:
			defer func() { <-c.slots }()
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return cache.ErrTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s: input: %w", operation, err)
	}
	return classify(try(ctx, c.retryer, func() error {
		got, err := c.post(ctx, operation, body)
		if err != nil {
			return err
		}
		return got.decode(out)
	}))
}

// try makes attempts until one succeeds or no other may follow. It returns the last one's error, but cache.ErrTimeout in
// the place of what the end of ctx has broken off, unless an attempt before had an error of its own.
func try(ctx context.Context, r *retry.Standard, attempt func() error) error {
	last := cache.ErrTimeout
	giveBack := func(error) error { return nil }
	for n := 1; ; n++ {
		// Only a retry can be short of tokens, and none fails to be given back: their bucket is a number in memory.
		release, _ := r.GetAttemptToken(ctx)
		err := attempt()
		giveBack(err)
		release(err)
		if err == nil {
			return nil
		}
		// What fails after the deadline fails because of it, unless AWS says otherwise.
		var said *answer
		over := ended(ctx)
		if over && errors.Is(err, cache.ErrTimeout) && last == cache.ErrTimeout {
			return err
		}
		if over && !(errors.As(err, &said) && said.code != "") {
			return last
		}
		last = err
		if over || n >= r.MaxAttempts() || !r.IsErrorRetryable(err) {
			return last
		}
		if giveBack, err = r.GetRetryToken(ctx, last); err != nil {
			return last
		}
		pause, err := r.RetryDelay(n, last)
		if err != nil || !sleep(ctx, pause) {
			return last
		}
	}
}

// post makes one attempt.
func (c *client) post(ctx context.Context, operation string, body []byte) (*answer, error) {
	if c.err != nil {
		return nil, c.err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	p := protocols[c.service]
	r.Header = http.Header{
		"Content-Type": {p.contentType},
		"X-Amz-Target": {p.target + operation},
		"User-Agent":   {c.userAgent},
		// DynamoDB's checksum is of the bytes on the wire.
		"Accept-Encoding": {"identity"},
	}
	credentials, err := c.credentials.Retrieve(ctx)
	if err != nil && ended(ctx) {
		return nil, &failure{class: cache.ErrTimeout, text: "no AWS credentials in time: AWS was not asked"}
	}
	if err != nil {
		return nil, err
	}
	sent := time.Now().Round(0)
	hash := sha256.Sum256(body)
	err = c.signer.SignHTTP(ctx, credentials, r, hex.EncodeToString(hash[:]), string(c.service), c.region, sent.Add(time.Duration(c.skew.Load())))
	if err != nil {
		return nil, err
	}
	a, err := send(c.http, r)
	var refused *answer
	if errors.As(err, &refused) && slices.Contains(skewCodes, refused.code) {
		refused.skewed = c.setClock(refused.date, sent, time.Now().Round(0))
	}
	return a, err
}

// setClock takes over the service's clock, of which date is a header, where signatures by ours cannot be in time. It
// reports whether it did. A round trip that took very long, in a freeze, tells nothing.
func (c *client) setClock(date string, sent, received time.Time) bool {
	theirs, err := http.ParseTime(date)
	took := received.Sub(sent)
	if err != nil || took.Abs() > maxSkew {
		return false
	}
	skew := theirs.Sub(sent.Add(took / 2))
	if (skew - time.Duration(c.skew.Load())).Abs() <= maxSkew {
		return false
	}
	c.skew.Store(int64(skew))
	return true
}

// newRetryer returns the SDK's standard retryer. Its own limit of 20 s between attempts would eat any timeout, and with one
// below a second it has no jitter.
func newRetryer(maxAttempts int) *retry.Standard {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = maxAttempts
		o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return rand.N(maxBackoff), nil })
		o.Retryables = retryables()
	})
}
