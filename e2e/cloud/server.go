// Package cloud decides what stands in for AWS in the demo and the end-to-end tests: moto for all three services, DynamoDB
// Local for AWS's own engine, ministack for what is deployed, what is put into them, and a proxy that counts what is asked of them.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"cache-extension/e2e/output"
)

// startTimeout bounds how long a server may take to answer its first request; on a busy machine Python takes seconds.
const startTimeout = 60 * time.Second

// Server is a process that stands in for AWS.
type Server struct {
	URL  string // such as http://127.0.0.1:5000
	stop context.CancelFunc
	cmd  *exec.Cmd
	said *output.Log
	done chan struct{} // closed when the process has ended
}

var motoURL = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// StartMoto starts the moto server of the folder that parts.Install gave, on a free port of 127.0.0.1.
func StartMoto(ctx context.Context, dir string) (*Server, error) {
	s, err := start(ctx, nil, filepath.Join(dir, "bin", "moto_server"), "-H", "127.0.0.1", "-p", "0")
	if err != nil {
		return nil, fmt.Errorf("moto: %w", err)
	}
	ctx, cancel := s.starting(ctx)
	defer cancel()
	url, err := s.said.Wait(ctx, motoURL)
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("moto: %w", err)
	}
	s.URL = url[0]
	return s, nil
}

// StartDynamoDB starts DynamoDB Local of the folder that parts.Install gave, on port 8000. It listens on all interfaces
// and cannot be told otherwise: call it in a sandbox only.
func StartDynamoDB(ctx context.Context, dir string) (*Server, error) {
	lib := filepath.Join(dir, "lib")
	s, err := start(ctx, nil, "java", "-Djava.library.path="+lib, "-XX:TieredStopAtLevel=1", "-Xmx256m", "-cp", lib+"/*",
		"com.amazonaws.services.dynamodbv2.local.main.ServerRunner", "-inMemory", "-port", "8000", "-disableTelemetry")
	if err != nil {
		return nil, fmt.Errorf("DynamoDB Local: %w", err)
	}
	s.URL = "http://127.0.0.1:8000"
	if err := s.answers(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("DynamoDB Local: %w", err)
	}
	return s, nil
}

// StartMinistack starts ministack of the folder that parts.Install gave, on port 4566 of 127.0.0.1. It deploys what it is
// told by CloudFormation, SAM templates too, and runs functions as processes of its own, which Close does not end: call it
// in a sandbox only. It writes into the folder state and nowhere else.
func StartMinistack(ctx context.Context, dir, state string) (*Server, error) {
	env := []string{"BIND_HOST=127.0.0.1", "MINISTACK_HOST=127.0.0.1", "GATEWAY_PORT=4566", "LAMBDA_EXECUTOR=local",
		"TMPDIR=" + state, "STATE_DIR=" + state, "S3_DATA_DIR=" + filepath.Join(state, "s3")}
	s, err := start(ctx, env, filepath.Join(dir, "bin", "ministack"))
	if err != nil {
		return nil, fmt.Errorf("ministack: %w", err)
	}
	s.URL = "http://127.0.0.1:4566"
	if err := s.answers(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("ministack: %w", err)
	}
	return s, nil
}

// Close ends the server and returns when it has ended.
func (s *Server) Close() {
	s.stop()
	<-s.done
}

// Log returns what the server has written so far.
func (s *Server) Log() string { return s.said.String() }

// starting bounds ctx to the time in which the server must start, and ends it when its process ends.
func (s *Server) starting(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("did not start within %v", startTimeout))
	ctx, end := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-s.done:
			end(errors.New("ended while it started"))
		case <-ctx.Done():
		}
	}()
	return ctx, func() { end(nil); cancel() }
}

func start(ctx context.Context, env []string, name string, args ...string) (*Server, error) {
	ctx, stop := context.WithCancel(ctx)
	s := &Server{stop: stop, cmd: exec.CommandContext(ctx, name, args...), said: &output.Log{}, done: make(chan struct{})}
	s.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "NO_COLOR=1",
		"AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey}, env...)
	s.cmd.Stdout, s.cmd.Stderr = s.said, s.said
	s.cmd.WaitDelay = time.Second
	if err := s.cmd.Start(); err != nil {
		stop()
		return nil, err
	}
	go func() {
		_ = s.cmd.Wait() // what it ended with is not of interest: it is always killed
		close(s.done)
	}()
	return s, nil
}

// answers returns when the server answers HTTP, whatever it says.
func (s *Server) answers(ctx context.Context) error {
	ctx, cancel := s.starting(ctx)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
		if err != nil {
			return err
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			return response.Body.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; it said:\n%s", context.Cause(ctx), s.said)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
