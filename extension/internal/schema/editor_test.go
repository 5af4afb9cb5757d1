package schema_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"cache-extension/extension/internal/schema"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"
)

// compile returns a validator for a schema, which it holds to the draft's own schema.
func compile(t testing.TB, data []byte) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func compileConfig(t testing.TB) *jsonschema.Schema   { return compile(t, schema.Config()) }
func compileFixtures(t testing.TB) *jsonschema.Schema { return compile(t, schema.Fixtures()) }

// errUnreadable is the error of editor for text in which there is nothing that a schema could be held to.
var errUnreadable = errors.New("not one YAML document")

// editor returns the document in data as editors show it to a schema: with merges done and no type that JSON lacks.
func editor(data []byte) (any, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, errUnreadable
	}
	return (&reader{seen: map[*yaml.Node]any{}}).value(doc.Content[0])
}

// reader turns nodes into values. seen has those done, and nil for those being done: an alias bomb is small as a graph.
type reader struct {
	seen map[*yaml.Node]any
}

func (r *reader) value(n *yaml.Node) (v any, err error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.ScalarNode {
		return scalar(n), nil
	}
	if v, known := r.seen[n]; known {
		if v == nil {
			return nil, fmt.Errorf("%w: an alias holds itself", errUnreadable)
		}
		return v, nil
	}
	r.seen[n] = nil
	defer func() { r.seen[n] = v }()
	if n.Kind == yaml.SequenceNode {
		list := make([]any, len(n.Content))
		for i, c := range n.Content {
			if list[i], err = r.value(c); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	return r.mapping(n)
}

func (r *reader) mapping(n *yaml.Node) (any, error) {
	m, merged := map[string]any{}, map[string]any{}
	for i := 0; i < len(n.Content); i += 2 {
		v, err := r.value(n.Content[i+1])
		if err != nil {
			return nil, err
		}
		if key := n.Content[i]; key.Tag != "!!merge" {
			m[key.Value] = v
			continue
		}
		parts, ok := v.([]any)
		if !ok {
			parts = []any{v}
		}
		for _, part := range parts {
			if part, ok := part.(map[string]any); ok {
				fill(merged, part)
			}
		}
	}
	fill(m, merged)
	return m, nil
}

// fill gives m what it lacks of from.
func fill(m, from map[string]any) {
	for k, v := range from {
		if _, own := m[k]; !own {
			m[k] = v
		}
	}
}

func scalar(n *yaml.Node) any {
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int", "!!float":
		var f float64
		if err := n.Decode(&f); err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return math.MaxFloat64 // still a number to an editor
		}
		return f
	}
	return n.Value
}
