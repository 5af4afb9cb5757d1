package config

import (
	"log/slog"
	"time"

	"gopkg.in/yaml.v3"
)

// parser reads one file and the environment into cfg and collects what is wrong with them.
type parser struct {
	file     string
	words    Wording
	env      environment
	check    bool
	cfg      *Config
	noRegion bool // the environment gives none, not even a wrong one
	faults   Faults
	warnings Faults

	// What entries are served under, each with the first one.
	parameters, secrets, items map[string]named
	trees                      []tree
	open                       []openName
}

func newParser(file string, o Options) *parser {
	return &parser{
		file: file,
		words: Wording{
			Empty: "list what to cache under parameters, secrets or dynamodb",
			Top:   "a mapping of settings such as ttl: 5m",
		},
		env:   environ(o.Env),
		check: o.Check,
		cfg: &Config{
			File:            file,
			TTL:             5 * time.Minute,
			StaleIfError:    time.Hour,
			StaleWait:       500 * time.Millisecond,
			NegativeTTL:     10 * time.Second,
			Timeout:         2 * time.Second,
			PrefetchTimeout: 5 * time.Second,
			Server:          Server{Port: 4000, MaxWaiting: 256},
			Log:             Log{Level: slog.LevelInfo},
			Memory:          Memory{MaxEntries: 10_000, MaxBytes: 16 << 20},
			AWS:             AWS{MaxAttempts: 3},
		},
	}
}

// Parse returns the configuration in data, the content of the file of that name, and in the environment of o,
// with the file that AWS_CA_BUNDLE names there.
// Its error is of type Faults and holds everything that is wrong.
func Parse(file string, data []byte, o Options) (*Config, error) {
	p := newParser(file, o)
	p.read(data)
	return p.result()
}

// read reads data, then the environment, which wins, then the entries, which build on both.
func (p *parser) read(data []byte) {
	m := p.mapping(p.document(data), "", topKeys)
	token := p.settings(m)
	p.environment()
	if token != nil {
		p.token(token)
	}
	p.entries(m)
	p.shared(m.value("shared"))
}

func (p *parser) result() (*Config, error) {
	if len(p.faults) > 0 {
		return nil, p.faults.sorted()
	}
	if len(p.cfg.Parameters)+len(p.cfg.Secrets)+len(p.cfg.Items) == 0 {
		p.warnings = append(p.warnings, Fault{File: p.file, Text: "nothing to cache (list it under parameters, secrets or dynamodb)"})
	}
	p.cfg.Warnings = p.warnings.sorted()
	return p.cfg, nil
}

// settings reads what holds for all entries, and returns where a token is asked for, or nil.
func (p *parser) settings(m mapping) *yaml.Node {
	c := p.cfg
	value(p, m, "ttl", parseDuration, &c.TTL)
	value(p, m, "stale_while_revalidate", parseDuration, &c.StaleWhileRevalidate)
	value(p, m, "stale_if_error", parseDuration, &c.StaleIfError)
	value(p, m, "stale_wait", parseDuration, &c.StaleWait)
	value(p, m, "negative_ttl", parseDuration, &c.NegativeTTL)
	value(p, m, "timeout", parseBound, &c.Timeout)
	value(p, m, "prefetch", parseBool, &c.Prefetch)
	value(p, m, "prefetch_timeout", parseBound, &c.PrefetchTimeout)

	server := p.mapping(m.value("server"), "server", serverKeys)
	value(p, server, "port", parsePort, &c.Server.Port)
	token := false
	value(p, server, "token", parseBool, &token)
	value(p, server, "max_waiting", parseCount, &c.Server.MaxWaiting)

	log := p.mapping(m.value("log"), "log", logKeys)
	value(p, log, "level", parseLevel, &c.Log.Level)
	value(p, m, "metrics", parseBool, &c.Metrics)

	memory := p.mapping(m.value("memory"), "memory", memoryKeys)
	value(p, memory, "max_entries", parseCount, &c.Memory.MaxEntries)
	value(p, memory, "max_bytes", parseSize, &c.Memory.MaxBytes)
	if !token {
		return nil
	}
	return server.value("token")
}

// token takes the token that callers must send from the environment. n is where the file asks for one.
func (p *parser) token(n *yaml.Node) {
	p.cfg.Server.Token = p.env[envSessionToken]
	if p.cfg.Server.Token == "" {
		p.cfg.Server.Token = p.env[envContainerToken]
	}
	if p.cfg.Server.Token == "" {
		p.lack(n, "server: token", "neither %s nor %s is set, from which the token is taken (set server.token to false, or one of them)", envSessionToken, envContainerToken)
	}
}

// lack notes what the environment does not give: where the file is only checked, that is no fault of the file's.
func (p *parser) lack(n *yaml.Node, where, format string, args ...any) {
	f := p.at(n, where, format, args...)
	if p.check {
		p.warnings = append(p.warnings, f)
		return
	}
	p.faults = append(p.faults, f)
}
