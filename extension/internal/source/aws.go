// Package source decides how what config.yaml declares is read from AWS: by which calls, how their answers find the names
// that asked, and what a failure means. It has one cache.Source for each kind.
package source

import (
	"context"
	"strings"
	"sync"
	"time"

	"cache-extension/extension/internal/config"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
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
	// Credentials are where keys come from; nil looks into the environment, then as Local says.
	Credentials aws.CredentialsProvider
	// Local is true outside Lambda: where the environment has no credentials, the AWS CLI is asked for them.
	Local bool
	// Version of the program, for AWS's logs; empty for none.
	Version string
}

// Clients is all access to AWS: one client for each service and region, made when first needed and shared by all kinds.
type Clients struct {
	conf        config.AWS
	timeout     time.Duration // of one operation, retries included
	userAgent   string
	http        aws.HTTPClient
	credentials aws.CredentialsProvider
	signer      *v4.Signer
	slots       chan struct{} // one is held during each call under Limited

	mu      sync.Mutex         // guards clients
	clients map[string]*client // by service and region
}

// NewClients prepares access to AWS. It reads and calls nothing: credentials are looked for by the first call.
func NewClients(cfg *config.Config, opts Options) *Clients {
	calls, credentials := opts.HTTPClient, opts.HTTPClient
	if calls == nil {
		t := newTransport(cfg.AWS.RootCAs, cfg.Timeout)
		calls, credentials = newHTTPClient(newThawing(t)), newHTTPClient(withoutProxy(t))
	}
	keys := opts.Credentials
	if keys == nil {
		keys = newCredentials(cfg.AWS, cfg.Timeout, credentials, opts.Local)
	}
	return &Clients{
		conf:        cfg.AWS,
		timeout:     cfg.Timeout,
		userAgent:   strings.TrimSuffix("cache-extension/"+opts.Version, "/"),
		http:        calls,
		credentials: keys,
		signer:      v4.NewSigner(),
		slots:       make(chan struct{}, maxCalls),
		clients:     make(map[string]*client),
	}
}

type limitedKey struct{}

// Limited returns a context under which calls wait for each other, so that no more than eight run at a time over all
// kinds. It is for prefetch and refresh; the single fetch of a reader who waits does not stand in their queue.
func Limited(ctx context.Context) context.Context {
	return context.WithValue(ctx, limitedKey{}, true)
}
