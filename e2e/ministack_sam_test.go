package e2e

import (
	"debug/elf"
	"encoding/json"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"cache-extension/e2e/cloud"
	"cache-extension/e2e/emulator"
	"cache-extension/e2e/parts"
)

// machines are the architectures as templates call them, with those of programs.
var machines = map[string]elf.Machine{"x86_64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// What a layer and the sample function consist of.
var (
	layerModes  = map[string]fs.FileMode{"extensions/cache-extension": 0o755}
	sampleModes = map[string]fs.FileMode{"config.yaml": 0o644, "index.js": 0o644, "package.json": 0o644}
)

// TestDeploySAM runs what docs/deploy-sam.md says. Each step needs those before it.
func TestDeploySAM(t *testing.T) {
	if !sandboxed(t, parts.SAM, parts.Ministack, parts.Moto, parts.RIE) {
		return
	}
	page, err := os.ReadFile("../docs/deploy-sam.md")
	if err != nil {
		t.Fatal(err)
	}
	here, other := "x86_64", "arm64" // of this machine, which runs what is deployed, and the other one
	if runtime.GOARCH == "arm64" {
		here, other = other, here
	}
	d := newDeployer(t)
	for _, step := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"guided deployment", func(t *testing.T) {
			d.run(t, "", "sam build")
			d.guided(t, string(page), here)
			code, layer := d.checkSample(t, here, "false")
			d.checkRoles(t)
			d.runSample(t, code, layer)
		}},
		{"another architecture, with monitoring", func(t *testing.T) {
			d.run(t, "", "sam build")
			withoutMetricMath(t, filepath.Join(d.dir, ".aws-sam", "build", "template.yaml"))
			d.run(t, "y\n", "sam deploy --parameter-overrides Architecture=arm64 Monitoring=true", "Architecture="+other)
			d.checkSample(t, other, "true")
			d.checkDashboard(t)
			var secret struct{ SecretString string }
			if d.call(t, "secretsmanager", "get_secret_value", map[string]any{"SecretId": "secret_info"}, &secret); secret.SecretString != cloud.SecretValue {
				t.Errorf("the secret after a deployment that did not name it: got %q, want %q", secret.SecretString, cloud.SecretValue)
			}
		}},
		{"removal", func(t *testing.T) {
			d.remove(t, "cache-extension")
			d.checkNothingLeft(t)
		}},
		{"the layer alone", d.layerAlone},
		{"a function URL", func(t *testing.T) { d.functionURL(t, here) }},
	} {
		if !t.Run(step.name, step.do) {
			return
		}
	}
	for _, line := range shownCommands(string(page)) {
		if !slices.Contains(d.ran, line) && line != "sam delete" { // which looks twice a minute whether a stack is gone
			t.Errorf("docs/deploy-sam.md: %q was not run", line)
		}
	}
}

// question is a row of the table of questions.
var question = regexp.MustCompile("(?m)^\\| `(.+)` \\| (Enter|`.+`) \\|")

