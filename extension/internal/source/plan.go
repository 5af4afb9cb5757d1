package source

import (
	"slices"

	"cache-extension/extension/internal/config"
)

// Call is one request to AWS of a prefetch that goes well.
type Call struct {
	Kind      string   // section of config.yaml
	Operation string   // such as GetParameters; GetParametersByPath has a request for each page of ten parameters
	Region    string   // empty where the configuration was only checked and has none
	Resources int      // how many it reads; 1 for a path
	Names     []string // as served, in the order of config.yaml; several where one resource has several names
}

// Plan returns the calls by which everything in cfg is prefetched, in the order of its sections. It calls nothing.
func Plan(cfg *config.Config) []Call {
	parameters, secrets, items := NewParameters(cfg, nil), NewSecrets(cfg, nil), NewItems(cfg, nil)
	var calls []Call

	asked := newPlan(&parameters.declared, cfg.Parameters, func(p config.Parameter) string { return p.Name })
	var single []*parameter
	for _, p := range asked.resources {
		if p.path == "" {
			single = append(single, p)
			continue
		}
		calls = append(calls, asked.call("GetParametersByPath", p.in, p))
	}
	calls = append(calls, batched(asked, &parameters.batches, single, "GetParameter", "GetParameters")...)

	hidden := newPlan(&secrets.declared, cfg.Secrets, func(s config.Secret) string { return s.Name })
	for _, s := range hidden.resources {
		calls = append(calls, hidden.call("GetSecretValue", s.region, s))
	}

	read := newPlan(&items.declared, cfg.Items, func(t config.Item) string { return t.Name })
	return append(calls, batched(read, &items.batches, read.resources, "GetItem", "BatchGetItem")...)
}

// plan is what is asked of one kind.
type plan[R comparable] struct {
	kind      string
	resources []R // each once, in the order of config.yaml
	names     map[R][]string
}

func newPlan[R comparable, E any](d *declared[R], entries []E, name func(E) string) plan[R] {
	p := plan[R]{kind: d.kind, names: make(map[R][]string)}
	for _, e := range entries {
		r := d.names[name(e)].resource
		if p.names[r] == nil {
			p.resources = append(p.resources, r)
		}
		p.names[r] = append(p.names[r], name(e))
	}
	return p
}

func (p plan[R]) call(operation, region string, resources ...R) Call {
	c := Call{Kind: p.kind, Operation: operation, Region: region, Resources: len(resources)}
	for _, r := range resources {
		c.Names = append(c.Names, p.names[r]...)
	}
	return c
}

// batched divides resources as batches.fetch does.
func batched[R batchable](p plan[R], b *batches[R], resources []R, single, many string) []Call {
	var calls []Call
	for group := range grouped(resources) {
		for chunk := range slices.Chunk(group, b.size) {
			operation := many
			if len(chunk) == 1 {
				operation = single
			}
			calls = append(calls, p.call(operation, chunk[0].region(), chunk...))
		}
	}
	return calls
}
