package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	version "cache-extension"
	"cache-extension/extension/internal/caches"
	"cache-extension/extension/internal/page"
	"cache-extension/extension/internal/server"
	"cache-extension/extension/internal/source"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"
)

// serveFlags is what the command line of serve says.
type serveFlags struct {
	file     string // config.yaml; empty looks for it
	port     int    // with hasPort: in the place of the configuration's
	hasPort  bool
	fixtures string // file; empty for none, or with offline for fixtures.yaml beside config.yaml
	offline  bool   // no call to AWS
}

func (a *app) serveCommand() *cobra.Command {
	var flags serveFlags
	cmd := &cobra.Command{
		Use:   "serve [file]",
		Short: "Serve config.yaml on localhost as the extension would in Lambda, until Ctrl-C",
		Long: `Answers on localhost with the caches and the HTTP server of cache-extension, and prints the URLs of the first 20 names.

config.yaml and the fixtures are read again when they change. Where they are faulty then, the faults are told and what was
read before is served on. A change of server.port needs a restart.

AWS is asked with the credentials that the AWS CLI would use: keys of the environment, AWS_PROFILE, single sign-on, roles,
credential processes. The Region of the profile counts where AWS_REGION is not set.

With --fixtures, names that have a fixture are answered from it; docs/fixtures.md has the format. With --offline no call to
AWS is ever made: fixtures.yaml beside config.yaml is used unless --fixtures names another file, and a name without a
fixture is missing (404).

Exit codes: 0 ended by Ctrl-C or SIGTERM, 1 a fault that is told on standard error, 2 wrong usage.`,
		Example: `  cachectl serve
  AWS_PROFILE=dev cachectl serve config.yaml --port 4001
  cachectl serve --offline --fixtures testdata/fixtures.yaml`,
		Args:              oneFile,
		ValidArgsFunction: yamlFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			flags.file, flags.hasPort = file(args), cmd.Flags().Changed("port")
			if flags.port < 0 || flags.port > 65535 {
				return misused("--port: %d is not a port (a whole number from 0 to 65535; 0 takes a free one)", flags.port)
			}
			return a.serve(cmd.Context(), flags)
		},
	}
	cmd.Flags().IntVar(&flags.port, "port", 0, "`port` to listen on in the place of the configuration's; 0 takes a free one")
	cmd.Flags().StringVar(&flags.fixtures, "fixtures", "", "`file` of values and failures to answer with instead of AWS")
	cmd.Flags().BoolVar(&flags.offline, "offline", false, "make no call to AWS: what has no fixture is missing")
	cobra.CheckErr(cmd.MarkFlagFilename("fixtures", "yaml", "yml")) // there is such a flag
	return cmd
}

// serving is one run of serve.
type serving struct {
	*app
	flags   serveFlags
	env     []string // what the configuration sees
	aws     source.Options
	log     *slog.Logger
	level   slog.LevelVar
	started time.Time
	server  *server.Server
	url     string // without a path

	optional bool                   // the fixtures were not asked for by name, and need not exist
	now      atomic.Pointer[loaded] // what is served; pages read it while a reload replaces it
	past     tally                  // of what was served before
	refused  bool                   // the files as they are now are not served
	again    time.Time              // when they are tried again though they have not changed; zero for never
}

// serve runs until ctx ends.
func (a *app) serve(ctx context.Context, flags serveFlags) error {
	s := &serving{app: a, flags: flags, env: a.environ, started: time.Now()}
	s.log = slog.New(newTerminalLog(a.stderr, &s.level))
	if err := s.reach(ctx); err != nil {
		return err
	}
	first, err := s.load()
	if err != nil {
		return err
	}
	files := s.follow()
	l, err := server.Listen(first.cfg.Server.Port)
	if err != nil {
		return explainPort(err)
	}
	s.url = fmt.Sprintf("http://localhost:%d", l.Port())
	s.level.Set(first.cfg.Log.Level)
	s.now.Store(first)
	s.server = server.New(server.Options{
		Caches: first.caches.ByKind(),
		Token:  first.cfg.Server.Token,
		Log:    s.log,
		Pages: page.New(page.Options{
			Caches:  func() []caches.Kind { return s.now.Load().caches.Kinds() },
			Config:  func() string { return s.now.Load().cfg.File },
			Started: s.started,
			Version: version.Number(),
		}),
	})
	ended := make(chan error, 1)
	go func() { ended <- s.server.Serve(l) }()

	s.printWarnings(first.cfg.Warnings)
	s.banner()
	err = s.untilDone(ctx, files, ended)
	s.close()
	if err == nil {
		s.past.add(s.now.Load().caches)
		fmt.Fprintf(s.stdout, "Stopped after %s: %s.\n", time.Since(s.started).Round(time.Second), s.past)
	}
	return err
}

// follow begins to look at the files for changes.
func (s *serving) follow() []*watched {
	files := []*watched{watch(s.flags.file, time.Now())}
	if s.flags.fixtures != "" {
		files = append(files, watch(s.flags.fixtures, time.Now()))
	}
	return files
}

// untilDone fetches what is to be there from the start, then follows the files until ctx or serving has ended.
func (s *serving) untilDone(ctx context.Context, files []*watched, ended <-chan error) error {
	if err := s.now.Load().caches.Prefetch(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			return err
		case at := <-poll.C:
			changed := false
			for _, f := range files {
				changed = f.changed(at) || changed
			}
			due := !s.again.IsZero() && !at.Before(s.again)
			if changed { // what is wrong with it is told, whatever was told before
				s.again = time.Time{}
			}
			if changed || due {
				s.reload(ctx)
			}
		}
	}
}

// reach decides how AWS is reached, if at all.
func (s *serving) reach(ctx context.Context) error {
	if s.flags.offline {
		s.aws = source.Options{HTTPClient: nowhere{}, Credentials: nowhere{}, Version: version.Number()}
		return nil
	}
	var region string
	var err error
	s.aws, region, err = s.awsOptions(ctx)
	if err != nil {
		return err
	}
	if region != "" {
		s.env = append([]string{"AWS_REGION=" + region}, s.environ...) // of two, the first counts
	}
	return nil
}

// nowhere takes the place of AWS and of credentials for it, so that nothing can lead there.
type nowhere struct{}

var errOffline = errors.New("no call to AWS is made (--offline)")

// Do implements aws.HTTPClient.
func (nowhere) Do(*http.Request) (*http.Response, error) { return nil, errOffline }

// Retrieve implements aws.CredentialsProvider.
func (nowhere) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{}, errOffline
}

// explainPort tells of a port that is taken what can be done here, which is more than in Lambda.
func explainPort(err error) error {
	var taken *server.PortTakenError
	if errors.As(err, &taken) {
		return fmt.Errorf("port %d is taken by another process: stop it, or take a free port with --port 0", taken.Port)
	}
	return err
}

// shutdownTime is what requests under way are given to end.
const shutdownTime = 2 * time.Second

// close ends the server.
func (s *serving) close() {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	if err := s.server.Shutdown(ctx); err != nil {
		s.log.Warn("requests were cut off", "error", err)
	}
}