// guided answers the questions of sam deploy --guided as the page does, but for the architecture.
func (d *deployer) guided(t *testing.T, page, architecture string) {
	t.Helper()
	var questions []string
	var stdin strings.Builder
	for _, row := range question.FindAllStringSubmatch(page, -1) {
		answer := strings.Trim(strings.TrimPrefix(row[2], "Enter"), "`")
		if strings.HasPrefix(row[1], "Parameter Architecture") {
			answer = architecture
		}
		questions = append(questions, row[1])
		stdin.WriteString(answer + "\n")
	}
	out := d.run(t, stdin.String(), "sam deploy --guided")
	rest := out // after the last question
	for _, q := range questions {
		_, after, found := strings.Cut(rest, q+":")
		if !found {
			t.Fatalf("sam deploy --guided does not ask %q, or not then; it said:\n%s", q, out)
		}
		rest = after
	}
	saved, err := os.ReadFile(filepath.Join(d.dir, "samconfig.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(saved), cloud.SecretValue) {
		t.Errorf("samconfig.toml holds the value of the secret:\n%s", saved)
	}
}

// checkSample checks the sample function and its layer, as they can be downloaded, and returns where they were unpacked.
func (d *deployer) checkSample(t *testing.T, architecture, monitoring string) (code, layer string) {
	t.Helper()
	f := d.function(t, "ExtensionsCache-SampleFunction")
	if got := f.Configuration.Architectures; !slices.Equal(got, []string{architecture}) {
		t.Errorf("architectures of the function: got %v, want %s", got, architecture)
	}
	if got := f.Configuration.Environment.Variables["METRICS"]; got != monitoring {
		t.Errorf("METRICS of the function: got %q, want %s", got, monitoring)
	}
	outputs := d.outputs(t, "cache-extension")
	if got := f.Configuration.Layers; len(got) != 1 || got[0].Arn != outputs["Layer"] {
		t.Fatalf("layers of the function: got %v, want the output Layer, %q", got, outputs["Layer"])
	}
	if !strings.Contains(outputs["Layer"], ":layer:cache-extension-"+architecture+":") {
		t.Errorf("the layer is %s, want one for %s", outputs["Layer"], architecture)
	}
	code, modes := downloaded(t, f.Code.Location)
	if !maps.Equal(modes, sampleModes) {
		t.Errorf("the function's zip: got %v, want %v", modes, sampleModes)
	}
	return code, d.checkLayer(t, outputs["Layer"], architecture)
}

// checkLayer checks a layer's version, as it can be downloaded, and returns where it was unpacked.
func (d *deployer) checkLayer(t *testing.T, arn, architecture string) (dir string) {
	t.Helper()
	dir, modes := downloaded(t, d.layer(t, arn))
	if !maps.Equal(modes, layerModes) {
		t.Errorf("%s: got %v, want %v", arn, modes, layerModes)
	}
	checkProgram(t, filepath.Join(dir, "extensions", "cache-extension"), machines[architecture])
	return dir
}

// checkRoles holds the roles to what the functions do, on the very resources of the stack.
func (d *deployer) checkRoles(t *testing.T) {
	t.Helper()
	sample := d.function(t, "ExtensionsCache-SampleFunction").Configuration
	entry := d.function(t, "ExtensionsCache-DatabaseEntry").Configuration
	table := resource("dynamodb", "table/"+sample.Environment.Variables["TABLE_NAME"])
	logs := func(function string) statement {
		return statement{"Allow", list("logs:CreateLogStream", "logs:PutLogEvents"), resource("logs", "log-group:/aws/lambda/"+function+":*")}
	}
	for _, tt := range []struct {
		role string
		want map[string][]statement
	}{
		{sample.Role, map[string][]statement{
			"read-what-config-yaml-declares": {
				{"Allow", list("dynamodb:BatchGetItem", "dynamodb:GetItem"), list(table)},
				{"Allow", list("ssm:GetParameter", "ssm:GetParameters"), list(resource("ssm", "parameter/CacheExtensions_Parameter1"),
					resource("ssm", "parameter/aws/reference/secretsmanager/secret_info"))},
				{"Allow", list("secretsmanager:GetSecretValue"), list(resource("secretsmanager", "secret:secret_info-??????"))},
			},
			"write-logs": {logs("ExtensionsCache-SampleFunction")},
		}},
		{entry.Role, map[string][]statement{
			"put-the-item": {{"Allow", "dynamodb:PutItem", table}},
			"write-logs":   {logs("ExtensionsCache-DatabaseEntry")},
		}},
	} {
		if got := d.allowed(t, tt.role); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.role, got, tt.want)
		}
	}
}

// resource returns the ARN of a resource in the account that is deployed to.
func resource(service, name string) string {
	return "arn:aws:" + service + ":us-east-1:" + ministackAccount + ":" + name
}

// list returns texts as JSON is decoded.
func list(texts ...string) []any {
	var all []any
	for _, text := range texts {
		all = append(all, text)
	}
	return all
}

