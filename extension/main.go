// Command cache-extension serves DynamoDB items, Parameter Store parameters and Secrets Manager secrets from memory on the
// loopback interface: beside a Lambda function as an external extension, or in a terminal.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	version "cache-extension"
	"cache-extension/extension/internal/config"
)

func main() {
	ctx, stop := context.WithCancel(context.Background())
	signals := func() { stopOnSignal(stop) } // a twentieth of a start: the extension does it while Lambda answers
	os.Exit(run(ctx, signals, os.Args, os.Environ(), os.Stdout, os.Stderr))
}

// stopOnSignal calls stop at a signal that asks the program to end. When it returns, signals are watched.
func stopOnSignal(stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	signal.Ignore(syscall.SIGPIPE) // nobody reading the log is no reason to end
	go func() {
		<-signals
		stop()
	}()
}

const usage = `Usage: cache-extension <command>

  serve [file]   serve what config.yaml declares until Ctrl-C or SIGTERM
  check [file]   check config.yaml: print the names it serves, or every fault
  version        print the version
  --help         print this

In AWS Lambda it runs without a command, as an external extension.
Exit codes: 0 done, 1 a fault that is told on standard error, 2 wrong usage.
`

// Exit codes.
const (
	exitOK    = 0
	exitFault = 1
	exitUsage = 2
)

// run is the program; it ends orderly when ctx does. It calls signals when what it has begun should be ended orderly.
func run(ctx context.Context, signals func(), args, environ []string, stdout, stderr io.Writer) int {
	env := environment(environ)
	command, operands := "", args[1:]
	if len(operands) > 0 {
		command, operands = operands[0], operands[1:]
	}
	p := program{
		name:    filepath.Base(args[0]),
		env:     env,
		config:  config.Options{Env: environ},
		signals: signals,
		stdout:  stdout,
		stderr:  stderr,
	}
	takesFile := command == "serve" || command == "check"
	switch {
	case takesFile && len(operands) == 1 && !strings.HasPrefix(operands[0], "-"):
		p.config.Path = operands[0]
	case len(operands) > 0:
		return misused(stderr, "%s takes no argument %q", command, operands[len(operands)-1])
	}
	switch command {
	case "":
		if env["AWS_LAMBDA_RUNTIME_API"] == "" {
			return misused(stderr, "give a command (outside AWS Lambda it has no default)")
		}
		return p.extension(ctx)
	case "serve":
		return p.serve(ctx)
	case "check":
		return check(p.config, stdout, stderr)
	case "version":
		fmt.Fprintln(stdout, fullVersion())
		return exitOK
	case "--help", "-h", "help":
		fmt.Fprint(stdout, usage)
		return exitOK
	}
	return misused(stderr, "there is no command %q", command)
}

func misused(stderr io.Writer, format string, args ...any) int {
	fmt.Fprintf(stderr, "cache-extension: "+format+"\n\n%s", append(args, usage)...)
	return exitUsage
}

// check reads the configuration as serve would and says what it makes of it.
func check(o config.Options, stdout, stderr io.Writer) int {
	o.Check = true
	cfg, err := config.Load(o)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFault
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintf(stderr, "warning: %v\n", w)
	}
	for _, e := range cfg.Items {
		fmt.Fprintf(stdout, "dynamodb\t%s\n", e.Name)
	}
	for _, e := range cfg.Parameters {
		fmt.Fprintf(stdout, "parameters\t%s\n", e.Name)
	}
	for _, e := range cfg.Secrets {
		fmt.Fprintf(stdout, "secrets\t%s\n", e.Name)
	}
	return exitOK
}

// fullVersion is the version with the commit, where the Go command stamped one.
func fullVersion() string {
	v := "cache-extension " + version.Number()
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v += " (" + s.Value + ")"
		}
	}
	return v
}

// environment makes a map of what os.Environ returns.
func environment(environ []string) map[string]string {
	env := make(map[string]string, len(environ))
	for _, kv := range environ {
		if k, v, ok := strings.Cut(kv, "="); ok {
			env[k] = v
		}
	}
	return env
}

// newLog returns the program's log: JSON with the keys that Lambda's log filter needs, or text.
func newLog(w io.Writer, json bool, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if !json {
		return slog.New(slog.NewTextHandler(w, o))
	}
	o.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) > 0 {
			return a
		}
		switch a.Key {
		case slog.TimeKey:
			a = slog.Time("timestamp", a.Value.Time().UTC()) // as Lambda's own, and without reading the zone from a file
		case slog.MessageKey:
			a.Key = "message"
		}
		return a
	}
	return slog.New(slog.NewJSONHandler(w, o))
}

// report writes a fault whole, as it stands in docs and in the user's terminal; in Lambda this is what reaches CloudWatch.
func report(stderr io.Writer, err error) {
	var faults config.Faults
	if errors.As(err, &faults) {
		fmt.Fprintln(stderr, err)
		return
	}
	fmt.Fprintf(stderr, "cache-extension: %v\n", err)
}
