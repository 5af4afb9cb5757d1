package policy

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"cache-extension/extension/internal/config"

	"gopkg.in/yaml.v3"
)

// TestSampleTemplate holds the role of the sample function to what is printed for the sample configuration where
// TABLE_NAME='${Table}', the table that the template makes.
func TestSampleTemplate(t *testing.T) {
	cfg, err := config.Load(config.Options{Path: "../../../config.yaml", Env: []string{"TABLE_NAME=${Table}"}, Check: true})
	if err != nil {
		t.Fatal(err)
	}
	d, err := For(cfg, Options{SAM: true})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../../SAM/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Resources struct {
			ExampleRole struct {
				Properties struct {
					Policies []struct {
						PolicyName     string    `yaml:"PolicyName"`
						PolicyDocument yaml.Node `yaml:"PolicyDocument"`
					} `yaml:"Policies"`
				} `yaml:"Properties"`
			} `yaml:"ExampleRole"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	for _, p := range template.Resources.ExampleRole.Properties.Policies {
		if p.PolicyName != "read-what-config-yaml-declares" {
			continue
		}
		if got, want := outline(t, &p.PolicyDocument), outline(t, printed(t, d.SAM())); got != want {
			t.Errorf("SAM/template.yaml, ExampleRole: the policy is\n%s\nwant\n%s", got, want)
		}
		return
	}
	t.Error("SAM/template.yaml: ExampleRole has no policy read-what-config-yaml-declares")
}

// TestDocsHaveTheSample holds docs/policy.md to what is printed for the sample configuration.
func TestDocsHaveTheSample(t *testing.T) {
	cfg, err := config.Load(config.Options{Path: "../../../config.yaml", Check: true})
	if err != nil {
		t.Fatal(err)
	}
	d, err := For(cfg, Options{Region: "us-west-2", Account: "123456789012"})
	if err != nil {
		t.Fatal(err)
	}
	want, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	docs, err := os.ReadFile("../../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(docs), "```json\n"+string(want)+"\n```\n") {
		t.Errorf("docs/policy.md does not have what is printed for config.yaml:\n%s", want)
	}
}

// printed returns the one policy in what SAM returns.
func printed(t *testing.T, text []byte) *yaml.Node {
	t.Helper()
	var block struct {
		Policies []yaml.Node `yaml:"Policies"`
	}
	if err := yaml.Unmarshal(text, &block); err != nil || len(block.Policies) != 1 {
		t.Fatalf("SAM() has %d policies, error %v, want one:\n%s", len(block.Policies), err, text)
	}
	return &block.Policies[0]
}

// outline returns a node's content and tags in one style, without comments.
func outline(t *testing.T, n *yaml.Node) string {
	t.Helper()
	var plain func(*yaml.Node)
	plain = func(n *yaml.Node) {
		n.Style, n.HeadComment, n.LineComment, n.FootComment = n.Style&yaml.TaggedStyle, "", "", ""
		for _, child := range n.Content {
			plain(child)
		}
	}
	plain(n)
	out, err := yaml.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
