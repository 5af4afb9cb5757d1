package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/source"
)

// reading is what came of reading one resource. It never holds the value.
type reading struct {
	Result       string   `json:"result"` // found, missing, denied, throttled, timeout, upstream or skipped
	Bytes        int      `json:"bytes"`
	Milliseconds int64    `json:"milliseconds"`
	Lacking      []string `json:"lacking,omitempty"` // actions of IAM, where denied
	Error        string   `json:"error,omitempty"`   // what AWS said
}

// The results that are not failures.
const (
	resultFound   = "found"
	resultSkipped = "skipped" // it has placeholders, and nobody says what for
)

// cells returns the last cells of a row of the table.
func (r reading) cells() string {
	if r.Result == resultSkipped {
		return r.Result + "\t-\t-"
	}
	size := "-"
	if r.Result == resultFound {
		size = strconv.Itoa(r.Bytes)
	}
	return fmt.Sprintf("%s\t%s\t%d ms", r.Result, size, r.Milliseconds)
}

// connect prepares access to AWS with the credentials of this machine. It returns cfg with the Region of the profile where
// the environment has none.
func (a *app) connect(ctx context.Context, cfg *config.Config) (source.Options, *config.Config, error) {
	o, region, err := a.awsOptions(ctx)
	if err != nil {
		return o, cfg, err
	}
	if o.Credentials != nil {
		// Signing in may take longer than a read may, and what keeps it from succeeding is told once.
		if _, err := o.Credentials.Retrieve(ctx); err != nil {
			return o, cfg, err
		}
	}
	if region == "" || cfg.AWS.Region != "" {
		return o, cfg, nil
	}
	complete, err := config.Load(config.Options{Path: cfg.File, Env: slices.Concat([]string{"AWS_REGION=" + region}, a.environ), Check: true})
	if err != nil {
		return o, cfg, err
	}
	return o, complete, nil
}

// maxReads is how many reads run at a time, as in prefetch.
const maxReads = 8

// readLive reads what names stand for, each key of the caches once, and notes in them what came of it. It returns a fault
// for each name that was not found.
func readLive(ctx context.Context, cfg *config.Config, o source.Options, names []served) config.Faults {
	clients := source.NewClients(cfg, o)
	sources := map[string]cache.Source{
		"parameters": source.NewParameters(cfg, clients),
		"secrets":    source.NewSecrets(cfg, clients),
		"dynamodb":   source.NewItems(cfg, clients),
	}
	readings := make(map[*cache.Key]*reading)
	slots := make(chan struct{}, maxReads)
	var all sync.WaitGroup
	for i := range names {
		n := &names[i]
		if n.OnDemand {
			n.Live = &reading{Result: resultSkipped}
			continue
		}
		s := sources[n.Cachetype]
		key, _, _ := s.Find(n.Name)
		if readings[key] == nil {
			r := new(reading)
			readings[key] = r
			region, operation := n.Region, n.Operation
			all.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				*r = readOne(ctx, s, key, region, operation)
			})
		}
		n.Live = readings[key]
	}
	all.Wait()
	var faults config.Faults
	for _, n := range names {
		if n.Live.Result != resultFound && n.Live.Result != resultSkipped {
			text := fmt.Sprintf("%s: %q: %s", n.Cachetype, n.Name, n.Live.explanation())
			faults = append(faults, config.Fault{File: cfg.File, Line: n.Line, Text: text})
		}
	}
	return faults.Sorted()
}

// readOne reads one key as its first reader would.
func readOne(ctx context.Context, s cache.Source, key *cache.Key, region, operation string) (r reading) {
	if region == "" {
		return reading{Result: "upstream", Error: "it has no region (give the entry a region, or set AWS_REGION)"}
	}
	ctx, cancel := context.WithTimeout(ctx, key.Timeout)
	defer cancel()
	start := time.Now()
	s.Fetch(ctx, []string{key.Name}, func(_ string, v *cache.Value, err error) {
		switch {
		case err != nil:
			r.Result, r.Error = cache.Class(err), err.Error()
		case key.Required && v.Members != nil && len(v.Members) == 0:
			r.Result, r.Error = "missing", "nothing is below the path, and it is required"
		default:
			r.Result, r.Bytes = resultFound, len(v.Body)
		}
	})
	r.Milliseconds = time.Since(start).Milliseconds()
	if r.Result == "denied" {
		r.Lacking = lacking(operation, r.Error)
	}
	return r
}

// actions are what a read takes, by the operation that prefetch uses. Where there are two, either is enough for a read
// and both are asked for: a refusal is about both.
var actions = map[string][]string{
	"GetParameter":        {"ssm:GetParameter", "ssm:GetParameters"},
	"GetParameters":       {"ssm:GetParameter", "ssm:GetParameters"},
	"GetParametersByPath": {"ssm:GetParametersByPath"},
	"GetSecretValue":      {"secretsmanager:GetSecretValue"},
	"GetItem":             {"dynamodb:GetItem", "dynamodb:BatchGetItem"},
	"BatchGetItem":        {"dynamodb:GetItem", "dynamodb:BatchGetItem"},
}

// lacking returns the actions that AWS denied: those of the operation, unless its text is about another.
func lacking(operation, text string) []string {
	own := actions[operation]
	if m := regexp.MustCompile(`not authorized to perform: ([a-z0-9-]+:[A-Za-z]+)`).FindStringSubmatch(text); m != nil {
		if slices.Contains(own, m[1]) {
			return own
		}
		return m[1:]
	}
	// Of a key, the services say it in words of their own.
	if strings.Contains(text, "KMS") {
		return []string{"kms:Decrypt"}
	}
	return own
}

// explanation says what is wrong and what to do about it.
func (r reading) explanation() string {
	text := r.Result
	switch r.Result {
	case "denied":
		text += " (allow " + strings.Join(r.Lacking, " and ") + "; cachectl policy prints all that is needed)"
	case "missing":
		text += " (create it, or correct the entry)"
	case "throttled":
		text += " (try again later)"
	}
	return text + ": " + r.Error
}
