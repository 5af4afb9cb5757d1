// Command cachectl is for laptops and CI what cache-extension is in Lambda: it checks config.yaml, tells which permissions
// it implies, and serves it. It uses the packages of the extension and is not part of the layer.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"cache-extension/extension/internal/config"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends what does not end by itself
	context.AfterFunc(ctx, func() {
		// Opening and reading a named pipe waits for who writes to it, and no context ends that.
		time.Sleep(endTime)
		fmt.Fprintln(os.Stderr, "cachectl: interrupted")
		os.Exit(exitFault)
	})
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// endTime is what a command is given to end orderly. It is more than requests are given by serve.
const endTime = shutdownTime + 500*time.Millisecond

// Exit codes, the same as those of cache-extension.
const (
	exitOK    = 0
	exitFault = 1
	exitUsage = 2
)

const exitCodes = "Exit codes: 0 done, 1 a fault that is told on standard error, 2 wrong usage."

// app is what every command works with.
type app struct {
	stdout, stderr io.Writer
	environ        []string // in the form of os.Environ
	tty            bool     // somebody may be asked for a code on standard input
	secret         string   // file whose lines are never shown, for they hold values; empty for none
	unhelpful      error    // what kept the text of --help from being written, of which cobra returns nothing
}

// run is the program; it ends orderly when ctx does.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	a := &app{stdout: stdout, stderr: stderr, environ: environ, tty: isTerminal(os.Stdin)}
	root := newRoot(a)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		err = a.unhelpful
	}
	var wrong usageError
	var faults config.Faults
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &wrong):
		fmt.Fprintf(stderr, "cachectl: %s\n\nUsage: %s\nMore: %s --help\n", tame(err.Error()), cmd.UseLine(), cmd.CommandPath())
		return exitUsage
	case errors.Is(err, errReported):
	case errors.As(err, &faults):
		a.printFaults(faults)
	default:
		a.printError(err)
	}
	return exitFault
}

// newRoot returns the tree of all commands.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "cachectl <command>",
		Short: "Check config.yaml of cache-extension, and serve it without Lambda",
		Long: `cachectl works with config.yaml of cache-extension on a laptop and in CI.

Where no file is given it is looked for as cache-extension does: CACHE_EXTENSION_CONFIG, then config.yaml in
LAMBDA_TASK_ROOT, in /var/task and in the working directory.

` + exitCodes,
		Example: `  cachectl check config.yaml
  cachectl serve --offline config.yaml`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return misused("give a command")
			}
			return unknownCommand(cmd, args[0])
		},
		RunE:          func(*cobra.Command, []string) error { return nil }, // never: Args refuses all that comes here
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(wrongFlag)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { _, a.unhelpful = fmt.Fprint(a.stdout, help(cmd)) })
	root.SetHelpCommand(helpCommand())
	root.CompletionOptions.DisableDefaultCmd = true // ours takes the shell as an argument, and refuses others
	root.AddCommand(a.serveCommand(), a.checkCommand(), a.policyCommand(), a.schemaCommand(), a.completionCommand(), a.versionCommand())
	root.DisableFlagsInUseLine = true
	for _, c := range root.Commands() {
		c.DisableFlagsInUseLine = !c.HasLocalFlags()
	}
	return root
}

// errReported is the error of a command that has told on standard error what is wrong.
var errReported = errors.New("already reported")

// usageError is wrong usage, which is answered with the usage line of the command.
type usageError string

func (e usageError) Error() string { return string(e) }

func misused(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

// unknownCommand is the error of a name that no command below cmd has.
func unknownCommand(cmd *cobra.Command, name string) error {
	var known []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			known = append(known, c.Name())
		}
	}
	if slices.Contains(known, name) { // then cobra took it for an argument
		return misused("%s is an argument behind --, not a command (leave out the --)", name)
	}
	return misused("there is no command %q%s", name, config.DidYouMean(name, known))
}

// wrongFlag restates what pflag says of a flag.
func wrongFlag(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var bare *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		// What stands before an unknown flag of the root is a command that there is not.
		if name := cmd.Flags().Arg(0); !cmd.HasParent() && name != "" {
			return unknownCommand(cmd, name)
		}
		name := "--" + unknown.GetSpecifiedName()
		if unknown.GetSpecifiedShortnames() != "" {
			name = name[1:]
		}
		var known []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, "--"+f.Name) })
		return misused("%s has no flag %s%s", cmd.Name(), name, config.DidYouMean(name, known))
	case errors.As(err, &bare):
		return misused("--%s needs a value, such as --%[1]s=VALUE", bare.GetSpecifiedName())
	case errors.As(err, &invalid):
		return misused("--%s: %q cannot be its value, which is of type %s", invalid.GetFlag().Name, invalid.GetValue(), invalid.GetFlag().Value.Type())
	}
	return misused("%v", err)
}

// oneFile is the Args of a command that takes one file at most.
func oneFile(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return misused("%s takes one file, not %q as well", cmd.Name(), args[1])
	}
	return nil
}

// noArgs is the Args of a command that takes none.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return misused("%s takes no argument %q", cmd.Name(), args[0])
	}
	return nil
}

// yamlFiles completes the argument of a command that takes one file.
func yamlFiles(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

// file returns the argument of a command that takes one file, empty where there is none.
func file(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// getenv returns a variable of the environment, empty where it is not set.
func (a *app) getenv(name string) string {
	for _, entry := range a.environ {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// isTerminal reports whether somebody may be at f. os.DevNull is a character device, too, and nobody is there.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
