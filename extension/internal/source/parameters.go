package source

import (
	"context"
	"slices"
	"strings"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/config"
)

const (
	maxNames = 10 // in GetParameters
	maxPage  = 10 // of GetParametersByPath
	// pagesOfTime bounds the reading of a path: it may take as long as so many single reads.
	pagesOfTime = 10
)

// Parameters reads section parameters from Systems Manager Parameter Store. It is a cache.Source.
type Parameters struct {
	declared[*parameter]
	clients *Clients
	batches batches[*parameter]
}

// parameter is one parameter, or all below a path.
type parameter struct {
	in           string // region
	id, selector string
	path, label  string // path is empty for a single parameter
}

func (p *parameter) region() string { return p.in }

func (p *parameter) group() string { return "" }

// NewParameters returns the source of cfg.Parameters.
func NewParameters(cfg *config.Config, clients *Clients) *Parameters {
	entries := make([]entry[*parameter], 0, len(cfg.Parameters))
	var patterns []pattern[*parameter]
	for _, c := range cfg.Parameters {
		if c.Pattern == nil {
			entries = append(entries, parameterEntry(c, cfg.Timeout))
			continue
		}
		patterns = append(patterns, pattern[*parameter]{c.Pattern, func(captures config.Captures) (entry[*parameter], bool) {
			return parameterEntry(c.Fill(captures), cfg.Timeout), true
		}})
	}
	s := &Parameters{declared: declare("parameters", entries, patterns), clients: clients}
	for _, c := range cfg.Parameters {
		if c.Path != "" {
			s.addTree(c.Path, c.Name)
		}
	}
	s.batches = batches[*parameter]{size: maxNames, single: s.getParameter, many: s.getParameters}
	return s
}

func parameterEntry(c config.Parameter, timeout time.Duration) entry[*parameter] {
	p := &parameter{in: c.Region, id: c.ID, selector: c.Selector, path: askedPath(c.Path), label: c.Label}
	if p.path != "" {
		timeout *= pagesOfTime
	}
	return entry[*parameter]{c.Entry, timeout, quoted(p.in, p.id, p.selector, p.path, p.label), p}
}

// askedPath is how AWS is asked for a path: IAM takes it for a part of the resource's name to the letter, and policies are
// written without the slash at the end.
func askedPath(path string) string {
	if path == "/" {
		return path
	}
	return strings.TrimSuffix(path, "/")
}

// Fetch implements cache.Source.
func (s *Parameters) Fetch(ctx context.Context, names []string, put func(name string, v *cache.Value, err error)) {
	w := s.deliver(names, put)
	if len(w.resources) > 1 {
		ctx = Limited(ctx)
	}
	var single []*parameter
	for _, p := range w.resources {
		if p.path == "" {
			single = append(single, p)
			continue
		}
		w.start([]*parameter{p}, func() {
			v, err := s.getParametersByPath(ctx, p)
			w.land(p, v, err)
		})
	}
	s.batches.fetch(ctx, w, single)
	w.running.Wait()
}

// asked is how AWS is asked for p.
func (p *parameter) asked() string {
	if p.selector == "" {
		return p.id
	}
	return p.id + ":" + p.selector
}

// found is a parameter in an answer.
type found struct {
	ARN, Name, Selector string
	Value               *string
}

func (s *Parameters) getParameter(ctx context.Context, p *parameter) (*cache.Value, error) {
	var out struct{ Parameter found }
	in := fields{"Name": p.asked(), "WithDecryption": true}
	if err := s.clients.in(systemsManager, p.in).call(ctx, "GetParameter", in, &out); err != nil {
		return nil, err
	}
	if out.Parameter.Value == nil {
		return nil, errNoValue()
	}
	return &cache.Value{Body: []byte(*out.Parameter.Value)}, nil
}

