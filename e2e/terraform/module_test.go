// Package terraform tests examples/terraform with the HCL library of Terraform's makers, which needs neither Terraform nor
// its providers. It is a module of its own, so that nobody else has to have that library.
package terraform

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

const example = "../../examples/terraform"

// arguments are those of hashicorp/aws 6.25.0 and hashicorp/archive 2.4 that may be given, as far as the example needs
// them. A misspelt one is found here, since their schemas are not at hand.
var arguments = map[string][]string{
	"aws_lambda_layer_version": {"layer_name", "description", "license_info", "filename", "source_code_hash", "compatible_architectures"},
	"aws_lambda_function": {"function_name", "description", "filename", "source_code_hash", "handler", "runtime", "architectures",
		"memory_size", "timeout", "role", "layers", "environment", "variables"},
	"aws_iam_role":             {"name_prefix", "assume_role_policy"},
	"aws_iam_role_policy":      {"name", "role", "policy"},
	"aws_cloudwatch_log_group": {"name", "retention_in_days"},
	"aws_ssm_parameter":        {"name", "type", "value"},
	"archive_file":             {"type", "output_path", "source", "filename", "content"},
}

// attributes are what the example reads of resources.
var attributes = map[string][]string{
	"aws_lambda_layer_version": {"arn"},
	"aws_lambda_function":      {"function_name"},
	"aws_iam_role":             {"name", "arn"},
	"aws_cloudwatch_log_group": {"arn"},
	"archive_file":             {"output_path", "output_base64sha256"},
}

// module is a folder of Terraform files.
type module struct {
	blocks map[string]*hclsyntax.Block // by address, such as var.zip, aws_iam_role.function, data.archive_file.function
	bodies []*hclsyntax.Body
}

// load parses all .tf files of a folder, and holds them to the format of terraform fmt.
func load(t *testing.T, dir string) module {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.tf"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: got the files %v, %v", dir, files, err)
	}
	m := module{blocks: make(map[string]*hclsyntax.Block)}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(hclwrite.Format(text)) != string(text) {
			t.Errorf("run terraform fmt on %s", file)
		}
		parsed, problems := hclsyntax.ParseConfig(text, file, hcl.InitialPos)
		if problems.HasErrors() {
			t.Fatal(problems)
		}
		body := parsed.Body.(*hclsyntax.Body)
		m.bodies = append(m.bodies, body)
		for _, b := range body.Blocks {
			address := strings.Join(b.Labels, ".")
			switch b.Type {
			case "variable":
				address = "var." + address
			case "module", "data", "output":
				address = b.Type + "." + address
			case "resource":
			case "terraform":
				address = b.Type
			default:
				t.Errorf("%s: a block %s is not known", file, b.Type)
			}
			if m.blocks[address] != nil {
				t.Errorf("%s: %s is there twice", file, address)
			}
			m.blocks[address] = b
		}
	}
	return m
}

// names returns the second part of the addresses that begin with a word.
func (m module) names(word string) []string {
	var names []string
	for address := range m.blocks {
		if name, ok := strings.CutPrefix(address, word+"."); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// references returns the references in a body, each as its parts, without path.module and what is like it.
func references(body *hclsyntax.Body) [][]string {
	var all [][]string
	_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
		if e, ok := n.(*hclsyntax.ScopeTraversalExpr); ok {
			var parts []string
			for _, step := range e.Traversal {
				switch s := step.(type) {
				case hcl.TraverseRoot:
					parts = append(parts, s.Name)
				case hcl.TraverseAttr:
					parts = append(parts, s.Name)
				}
			}
			if parts[0] != "path" && len(parts) > 1 {
				all = append(all, parts)
			}
		}
		return nil
	})
	return all
}

func TestReferencesAreThere(t *testing.T) {
	inner := load(t, filepath.Join(example, "cache-extension"))
	for name, m := range map[string]module{"the example": load(t, example), "the module": inner} {
		used := make(map[string]bool)
		for _, body := range m.bodies {
			for _, parts := range references(body) {
				n := 2
				if parts[0] == "data" {
					n = 3
				}
				address, rest := strings.Join(parts[:n], "."), parts[n:]
				used[address] = true
				b := m.blocks[address]
				if b == nil {
					t.Errorf("%s: there is no %s", name, address)
					continue
				}
				known := inner.names("output")
				if b.Type != "module" {
					known = attributes[b.Labels[0]]
				}
				if b.Type != "variable" && len(rest) > 0 && !slices.Contains(known, rest[0]) {
					t.Errorf("%s: %s has no %s", name, address, rest[0])
				}
			}
		}
		for _, variable := range m.names("var") {
			if !used["var."+variable] {
				t.Errorf("%s: nothing uses var.%s", name, variable)
			}
		}
	}
}

func TestArgumentsAreKnown(t *testing.T) {
	for _, dir := range []string{example, filepath.Join(example, "cache-extension")} {
		m := load(t, dir)
		required := providers(t, m)
		for address, b := range m.blocks {
			if b.Type != "resource" && b.Type != "data" {
				continue
			}
			known, ok := arguments[b.Labels[0]]
			if !ok {
				t.Errorf("%s: %s is not in arguments", dir, address)
			}
			if provider, _, _ := strings.Cut(b.Labels[0], "_"); !slices.Contains(required, provider) {
				t.Errorf("%s: the provider %s is not required", dir, provider)
			}
			_ = hclsyntax.VisitAll(b.Body, func(n hclsyntax.Node) hcl.Diagnostics {
				given := ""
				switch n := n.(type) {
				case *hclsyntax.Attribute:
					given = n.Name
				case *hclsyntax.Block:
					given = n.Type
				}
				if given != "" && !slices.Contains(known, given) {
					t.Errorf("%s: %s has no argument %s", dir, address, given)
				}
				return nil
			})
		}
	}
}

