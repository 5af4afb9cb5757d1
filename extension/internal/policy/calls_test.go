package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/source"
	"cache-extension/extension/internal/source/awstest"
)

const west, east = "us-west-2", "us-east-1"

// use is one check that IAM makes.
type use struct{ action, resource string }

// TestAllowsTheCallsAndNoOthers reads a configuration with everything in it from the fake, at once, one by one, and with
// each of the actions denied that have another beside them. Every call must be allowed, nothing that is allowed can be
// left out, and no wildcard covers a longer name.
func TestAllowsTheCallsAndNoOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		arns := stock(fake)
		cfg, err := config.Parse("config.yaml", []byte(`
parameters:
  - names: [plain, /app/a, "/app/a:1", /aws/reference/secretsmanager/referenced]
  - {name: "arn:aws:ssm:us-east-1:123456789012:parameter/app/a", as: east}
  - {path: /app/}
  - {path: /app/flags, region: us-east-1, label: live}
  - {path: /}
  - {name: "/tenants/{tenant}/plan", as: "plan/{tenant}"}
  - {name: "/aws/reference/secretsmanager/tenant/{tenant}/db", as: "db/{tenant}"}
secrets:
  - {name: "tenant/{tenant}/key"}
  - names: [named, "`+arns["whole"]+`"]
  - {name: "arn:aws:secretsmanager:us-west-2:123456789012:secret:part", as: part}
  - {name: named, region: us-east-1, as: east}
dynamodb:
  - {table: Users, key: {id: 1}}
  - {table: Users, key: {id: 2}, fields: [name], consistent: true}
  - {table: "arn:aws:dynamodb:us-west-2:123456789012:table/Orders", key: {id: 1}, as: order}
  - {table: Users, region: us-east-1, key: {id: 1}, as: east}
  - {table: People, hashkey: id, hashkeytype: N, hashkeyvalue: "{id}", as: "person/{id}"}
`), config.Options{Env: []string{"AWS_REGION=" + west, "AWS_ACCESS_KEY_ID=AKID", "AWS_SECRET_ACCESS_KEY=not-a-secret"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, denied := range []string{"", "GetItem", "BatchGetItem", "GetParameter", "GetParameters"} {
			fake.Clear()
			if denied != "" {
				fake.Fail(awstest.Match{Op: denied}, awstest.Fault{Code: "AccessDeniedException"})
			}
			readAll(t, cfg, fake)
		}

		d, err := For(cfg, Options{Account: awstest.Account})
		if err != nil {
			t.Fatal(err)
		}
		used := make(map[use]bool)
		for _, c := range fake.Calls() {
			for _, u := range uses(t, c, arns) {
				used[u] = true
				if !d.allows(u) {
					t.Errorf("%s %s: %s on %s is not allowed", c.Op, c.Body, u.action, u.resource)
				}
				if longer := (use{u.action, u.resource + "-AbCdEf"}); d.allows(longer) {
					t.Errorf("%s on %s is allowed, and only what it begins with is read", longer.action, longer.resource)
				}
			}
		}
		for i, s := range d.Statement {
			for j := range s.Action {
				for k := range s.Resource {
					less := d.without(i, j, k)
					if !slices.ContainsFunc(slices.Collect(maps.Keys(used)), func(u use) bool { return !less.allows(u) }) {
						t.Errorf("%s on %s is allowed, and no call needs it", s.Action[j], s.Resource[k])
					}
				}
			}
		}
	})
}

// stock fills the fake, and returns the ARNs of secrets by name.
func stock(fake *awstest.Fake) map[string]string {
	arns := make(map[string]string)
	for _, region := range []string{west, east} {
		for _, name := range []string{"plain", "/app/a", "/app/flags/x", "/app/flags/y", "/tenants/acme/plan"} {
			fake.PutParameter(region, name, awstest.Parameter{Value: "value", Labels: []string{"live"}})
		}
		for _, name := range []string{"named", "referenced", "whole", "part", "tenant/acme/db", "tenant/acme/key"} {
			arn, _ := fake.PutSecret(region, name, awstest.Secret{Text: "value"})
			arns[region+" "+name] = arn
			if region == west {
				arns[name] = arn
			}
		}
		for _, table := range []string{"Users", "Orders", "People"} {
			fake.CreateTable(region, table, awstest.KeyAttr{Name: "id", Type: "N"}, awstest.KeyAttr{})
			for id := range 3 {
				fake.PutItem(region, table, fmt.Sprintf(`{"id": {"N": "%d"}, "name": {"S": "value"}}`, id))
			}
		}
	}
	return arns
}

