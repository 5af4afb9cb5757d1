package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/source"

	"github.com/spf13/cobra"
)

func (a *app) checkCommand() *cobra.Command {
	var live, asJSON bool
	cmd := &cobra.Command{
		Use:   "check [file]",
		Short: "Check config.yaml: print what it serves and how that is fetched, or every fault",
		Long: `Reads config.yaml as a start of cache-extension does, but that a Region or a token
that this environment lacks is a warning.

Every fault is told at once on standard error, with its line, its column and what was probably meant. Without a fault,
a table tells the names that are served and the calls to AWS by which prefetch brings them in. AWS is not asked.

With --live each is then read from AWS once, with the credentials of this machine: found, missing, denied (with the
action that is lacking), throttled, timeout or upstream (any other failure), the size and the time. No value is printed.
A name with placeholders is skipped.

With --json, standard output is one document, for success and for faults:

    ok         false if there is a fault
    file       path of the file, empty where none was found
    names      what is served: name, cachetype, line, resource, region, ttl_seconds, required;
               operation and batch: the call by which prefetch reads it, and how many resources that call reads;
               on_demand: the name has placeholders, and prefetch has no part in it;
               live: result, bytes, milliseconds, lacking (actions of IAM), error
    prefetch   on, and calls: how many fetch everything, with one page for each path
    faults     file, line, column (0 where there is none) and text
    warnings   the same of what is odd but no fault

With GITHUB_ACTIONS=true, faults and warnings are written to standard error as GitHub annotations as well.

Exit codes: 0 no fault (there may be warnings), 1 a fault, or with --live a name that was not found, 2 wrong usage.`,
		Example: `  cachectl check
  cachectl check --live config.yaml
  cachectl check --json config.yaml | jq -r '.names[].name'`,
		Args:              oneFile,
		ValidArgsFunction: yamlFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := a.check(cmd.Context(), file(args), live)
			if err != nil {
				return err
			}
			return a.tell(r, asJSON)
		},
	}
	cmd.Flags().BoolVar(&live, "live", false, "read each name from AWS once and say what came of it")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document instead, for success and for faults")
	return cmd
}

// report is all that check finds out. As JSON it is what docs/cli.md documents for programs.
type report struct {
	OK       bool          `json:"ok"`
	File     string        `json:"file"` // empty where none was found
	Faults   config.Faults `json:"-"`
	Warnings config.Faults `json:"-"`
	Names    []served      `json:"names"`
	Prefetch prefetch      `json:"prefetch"`
}

// served is one name that callers may read.
type served struct {
	Name      string   `json:"name"`
	Cachetype string   `json:"cachetype"`
	Line      int      `json:"line"`
	Resource  string   `json:"resource"`
	Region    string   `json:"region"` // empty where neither the file nor the environment has one
	TTL       float64  `json:"ttl_seconds"`
	Required  bool     `json:"required"`
	Operation string   `json:"operation"` // of AWS's API, by which prefetch reads it
	Batch     int      `json:"batch"`     // how many resources that call reads
	OnDemand  bool     `json:"on_demand"` // the name has placeholders: operation is its readers'
	Live      *reading `json:"live,omitempty"`
}

// prefetch is what a start fetches.
type prefetch struct {
	On    bool `json:"on"`
	Calls int  `json:"calls"` // to fetch everything
}

// check reads the file of that path. What is wrong is in the report; there is an error only where ctx has ended.
func (a *app) check(ctx context.Context, path string, live bool) (*report, error) {
	cfg, err := config.Load(config.Options{Path: path, Env: a.environ, Check: true})
	if err != nil {
		faults := faultsOf(err)
		return &report{File: fileOf(faults), Names: []served{}, Faults: faults}, nil
	}
	var clients source.Options
	if live {
		clients, cfg, err = a.connect(ctx, cfg)
	}
	calls := source.Plan(cfg)
	r := &report{File: cfg.File, Warnings: cfg.Warnings, Names: names(cfg), Prefetch: prefetch{cfg.Prefetch, len(calls)}}
	r.plan(append(calls, source.OnDemand(cfg)...))
	switch {
	case err != nil:
		r.Faults = faultsOf(err)
	case live:
		r.Faults = readLive(ctx, cfg, clients, r.Names)
	}
	if ctx.Err() != nil {
		return nil, errors.New("interrupted")
	}
	r.OK = len(r.Faults) == 0
	return r, nil
}

// faultsOf returns err as faults; one that is about no line is one of the environment.
func faultsOf(err error) config.Faults {
	var faults config.Faults
	if errors.As(err, &faults) {
		return faults
	}
	return config.Faults{{Text: err.Error()}}
}

// fileOf returns the file that faults are of, empty where all are of the environment.
func fileOf(faults config.Faults) string {
	for _, f := range faults {
		if f.File != "" {
			return f.File
		}
	}
	return ""
}

// names returns all that cfg serves, in the order of its sections.
func names(cfg *config.Config) []served {
	all := []served{} // not null in JSON
	add := func(cachetype, resource string, e config.Entry) {
		all = append(all, served{
			Name: e.Name, Cachetype: cachetype, Line: e.Line, Resource: resource, Region: e.Region,
			TTL: e.TTL.Seconds(), Required: e.Required, OnDemand: e.Pattern != nil,
		})
	}
	for _, p := range cfg.Parameters {
		add("parameters", parameterText(p), p.Entry)
	}
	for _, s := range cfg.Secrets {
		add("secrets", secretText(s), s.Entry)
	}
	for _, it := range cfg.Items {
		add("dynamodb", itemText(it), it.Entry)
	}
	return all
}

// plan notes for each name the call that reads it.
func (r *report) plan(calls []source.Call) {
	type id struct{ cachetype, name string }
	by := make(map[id]source.Call)
	for _, c := range calls {
		for _, name := range c.Names {
			by[id{c.Kind, name}] = c
		}
	}
	for i, n := range r.Names {
		c := by[id{n.Cachetype, n.Name}]
		r.Names[i].Operation, r.Names[i].Batch = c.Operation, c.Resources
	}
}

// tell prints the report. Its error is errReported where something is wrong.
func (a *app) tell(r *report, asJSON bool) error {
	if asJSON {
		a.annotate("warning", r.Warnings)
		a.annotate("error", r.Faults)
		if err := a.tellJSON(r); err != nil {
			return err
		}
	} else {
		a.printWarnings(r.Warnings)
		if _, err := fmt.Fprint(a.stdout, r.table()); err != nil {
			return err
		}
		a.printFaults(r.Faults)
	}
	if !r.OK {
		return errReported
	}
	return nil
}

func (a *app) tellJSON(r *report) error {
	type fault struct {
		File   string `json:"file"`
		Line   int    `json:"line"`
		Column int    `json:"column"`
		Text   string `json:"text"`
	}
	list := func(faults config.Faults) []fault {
		all := make([]fault, 0, len(faults))
		for _, f := range faults {
			all = append(all, fault(f))
		}
		return all
	}
	e := json.NewEncoder(a.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		*report
		Faults   []fault `json:"faults"`
		Warnings []fault `json:"warnings"`
	}{r, list(r.Faults), list(r.Warnings)})
}