// runSample runs what was downloaded with the variables of the deployed function, against the table and the secret that the
// stack made. Parameters are moto's, because ministack does not know those that stand for secrets.
func (d *deployer) runSample(t *testing.T, code, layer string) {
	t.Helper()
	f := d.deployed(t, "ExtensionsCache-SampleFunction", code, layer)
	f.Env = append(f.Env, "AWS_ENDPOINT_URL_SSM="+aws(t).URL)
	e := start(t, f)
	var answer struct{ Values map[string]string }
	if err := json.Unmarshal([]byte(invoke(t, e, "{}")), &answer); err != nil {
		t.Fatal(err)
	}
	wanted := map[string]string{
		"dynamodb":   want["/dynamodb?name=DynamoDbTable-pKey1-sKey1"],
		"parameters": want["/parameters?name=CacheExtensions_Parameter1"],
		"secrets":    want["/secrets?name=secret_info"],
	}
	if !maps.Equal(answer.Values, wanted) {
		t.Errorf("the function's values: got %v, want %v", answer.Values, wanted)
	}
	for url, want := range want {
		if status, body := get(t, url); status != http.StatusOK || body != want {
			t.Errorf("GET %s: got %d %q, want 200 %q", url, status, body, want)
		}
	}
}

// deployed returns a deployed function, for the emulator to run.
func (d *deployer) deployed(t *testing.T, name, code, layer string) emulator.Function {
	t.Helper()
	f := emulator.Function{Layer: layer, Code: code, Env: cloud.Env(d.url)}
	for name, value := range d.function(t, name).Configuration.Environment.Variables {
		f.Env = append(f.Env, name+"="+value)
	}
	return f
}

// withoutMetricMath gives each alarm of the template in file the first of its metrics alone, for ministack refuses more.
func withoutMetricMath(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var template yaml.Node
	if err := yaml.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	resources := member(t, template.Content[0], "Resources")
	for _, alarm := range []string{"StaleServed", "ReadsFailing"} {
		properties := member(t, member(t, resources, alarm), "Properties")
		stat := member(t, member(t, properties, "Metrics").Content[1], "MetricStat")
		for i := 0; i < len(properties.Content); i += 2 {
			if properties.Content[i].Value == "Metrics" {
				properties.Content = slices.Delete(properties.Content, i, i+2)
			}
		}
		text := func(value string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: value} }
		properties.Content = append(properties.Content, member(t, stat, "Metric").Content...)
		properties.Content = append(properties.Content, text("Period"), member(t, stat, "Period"), text("Statistic"), member(t, stat, "Stat"))
	}
	if text, err = yaml.Marshal(&template); err != nil {
		t.Fatal(err)
	}
	write(t, file, string(text), 0o644)
}

// member returns the value of a key in a mapping.
func member(t *testing.T, mapping *yaml.Node, key string) *yaml.Node {
	t.Helper()
	for i := 0; i < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	t.Fatalf("line %d of the template: no %s", mapping.Line, key)
	return nil
}

// checkDashboard holds the dashboard to the function's metrics and the stack's alarms.
func (d *deployer) checkDashboard(t *testing.T) {
	t.Helper()
	var dashboard struct{ DashboardBody string }
	d.call(t, "cloudwatch", "get_dashboard", map[string]any{"DashboardName": "cache-extension-cache"}, &dashboard)
	var body struct {
		Widgets []struct {
			Type       string
			Properties struct {
				Region  string
				Metrics [][]any
				Alarms  []string
			}
		}
	}
	if err := json.Unmarshal([]byte(dashboard.DashboardBody), &body); err != nil {
		t.Fatalf("%v in %s", err, dashboard.DashboardBody)
	}
	var alarms []string
	for _, widget := range body.Widgets {
		alarms = append(alarms, widget.Properties.Alarms...)
		if widget.Type != "metric" {
			continue
		}
		if widget.Properties.Region != "us-east-1" {
			t.Errorf("a widget's region: got %q, want us-east-1", widget.Properties.Region)
		}
		for _, metric := range widget.Properties.Metrics {
			if len(metric) > 1 && (metric[0] != "CacheExtension" || metric[3] != "ExtensionsCache-SampleFunction") {
				t.Errorf("a widget's metric: got %v, want one of the function", metric)
			}
		}
	}
	if want := []string{resource("cloudwatch", "alarm:cache-extension-stale-served"), resource("cloudwatch", "alarm:cache-extension-reads-failing")}; !slices.Equal(alarms, want) {
		t.Errorf("the dashboard's alarms: got %v, want %v", alarms, want)
	}
}

