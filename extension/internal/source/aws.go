// Package source decides how what config.yaml declares is read from AWS: by which calls, how their answers find the names
// that asked, and what a failure means. It has one cache.Source for each kind.
package source

import (
	"context"
	"sync"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/config"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go/middleware"
)

const (
	// maxCalls is how many calls run at a time in prefetch and refresh, over all kinds: the quotas of an account are shared
	// by all its functions, and many of them may start at one moment.
	maxCalls = 8
	// maxBackoff keeps the pauses between attempts short. The SDK's own limit of 20 s would eat any timeout.
	maxBackoff = 200 * time.Millisecond
)

// Options are what NewClients needs beside the configuration.
type Options struct {
	// HTTPClient carries every request, those for credentials included. Nil makes a real one.
	HTTPClient aws.HTTPClient
	// Local is true outside Lambda: where the environment has no credentials, the AWS CLI is asked for them.
	Local bool
}

// Clients is all access to AWS: one client for each service and region, made when first needed and shared by all kinds.
type Clients struct {
	conf        config.AWS
	timeout     time.Duration // of one operation, retries included
	http        aws.HTTPClient
	credentials aws.CredentialsProvider
	slots       chan struct{} // one is held during each call under Limited

	mu       sync.Mutex // guards the maps, which go by region
	ssm      map[string]*ssm.Client
	secrets  map[string]*secretsmanager.Client
	dynamodb map[string]*dynamodb.Client
}

// NewClients prepares access to AWS. It reads the CA bundle and nothing else: credentials are looked for by the first call.
// Its error is about the file that AWS_CA_BUNDLE names.
func NewClients(cfg *config.Config, opts Options) (*Clients, error) {
	calls, credentials := opts.HTTPClient, opts.HTTPClient
	if calls == nil {
		t, err := newTransport(cfg.AWS.CABundle, cfg.Timeout)
		if err != nil {
			return nil, err
		}
		calls, credentials = newHTTPClient(newThawing(t)), newHTTPClient(withoutProxy(t))
	}
	return &Clients{
		conf:        cfg.AWS,
		timeout:     cfg.Timeout,
		http:        complete{calls},
		credentials: newCredentials(cfg.AWS, cfg.Timeout, credentials, opts.Local),
		slots:       make(chan struct{}, maxCalls),
		ssm:         make(map[string]*ssm.Client),
		secrets:     make(map[string]*secretsmanager.Client),
		dynamodb:    make(map[string]*dynamodb.Client),
	}, nil
}

func (c *Clients) ssmIn(region string) *ssm.Client {
	return client(c, c.ssm, region, func(conf aws.Config) *ssm.Client {
		return ssm.NewFromConfig(conf, func(o *ssm.Options) {
			o.BaseEndpoint = orNil(c.conf.EndpointSSM)
			o.EndpointOptions.UseFIPSEndpoint, o.EndpointOptions.UseDualStackEndpoint = c.endpointStates()
		})
	})
}

func (c *Clients) secretsIn(region string) *secretsmanager.Client {
	return client(c, c.secrets, region, func(conf aws.Config) *secretsmanager.Client {
		return secretsmanager.NewFromConfig(conf, func(o *secretsmanager.Options) {
			o.BaseEndpoint = orNil(c.conf.EndpointSecretsManager)
			o.EndpointOptions.UseFIPSEndpoint, o.EndpointOptions.UseDualStackEndpoint = c.endpointStates()
		})
	})
}

func (c *Clients) dynamodbIn(region string) *dynamodb.Client {
	return client(c, c.dynamodb, region, func(conf aws.Config) *dynamodb.Client {
		return dynamodb.NewFromConfig(conf, func(o *dynamodb.Options) {
			o.BaseEndpoint = orNil(c.conf.EndpointDynamoDB)
			o.EndpointOptions.UseFIPSEndpoint, o.EndpointOptions.UseDualStackEndpoint = c.endpointStates()
			// Some kinds of credentials bring an account id and others don't: one address for all of them.
			o.AccountIDEndpointMode = aws.AccountIDEndpointModeDisabled
		})
	})
}

// client returns the client of a region out of clients, and makes it if there is none.
func client[C any](c *Clients, clients map[string]*C, region string, make func(aws.Config) *C) *C {
	c.mu.Lock()
	defer c.mu.Unlock()
	if clients[region] == nil {
		clients[region] = make(aws.Config{
			Region:      region,
			Credentials: c.credentials,
			HTTPClient:  c.http,
			Retryer:     func() aws.Retryer { return newRetryer(c.conf.MaxAttempts) },
			APIOptions:  []func(*middleware.Stack) error{rememberError},
		})
	}
	return clients[region]
}

func (c *Clients) endpointStates() (aws.FIPSEndpointState, aws.DualStackEndpointState) {
	fips, dualStack := aws.FIPSEndpointStateUnset, aws.DualStackEndpointStateUnset
	if c.conf.FIPS {
		fips = aws.FIPSEndpointStateEnabled
	}
	if c.conf.DualStack {
		dualStack = aws.DualStackEndpointStateEnabled
	}
	return fips, dualStack
}

// newRetryer returns the SDK's standard retryer. One that is passed in switches the SDK's own reading of AWS_MAX_ATTEMPTS
// off, hence the parameter.
func newRetryer(maxAttempts int) aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = maxAttempts
		o.MaxBackoff = maxBackoff
		o.Retryables = retryables()
	})
}

func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

type limitedKey struct{}

// Limited returns a context under which calls wait for each other, so that no more than eight run at a time over all
// kinds. It is for prefetch and refresh; the single fetch of a reader who waits does not stand in their queue.
func Limited(ctx context.Context) context.Context {
	return context.WithValue(ctx, limitedKey{}, true)
}

// call runs one operation of an SDK client with its retries. It has the configured timeout from the moment it starts,
// without the time it spent in the queue. Its errors are those that classify returns, or cache.ErrTimeout.
func call[In, Out, O any](ctx context.Context, c *Clients, op func(context.Context, In, ...func(*O)) (Out, error), in In) (Out, error) {
	var none Out
	if ctx.Value(limitedKey{}) != nil {
		select {
		case c.slots <- struct{}{}:
			defer func() { <-c.slots }()
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return none, cache.ErrTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var last error
	out, err := op(context.WithValue(ctx, lastErrorKey{}, &last), in)
	switch {
	case err == nil:
		return out, nil
	case last != nil:
		return none, classify(last)
	case ended(ctx):
		return none, cache.ErrTimeout
	default:
		return none, classify(err)
	}
}