// readAll reads all that cfg declares, as prefetch does and then each name as its first reader does. Each read is by
// sources that have learned nothing yet.
func readAll(t *testing.T, cfg *config.Config, fake *awstest.Fake) {
	t.Helper()
	for _, kind := range []func(*source.Clients) cache.Source{
		func(c *source.Clients) cache.Source { return source.NewParameters(cfg, c) },
		func(c *source.Clients) cache.Source { return source.NewSecrets(cfg, c) },
		func(c *source.Clients) cache.Source { return source.NewItems(cfg, c) },
	} {
		fresh := func() cache.Source { return kind(source.NewClients(cfg, source.Options{HTTPClient: fake})) }
		var all []string
		for _, key := range fresh().Keys() {
			all = append(all, key.Name)
		}
		for _, name := range []string{"plan/acme", "db/acme", "tenant/acme/key", "person/0", "person/1"} {
			if _, ok := fresh().Open(name); ok {
				all = append(all, name)
			}
		}
		for _, names := range append([][]string{all}, slices.Collect(slices.Chunk(all, 1))...) {
			fresh().Fetch(t.Context(), names, func(name string, _ *cache.Value, err error) {
				if err != nil {
					t.Errorf("reading %s: %v", name, err)
				}
			})
		}
	}
}

// uses returns what IAM is asked about a call, as AWS documents it.
func uses(t *testing.T, c awstest.Call, secretARNs map[string]string) []use {
	t.Helper()
	arn := func(service, resource, name string) string {
		if strings.HasPrefix(name, "arn:") {
			return name
		}
		return "arn:aws:" + service + ":" + c.Region + ":" + awstest.Account + ":" + resource + name
	}
	secret := func(id string) use {
		for name, arn := range secretARNs {
			if name == c.Region+" "+id || arn == id || arn[:len(arn)-len("-abcdef")] == id {
				return use{"secretsmanager:GetSecretValue", arn}
			}
		}
		t.Fatalf("%s: no secret %s", c.Op, id)
		return use{}
	}
	var all []use
	switch c.Op {
	case "GetItem", "BatchGetItem":
		var in struct {
			TableName    string
			RequestItems map[string]any
		}
		if err := json.Unmarshal([]byte(c.Body), &in); err != nil {
			t.Fatal(err)
		}
		if in.TableName != "" {
			all = append(all, use{"dynamodb:" + c.Op, arn("dynamodb", "table/", in.TableName)})
		}
		for table := range in.RequestItems {
			all = append(all, use{"dynamodb:" + c.Op, arn("dynamodb", "table/", table)})
		}
	case "GetParameter", "GetParameters":
		for _, name := range c.Names {
			name = regexp.MustCompile(`:[0-9a-z]+$`).ReplaceAllString(name, "") // the version or label
			all = append(all, use{"ssm:" + c.Op, arn("ssm", "parameter/", strings.TrimPrefix(name, "/"))})
			if reference, ok := strings.CutPrefix(name, "/aws/reference/secretsmanager/"); ok {
				all = append(all, secret(reference))
			}
		}
	case "GetParametersByPath":
		all = append(all, use{"ssm:" + c.Op, arn("ssm", "parameter", c.Names[0])})
	case "GetSecretValue":
		all = append(all, secret(c.Names[0]))
	default:
		t.Fatalf("%s: a call that no policy knows of", c.Op)
	}
	return all
}

// allows decides as IAM does about a policy of allowing statements without conditions.
func (d Document) allows(u use) bool {
	return slices.ContainsFunc(d.Statement, func(s Statement) bool {
		return s.Effect == "Allow" && slices.Contains(s.Action, u.action) &&
			slices.ContainsFunc(s.Resource, func(pattern string) bool {
				form := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
				return regexp.MustCompile("^" + form + "$").MatchString(u.resource)
			})
	})
}

// without returns the document less one action on one resource.
func (d Document) without(statement, action, resource int) Document {
	s := d.Statement[statement]
	others := slices.Delete(slices.Clone(d.Statement), statement, statement+1)
	for i, a := range s.Action {
		rest := s.Resource
		if i == action {
			rest = slices.Delete(slices.Clone(s.Resource), resource, resource+1)
		}
		others = append(others, Statement{Effect: s.Effect, Action: []string{a}, Resource: rest})
	}
	return Document{d.Version, others}
}
