package config

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"cache-extension/extension/internal/schema"
)

// TestSchemaHasTheKeys holds the schema of the file to the keys that are read, both ways: none is unknown to editors, and
// none is offered that would be a fault.
func TestSchemaHasTheKeys(t *testing.T) {
	type mapping struct {
		Properties           map[string]json.RawMessage
		AdditionalProperties *bool
	}
	var root struct {
		mapping
		Definitions map[string]mapping
	}
	if err := json.Unmarshal(schema.Config(), &root); err != nil {
		t.Fatal(err)
	}
	setting := func(name string) (m mapping) {
		if err := json.Unmarshal(root.Properties[name], &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, tt := range []struct {
		name  string
		input mapping
		want  []string
	}{
		{"the top", root.mapping, topKeys},
		{"server", setting("server"), serverKeys},
		{"log", setting("log"), logKeys},
		{"memory", setting("memory"), memoryKeys},
		{"shared", setting("shared"), sharedKeys},
		{"parameter", root.Definitions["parameter"], slices.Concat(parameterKeys, entryKeys)},
		{"secret", root.Definitions["secret"], slices.Concat(secretKeys, entryKeys)},
		{"item", root.Definitions["item"], slices.Concat(itemKeys, entryKeys)},
	} {
		got, want := slices.Sorted(maps.Keys(tt.input.Properties)), slices.Sorted(slices.Values(tt.want))
		if !slices.Equal(got, want) {
			t.Errorf("keys of %s in the schema = %q, want %q", tt.name, got, want)
		}
		if tt.input.AdditionalProperties == nil || *tt.input.AdditionalProperties {
			t.Errorf("additionalProperties of %s = %v, want false", tt.name, tt.input.AdditionalProperties)
		}
	}
}
