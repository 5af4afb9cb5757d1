// Command bench measures what cache-extension costs and how fast it is, beside floors: programs that do no more than what
// cannot be left out. All run on this machine, in rounds in which each has its turn, so that what disturbs one disturbs its
// neighbour; what counts are the ratios within rounds. Run it in the checkout:
//
//	go run ./e2e/bench                        every row
//	go run ./e2e/bench -rows start,hit        some
//	go run ./e2e/bench -against main~5        beside the extension of a revision
//	go run ./e2e/bench -docs                  rewrite the figures of docs/performance.md
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if ctx.Err() != nil {
		err = errors.New("interrupted; nothing is left running")
	}
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// rows returns all rows, in the order of the document.
func rows() []row {
	return []row{
		startRow(), sizeRow(), residentRow(), hitRow(), throughputRow(), burstRow(), prefetchRow(), prefetchTLSRow(), faultsRow(),
		upstreamRow(), memorySmallRow(), memoryLargeRow(), smallRow(0.07), smallRow(0.29),
	}
}

// run measures what args ask for. Tables go to stdout, progress to stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	chosen := flags.String("rows", "", "rows to measure, of "+strings.Join(names(rows()), ", ")+"; a first word such as small chooses all that begin with it")
	rounds := flags.Int("rounds", 0, "rounds of each row; 0 is what each takes to be steady")
	quick := flags.Bool("quick", false, "one short round of each row: to see that it works, not what it gives")
	against := flags.String("against", "", "a revision whose extension is measured, too")
	docs := flags.Bool("docs", false, "write docs/performance.md, its charts and performance.json")
	file := flags.String("json", "", "file for the results; bin/bench.json when empty")
	if err := flags.Parse(args); err != nil {
		return err
	}
	measured, err := choose(rows(), *chosen)
	if err != nil {
		return err
	}
	if *docs && (*chosen != "" || *against != "" || *quick) {
		return errors.New("-docs goes with -rounds alone: the document is of one whole run")
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	b := &bench{root: root, dir: dir, against: *against, asked: *rounds, quick: *quick, built: make(map[string]string)}
	all := results{Conditions: here(ctx, root)}
	fmt.Fprintf(stdout, "%s\n", all.Conditions)
	for _, r := range measured {
		got, err := r.measure(ctx, b, stderr)
		if err != nil {
			return err
		}
		all.Rows = append(all.Rows, got)
		fmt.Fprintf(stdout, "\n%s", got.markdown())
	}
	if *file == "" {
		*file = filepath.Join(root, "bin", "bench.json")
	}
	if err := os.MkdirAll(filepath.Dir(*file), 0o755); err != nil {
		return err
	}
	if err := all.write(*file); err != nil {
		return err
	}
	if !*docs {
		return nil
	}
	return all.document(filepath.Join(root, "docs"))
}

// choose returns the rows that a list of names or of their first words chooses, or all.
func choose(all []row, list string) ([]row, error) {
	if list == "" {
		return all, nil
	}
	var chosen []row
	for _, name := range strings.Split(list, ",") {
		found := false
		for _, r := range all {
			if r.name == name || strings.HasPrefix(r.name, name+"-") {
				chosen, found = append(chosen, r), true
			}
		}
		if !found {
			return nil, fmt.Errorf("there is no row %q; there are %s", name, strings.Join(names(all), ", "))
		}
	}
	return chosen, nil
}

func names(all []row) []string {
	var n []string
	for _, r := range all {
		n = append(n, r.name)
	}
	return n
}

// moduleRoot is where the checkout begins that this runs in.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("go list -m: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