// providers returns the providers that a module requires.
func providers(t *testing.T, m module) []string {
	t.Helper()
	for _, b := range m.blocks["terraform"].Body.Blocks {
		if b.Type == "required_providers" {
			return slices.Collect(maps.Keys(b.Body.Attributes))
		}
	}
	t.Error("no providers are required")
	return nil
}

// TestModuleIsCalledAsDeclared holds the call to the module's variables, and each of them to being documented.
func TestModuleIsCalledAsDeclared(t *testing.T) {
	inner := load(t, filepath.Join(example, "cache-extension"))
	call := load(t, example).blocks["module.cache_extension"].Body.Attributes
	for _, name := range inner.names("var") {
		b := inner.blocks["var."+name].Body.Attributes
		if b["description"] == nil || b["type"] == nil {
			t.Errorf("variable %s has no description or no type", name)
		}
		if b["default"] == nil && call[name] == nil {
			t.Errorf("the call gives no %s", name)
		}
	}
	for name := range call {
		if name != "source" && inner.blocks["var."+name] == nil {
			t.Errorf("the module has no variable %s", name)
		}
	}
	for _, name := range inner.names("output") {
		if inner.blocks["output."+name].Body.Attributes["description"] == nil {
			t.Errorf("output %s has no description", name)
		}
	}
}

// TestZipIsTheReleasedOne evaluates which zip the example takes.
func TestZipIsTheReleasedOne(t *testing.T) {
	m := load(t, example)
	version, err := os.ReadFile("../../VERSION")
	if err != nil {
		t.Fatal(err)
	}
	for _, architecture := range []string{"x86_64", "arm64"} {
		context := &hcl.EvalContext{
			Variables: map[string]cty.Value{
				"path": cty.ObjectVal(map[string]cty.Value{"module": cty.StringVal(example)}),
				"var":  cty.ObjectVal(map[string]cty.Value{"architecture": cty.StringVal(architecture)}),
			},
			Functions: map[string]function.Function{"file": readFile, "trimspace": stdlib.TrimSpaceFunc},
		}
		value, problems := m.blocks["module.cache_extension"].Body.Attributes["zip"].Expr.Value(context)
		if problems.HasErrors() {
			t.Fatal(problems)
		}
		want := "../../bin/release/cache-extension-" + strings.TrimSpace(string(version)) + "-" + architecture + ".zip"
		if got := filepath.Clean(value.AsString()); got != want {
			t.Errorf("zip for %s: got %s, want %s", architecture, got, want)
		}
	}
}

// readFile is the function file of Terraform.
var readFile = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "path", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		text, err := os.ReadFile(args[0].AsString())
		return cty.StringVal(string(text)), err
	},
})

// TestFunctionIsWhole looks for the files that are read into the function's zip, by the names that they have there.
func TestFunctionIsWhole(t *testing.T) {
	m := load(t, example)
	var got []string
	for _, b := range m.blocks["data.archive_file.function"].Body.Blocks {
		name, problems := b.Body.Attributes["filename"].Expr.Value(nil)
		if problems.HasErrors() {
			t.Fatal(problems)
		}
		context := &hcl.EvalContext{
			Variables: map[string]cty.Value{"path": cty.ObjectVal(map[string]cty.Value{"module": cty.StringVal(example)})},
			Functions: map[string]function.Function{"file": readFile},
		}
		if _, problems := b.Body.Attributes["content"].Expr.Value(context); problems.HasErrors() {
			t.Error(problems)
		}
		got = append(got, name.AsString())
	}
	if want := []string{"index.js", "config.yaml"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestPage holds docs/deploy-terraform.md to the module: its call to the variables, its tables to variables, defaults and
// outputs.
func TestPage(t *testing.T) {
	const page = "../../docs/deploy-terraform.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	inner := load(t, filepath.Join(example, "cache-extension"))
	blocks := strings.Split(string(text), "```hcl\n")[1:]
	if len(blocks) == 0 {
		t.Error("the page shows no HCL")
	}
	for _, block := range blocks {
		code, _, _ := strings.Cut(block, "```")
		parsed, problems := hclsyntax.ParseConfig([]byte(code), page, hcl.InitialPos)
		if problems.HasErrors() {
			t.Error(problems)
			continue
		}
		if string(hclwrite.Format([]byte(code))) != code {
			t.Errorf("terraform fmt would change\n%s", code)
		}
		for _, b := range parsed.Body.(*hclsyntax.Body).Blocks {
			for name := range b.Body.Attributes {
				if b.Type == "resource" && !slices.Contains(arguments[b.Labels[0]], name) {
					t.Errorf("%s has no argument %s", b.Labels[0], name)
				}
				if b.Type == "module" && name != "source" && inner.blocks["var."+name] == nil {
					t.Errorf("the module has no variable %s", name)
				}
			}
		}
	}
	rows := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (?:(needed|`[^`]+`) \\| )?").FindAllStringSubmatch(string(text), -1)
	var got, want []string
	for _, row := range rows {
		got = append(got, row[1]+" "+row[2])
	}
	for _, name := range inner.names("var") {
		given := "needed"
		if d := inner.blocks["var."+name].Body.Attributes["default"]; d != nil {
			value, problems := d.Expr.Value(nil)
			if problems.HasErrors() {
				t.Fatal(problems)
			}
			if value, err = convert.Convert(value, cty.String); err != nil {
				t.Fatal(err)
			}
			given = "`" + value.AsString() + "`"
		}
		want = append(want, name+" "+given)
	}
	for _, name := range inner.names("output") {
		want = append(want, name+" ")
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the tables have\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
