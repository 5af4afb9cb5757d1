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

// Plan returns the calls by which everything in cfg is prefetched, in the order of its sections. It calls nothing. Open
// entries have no names to prefetch, see OnDemand.
func Plan(cfg *config.Config) []Call {
	parameters, secrets, items := NewParameters(cfg, nil), NewSecrets(cfg, nil), NewItems(cfg, nil)
	var calls []Call

	asked := newPlan(&parameters.declared, cfg.Parameters, func(p config.Parameter) config.Entry { return p.Entry })
	var single []*parameter
	for _, p := range asked.resources {
		if p.path == "" {
			single = append(single, p)
			continue
		}
		calls = append(calls, asked.call("GetParametersByPath", p.in, p))
	}
	calls = append(calls, batched(asked, &parameters.batches, single, "GetParameter", "GetParameters")...)

	hidden := newPlan(&secrets.declared, cfg.Secrets, func(s config.Secret) config.Entry { return s.Entry })
	for _, s := range hidden.resources {
		calls = append(calls, hidden.call("GetSecretValue", s.region, s))
	}

	read := newPlan(&items.declared, cfg.Items, func(t config.Item) config.Entry { return t.Entry })
	return append(calls, batched(read, &items.batches, read.resources, "GetItem", "BatchGetItem")...)
}

// OnDemand returns for each open entry of cfg the call that reads a name of it, in the order of the sections. Its Names are
// the entry's own.
func OnDemand(cfg *config.Config) []Call {
	var calls []Call
	add := func(kind, operation string, e config.Entry) {
		if e.Pattern != nil {
			calls = append(calls, Call{Kind: kind, Operation: operation, Region: e.Region, Resources: 1, Names: []string{e.Name}})
		}
	}
	for _, p := range cfg.Parameters {
		add("parameters", "GetParameter", p.Entry)
	}
	for _, s := range cfg.Secrets {
		add("secrets", "GetSecretValue", s.Entry)
	}
	for _, t := range cfg.Items {
		add("dynamodb", "GetItem", t.Entry)
	}
	return calls
}

// plan is what is asked of one kind.
type plan[R comparable] struct {
	kind      string
	resources []R // each once, in the order of config.yaml
	names     map[R][]string
}

func newPlan[R comparable, E any](d *declared[R], entries []E, common func(E) config.Entry) plan[R] {
	p := plan[R]{kind: d.kind, names: make(map[R][]string)}
	for _, each := range entries {
		e := common(each)
		if e.Pattern != nil {
			continue
		}
		r := d.names[e.Name].resource
		if p.names[r] == nil {
			p.resources = append(p.resources, r)
		}
		p.names[r] = append(p.names[r], e.Name)
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
