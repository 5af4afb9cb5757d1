package config

import (
	"fmt"
	"slices"
	"strings"
)

// The variables that are read by name in more than one place.
const (
	ownPrefix = "CACHE_EXTENSION_"
	envConfig = "CACHE_EXTENSION_CONFIG"

	envLambdaAPI = "AWS_LAMBDA_RUNTIME_API" // set by Lambda and nowhere else
	envTaskRoot  = "LAMBDA_TASK_ROOT"

	envRegion          = "AWS_REGION"
	envSecretAccessKey = "AWS_SECRET_ACCESS_KEY"
	envSessionToken    = "AWS_SESSION_TOKEN"
	envContainerToken  = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
)

// environment holds variables by name.
type environment map[string]string

// environ returns the variables of list, which has the form of os.Environ. The first of two of one name wins, as in os.Getenv.
func environ(list []string) environment {
	env := make(environment, len(list))
	for _, entry := range list {
		name, value, ok := strings.Cut(entry, "=")
		if _, known := env[name]; ok && !known {
			env[name] = value
		}
	}
	return env
}

// setting reads a variable into dst by parse, and reports whether it did. An empty one counts as unset.
func setting[T any](p *parser, name string, parse func(string) (T, error), dst *T) bool {
	text := p.env[name]
	if text == "" {
		return false
	}
	v, err := parse(text)
	if err != nil {
		p.envFault("%s: %s %v", name, quote(text), err)
		return false
	}
	*dst = v
	return true
}

// environment reads all variables but those that ${} names.
func (p *parser) environment() {
	c := p.cfg
	setting(p, "CACHE_EXTENSION_TTL", parseDuration, &c.TTL)
	setting(p, "CACHE_EXTENSION_INIT_STARTUP", parseBool, &c.Prefetch)
	setting(p, "CACHE_EXTENSION_PORT", parsePort, &c.Server.Port)
	setting(p, "CACHE_EXTENSION_LOG_LEVEL", parseLevel, &c.Log.Level)
	p.unknownVariables([]string{
		"CACHE_EXTENSION_TTL", "CACHE_EXTENSION_INIT_STARTUP", envConfig, "CACHE_EXTENSION_PORT", "CACHE_EXTENSION_LOG_LEVEL",
	})
	p.aws()
}

// unknownVariables warns of variables that are meant for this program and not among known. An empty one counts as unset.
func (p *parser) unknownVariables(known []string) {
	var unknown []string
	for name, text := range p.env {
		if strings.HasPrefix(name, ownPrefix) && text != "" && !slices.Contains(known, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	// With their prefix, any two of them would be near.
	short := make([]string, len(known))
	for i, name := range known {
		short[i] = strings.TrimPrefix(name, ownPrefix)
	}
	for _, name := range unknown {
		meant := near(strings.TrimPrefix(name, ownPrefix), short)
		if meant != "" {
			meant = ownPrefix + meant
		}
		p.warnings = append(p.warnings, Fault{Text: name + ": unknown variable" + didYouMean(meant)})
	}
}

// envFault notes what is wrong with the environment.
func (p *parser) envFault(format string, args ...any) {
	p.faults = append(p.faults, Fault{Text: fmt.Sprintf(format, args...)})
}