// remove removes a stack as sam delete does.
func (d *deployer) remove(t *testing.T, stack string) {
	t.Helper()
	d.call(t, "cloudformation", "delete_stack", map[string]any{"StackName": stack}, &struct{}{})
	for {
		var gone struct {
			StackSummaries []struct{ StackName string }
		}
		d.call(t, "cloudformation", "list_stacks", map[string]any{"StackStatusFilter": []string{"DELETE_COMPLETE"}}, &gone)
		for _, summary := range gone.StackSummaries {
			if summary.StackName == stack {
				return
			}
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("%s is not gone: %v", stack, t.Context().Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// checkNothingLeft holds the removal of the sample to all that it made.
func (d *deployer) checkNothingLeft(t *testing.T) {
	t.Helper()
	for _, tt := range []struct{ service, method, list string }{
		{"lambda", "list_functions", "Functions"},
		{"lambda", "list_layers", "Layers"},
		{"iam", "list_roles", "Roles"},
		{"dynamodb", "list_tables", "TableNames"},
		{"secretsmanager", "list_secrets", "SecretList"},
		{"logs", "describe_log_groups", "logGroups"},
		{"cloudwatch", "list_dashboards", "DashboardEntries"},
		{"cloudwatch", "describe_alarms", "MetricAlarms"},
	} {
		var got map[string]any
		d.call(t, tt.service, tt.method, map[string]any{}, &got)
		if left, _ := got[tt.list].([]any); len(left) > 0 {
			t.Errorf("%s %s after sam delete: got %v, want none", tt.service, tt.method, left)
		}
	}
}

// layerAlone deploys the layer without and with others who may use it.
func (d *deployer) layerAlone(t *testing.T) {
	d.run(t, "", "sam build --config-env layer")
	d.run(t, "y\n", "sam deploy --config-env layer")
	outputs := d.outputs(t, "cache-extension-layer")
	shown := d.run(t, "", "sam list stack-outputs --stack-name cache-extension-layer --output json")
	for output, architecture := range map[string]string{"LayerX86": "x86_64", "LayerArm": "arm64"} {
		d.checkLayer(t, outputs[output], architecture)
		if !strings.Contains(shown, outputs[output]) {
			t.Errorf("sam list stack-outputs does not show %s:\n%s", outputs[output], shown)
		}
	}
	d.run(t, "y\n", "sam deploy --config-env layer --parameter-overrides Account=111122223333 Organization=o-a1b2c3d4e5")
	for _, output := range []string{"LayerX86", "LayerArm"} {
		arn := strings.Split(d.outputs(t, "cache-extension-layer")[output], ":")
		version, err := strconv.Atoi(arn[7])
		if err != nil {
			t.Fatal(err)
		}
		var answer struct{ Policy string }
		d.call(t, "lambda", "get_layer_version_policy", map[string]any{"LayerName": arn[6], "VersionNumber": version}, &answer)
		var policy struct {
			Statement []struct {
				Effect, Action string
				Principal      any
				Condition      map[string]map[string]string
			}
		}
		if err := json.Unmarshal([]byte(answer.Policy), &policy); err != nil {
			t.Fatalf("%v in %s", err, answer.Policy)
		}
		got := make(map[string]string) // organization or account, with what it may do
		for _, s := range policy.Statement {
			who, _ := json.Marshal(s.Principal)
			got[string(who)+s.Condition["StringEquals"]["aws:PrincipalOrgID"]] = s.Effect + " " + s.Action
		}
		wanted := map[string]string{
			`{"AWS":"arn:aws:iam::111122223333:root"}`: "Allow lambda:GetLayerVersion",
			`"*"o-a1b2c3d4e5`:                          "Allow lambda:GetLayerVersion",
		}
		if !maps.Equal(got, wanted) {
			t.Errorf("who may use %s: got %v, want %v; the policy is %s", output, got, wanted, answer.Policy)
		}
	}
}

// functionURL deploys the function with a URL, its layer attached by ARN, and runs it.
func (d *deployer) functionURL(t *testing.T, architecture string) {
	layer := d.outputs(t, "cache-extension-layer")[map[string]string{"x86_64": "LayerX86", "arm64": "LayerArm"}[architecture]]
	d.env = append(d.env, "LAYER="+layer)
	d.run(t, "y\n", "sam deploy --config-env url --parameter-overrides Layer=$LAYER", "Architecture="+architecture)

	var all struct {
		Functions []struct{ FunctionName string }
	}
	d.call(t, "lambda", "list_functions", map[string]any{}, &all)
	if len(all.Functions) != 1 {
		t.Fatalf("functions: got %v, want one", all.Functions)
	}
	name := all.Functions[0].FunctionName
	f := d.function(t, name)
	if got := f.Configuration.Layers; len(got) != 1 || got[0].Arn != layer {
		t.Errorf("layers of the function: got %v, want %s", got, layer)
	}
	var url struct{ AuthType, FunctionUrl string }
	d.call(t, "lambda", "get_function_url_config", map[string]any{"FunctionName": name}, &url)
	if want := d.outputs(t, "cache-extension-url")["Url"]; url.AuthType != "AWS_IAM" || url.FunctionUrl != want {
		t.Errorf("the URL: got %v, want AWS_IAM and the output Url, %s", url, want)
	}
	var resources struct {
		StackResourceSummaries []struct{ LogicalResourceId, ResourceType string }
	}
	d.call(t, "cloudformation", "list_stack_resources", map[string]any{"StackName": "cache-extension-url"}, &resources)
	for _, r := range resources.StackResourceSummaries {
		if r.ResourceType == "AWS::Lambda::Permission" {
			t.Errorf("%s lets others call the function, want none where AuthType is AWS_IAM", r.LogicalResourceId)
		}
	}
	parameter := f.Configuration.Environment.Variables["GREETING"]
	wanted := []statement{{"Allow", list("ssm:GetParameter", "ssm:GetParameters"), list(resource("ssm", "parameter/"+parameter))}}
	var got []statement
	for _, each := range d.allowed(t, f.Configuration.Role) {
		got = append(got, each...)
	}
	if !reflect.DeepEqual(got, wanted) {
		t.Errorf("the function's role may %v, want %v", got, wanted)
	}

	code, modes := downloaded(t, f.Code.Location)
	if want := map[string]fs.FileMode{"config.yaml": 0o644, "index.js": 0o644}; !maps.Equal(modes, want) {
		t.Errorf("the function's zip: got %v, want %v", modes, want)
	}
	unpacked, _ := downloaded(t, d.layer(t, layer))
	e := start(t, d.deployed(t, name, code, unpacked))
	var answer struct {
		StatusCode int
		Body       string
	}
	if err := json.Unmarshal([]byte(invoke(t, e, `{"rawPath": "/", "headers": {"x-forwarded-for": "192.0.2.1"}}`)), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK || answer.Body != "Hello" {
		t.Errorf("the function: got %v, want 200 and Hello", answer)
	}
}

// shownCommands returns the lines of the blocks of shell commands in a page.
func shownCommands(page string) []string {
	var all []string
	for _, block := range strings.Split(page, "```sh\n")[1:] {
		code, _, _ := strings.Cut(block, "```")
		all = append(all, strings.Split(strings.TrimSpace(code), "\n")...)
	}
	return all
}
