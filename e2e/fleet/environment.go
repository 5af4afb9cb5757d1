package main

import (
	"context"
	"regexp"
)

// environment is one execution environment: an extension and its Lambda.
type environment struct {
	*process
	lambda *lambda
}

// startEnvironment starts an extension with a configuration file.
func (s *sim) startEnvironment(ctx context.Context, config string, c *cloud) (*environment, error) {
	l, err := startLambda()
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, []string{
		"AWS_LAMBDA_RUNTIME_API=" + l.addr, "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=example", "AWS_SECRET_ACCESS_KEY=example",
		"AWS_ENDPOINT_URL=" + c.url, "CACHE_EXTENSION_CONFIG=" + config, "CACHE_EXTENSION_PORT=0",
	}, s.extension)
	if err != nil {
		l.stop()
		return nil, err
	}
	return &environment{p, l}, nil
}

func (e *environment) stop() {
	e.process.stop()
	e.lambda.stop()
}

// ready waits until the extension has asked for its first event.
func (e *environment) ready(ctx context.Context) error { return e.await(ctx, e.lambda.ready) }

var portSaid = regexp.MustCompile(`"port":(\d+)`)

// reader connects to the extension.
func (e *environment) reader(ctx context.Context) (*reader, error) {
	said, err := e.saw(ctx, portSaid)
	if err != nil {
		return nil, err
	}
	return dial(said[1])
}