func (s *Parameters) getParameters(ctx context.Context, group []*parameter, land func(*parameter, *cache.Value, error)) ([]*parameter, error) {
	names := make([]string, 0, len(group))
	for _, p := range group {
		names = append(names, p.asked())
	}
	var out struct {
		Parameters        []found
		InvalidParameters []string
	}
	in := fields{"Names": names, "WithDecryption": true}
	if err := s.clients.in(systemsManager, group[0].in).call(ctx, "GetParameters", in, &out); err != nil {
		return group, err
	}
	answers := matchParameters(group, out.Parameters)
	var rest []*parameter
	for _, p := range group {
		answer, invalid := answers[p], slices.Contains(out.InvalidParameters, p.asked())
		switch {
		case answer == nil && invalid:
			land(p, nil, &failure{class: cache.ErrMissing, text: "no such parameter, version or label (InvalidParameters)"})
		case answer != nil && answer.Value != nil && !invalid:
			land(p, &cache.Value{Body: []byte(*answer.Value)}, nil)
		default:
			rest = append(rest, p)
		}
	}
	return rest, nil
}

// matchParameters returns the answer to each of asked. One that fits several, or is not the only one to fit, is left out:
// nothing tells whose it is.
func matchParameters(asked []*parameter, answers []found) map[*parameter]*found {
	if len(asked) == 1 && len(answers) == 1 {
		return map[*parameter]*found{asked[0]: &answers[0]}
	}
	matched := make(map[*parameter]*found)
	doubtful := make(map[*parameter]bool)
	for i := range answers {
		var fits []*parameter
		for _, p := range asked {
			if p.fits(&answers[i]) {
				fits = append(fits, p)
			}
		}
		for _, p := range fits {
			if len(fits) > 1 || matched[p] != nil {
				doubtful[p] = true
			}
			matched[p] = &answers[i]
		}
	}
	for p := range doubtful {
		delete(matched, p)
	}
	return matched
}

// fits reports whether answer can be the one to p.
func (p *parameter) fits(answer *found) bool {
	if strings.TrimPrefix(answer.Selector, ":") != p.selector {
		return false
	}
	if answer.ARN == p.id || answer.Name == p.id {
		return true
	}
	// The prefix that makes a parameter of a secret may be missing in the answer.
	reference, ok := strings.CutPrefix(p.id, config.SecretReference)
	return ok && answer.Name == reference
}

func (s *Parameters) getParametersByPath(ctx context.Context, p *parameter) (*cache.Value, error) {
	in := fields{"Path": p.path, "Recursive": true, "WithDecryption": true, "MaxResults": maxPage}
	if p.label != "" {
		in["ParameterFilters"] = []fields{{"Key": "Label", "Option": "Equals", "Values": []string{p.label}}}
	}
	members := make(map[string]*cache.Value)
	for {
		var out struct {
			Parameters []found
			NextToken  string
		}
		if err := s.clients.in(systemsManager, p.in).call(ctx, "GetParametersByPath", in, &out); err != nil {
			return nil, err
		}
		for _, answer := range out.Parameters {
			member, ok := strings.CutPrefix(answer.Name, below(p.path))
			if !ok || member == "" || answer.Value == nil {
				return nil, errNoValue()
			}
			members[member] = &cache.Value{Body: []byte(*answer.Value)}
		}
		// A page may be empty and not be the last one.
		if out.NextToken == "" {
			break
		}
		if out.NextToken == in["NextToken"] {
			return nil, &failure{text: "AWS's answer names the page that it is as the next one"}
		}
		in["NextToken"] = out.NextToken
	}
	return Tree(members), nil
}

// Tree returns the value of a path, of the values below it by relative name. It keeps members, which is not nil.
func Tree(members map[string]*cache.Value) *cache.Value {
	body, _ := appendObject(nil, members, func(dst []byte, v *cache.Value) ([]byte, error) {
		return appendString(dst, string(v.Body)), nil
	})
	return &cache.Value{Body: body, Members: members}
}

// errNoValue is about an answer that is well-formed and not what AWS documents.
func errNoValue() error {
	return &failure{text: "AWS's answer is without a value, or is about something else"}
}
