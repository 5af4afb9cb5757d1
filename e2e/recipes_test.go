package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"cache-extension/e2e/cloud"
	"cache-extension/e2e/parts"
)

// recipe returns the blocks of a heading of docs/recipes.md, by language.
func recipe(t *testing.T, heading string) map[string]string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, "docs", "recipes.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(page), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("docs/recipes.md has no heading %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := make(map[string]string)
	for i, text := range strings.Split(section, "\n```") {
		if language, block, _ := strings.Cut(text, "\n"); i%2 == 1 {
			blocks[language] = block + "\n"
		}
	}
	return blocks
}

// script is a program that runs until the end of the test, and answers each line with a line.
type script struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
}

// startScript runs a program in dir.
func startScript(t *testing.T, dir string, env []string, argv ...string) *script {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(plainEnv(), env...), t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close() // by which it ends
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", strings.Join(argv, " "), err)
		}
	})
	return &script{t, in, bufio.NewScanner(out)}
}

// ask says a line and returns the answer.
func (s *script) ask(line string) string {
	s.t.Helper()
	if _, err := io.WriteString(s.in, line+"\n"); err != nil {
		s.t.Fatal(err)
	}
	if !s.out.Scan() {
		s.t.Fatalf("no answer to %q", line)
	}
	return s.out.Text()
}

// python is the code of a recipe beside its client, with a loop around it that answers with what an expression gives.
func python(t *testing.T, port, code, expression string) *script {
	t.Helper()
	needs(t, "python3")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "recipe.py"), code, 0o644)
	write(t, filepath.Join(dir, "main.py"), `import sys
from recipe import *
for line in sys.stdin:
    line = line.rstrip("\n")
    try:
        print(`+expression+`, flush=True)
    except Exception as error:
        print("error:", error, flush=True)
`, 0o644)
	write(t, filepath.Join(dir, "pymysql.py"), pymysql, 0o644)
	env := []string{"CACHE_EXTENSION_PORT=" + port, "PYTHONPATH=" + filepath.Join(root, "examples", "clients", "python"), "PYTHONDONTWRITEBYTECODE=1"}
	return startScript(t, dir, env, "python3", "main.py")
}

// pymysql stands in for the driver of that name. Its database is at the host of a URL, and takes one password.
const pymysql = `import types, urllib.request
class OperationalError(Exception): pass
err = types.SimpleNamespace(OperationalError=OperationalError)
def connect(host, user, password):
    if urllib.request.urlopen(host, f"{user} {password}".encode()).read() != b"welcome":
        raise OperationalError(1045, "Access denied for user")
    return "connected"
`

// fakeAWS starts moto behind a proxy, without what the template declares.
func fakeAWS(t *testing.T) (*cloud.Proxy, *cloud.Client) {
	t.Helper()
	moto, err := cloud.StartMoto(t.Context(), part(t, parts.Moto))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(moto.Close)
	proxy, err := cloud.StartProxy(moto.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	client := cloud.NewClient(moto.URL)
	t.Cleanup(client.Close)
	return proxy, client
}

// serveRecipe serves a configuration from the stand-in for AWS at url.
func serveRecipe(t *testing.T, config, url string) (port string) {
	t.Helper()
	if config == "" {
		t.Fatal("the recipe has no configuration")
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	write(t, file, config, 0o644)
	return serveNames(t, cloud.Env(url), file)
}

// database takes one password, and counts who comes with another one.
type database struct {
	*httptest.Server
	mu       sync.Mutex // guards what follows
	password string
	refused  int
}

func startDatabase(t *testing.T) *database {
	d := &database{}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		login, _ := io.ReadAll(r.Body)
		d.mu.Lock()
		defer d.mu.Unlock()
		if string(login) != "app "+d.password {
			d.refused++
			return
		}
		io.WriteString(w, "welcome")
	}))
	t.Cleanup(d.Close)
	return d
}

// change sets the password and returns how many were refused before.
func (d *database) change(password string) (refused int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	refused, d.refused, d.password = d.refused, 0, password
	return refused
}

func TestRecipes(t *testing.T) {
	t.Parallel()
	proxy, client := fakeAWS(t)
	type object = map[string]any
	call := func(t *testing.T, target string, input object) {
		t.Helper()
		if err := client.Call(t.Context(), target, input); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("rotation", func(t *testing.T) {
		d := startDatabase(t)
		secret := func(password string) string {
			return fmt.Sprintf(`{"host":%q,"username":"app","password":%q}`, d.URL, password)
		}
		version := func(n int) string { return fmt.Sprintf("%032d", n) }
		d.change("0")
		call(t, "secretsmanager.CreateSecret", object{"Name": "prod/db", "SecretString": secret("0"), "ClientRequestToken": version(0)})
		blocks := recipe(t, "Rotate a database password without a failed query")
		s := python(t, serveRecipe(t, blocks["yaml"], proxy.URL), blocks["python"], "connect()")
		connect := func(n int, when string) {
			t.Helper()
			for i := range 5 {
				if got := s.ask(""); got != "connected" {
					t.Fatalf("rotation %d, %s, connection %d: got %q, want connected", n, when, i, got)
				}
			}
		}
		connect(0, "before")
		refused := 0
		for n := 1; n <= 2; n++ {
			password := fmt.Sprint(n)
			call(t, "secretsmanager.PutSecretValue", object{
				"SecretId": "prod/db", "SecretString": secret(password), "ClientRequestToken": version(n), "VersionStages": []string{"AWSPENDING"},
			})
			connect(n, "with a pending version")
			refused += d.change(password)
			connect(n, "while the database has the pending one")
			call(t, "secretsmanager.UpdateSecretVersionStage", object{
				"SecretId": "prod/db", "VersionStage": "AWSCURRENT", "MoveToVersionId": version(n), "RemoveFromVersionId": version(n - 1),
			})
			call(t, "secretsmanager.UpdateSecretVersionStage", object{
				"SecretId": "prod/db", "VersionStage": "AWSPENDING", "RemoveFromVersionId": version(n),
			})
			connect(n, "after")
		}
		if refused += d.change(""); refused == 0 {
			t.Error("the database refused nobody, so nothing was tried")
		}
		if got := s.ask(""); !strings.Contains(got, "Access denied") {
			t.Errorf("where no password is right: got %q, want what the database says", got)
		}
	})

	t.Run("flags", func(t *testing.T) {
		needs(t, "node")
		put := func(value string) {
			t.Helper()
			call(t, "AmazonSSM.PutParameter", object{"Name": "/app/flags/dark-mode", "Type": "String", "Value": value, "Overwrite": true})
		}
		put("off")
		blocks := recipe(t, "Feature flags with a short ttl")
		config := strings.Replace(blocks["yaml"], "ttl: 30s", "ttl: 1s", 1)
		if config == blocks["yaml"] {
			t.Fatal("the recipe has no ttl of 30s")
		}
		dir := t.TempDir()
		text, err := os.ReadFile(filepath.Join(root, "examples", "clients", "node", "client.js"))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "client.js"), string(text), 0o644)
		write(t, filepath.Join(dir, "recipe.js"), blocks["javascript"], 0o644)
		write(t, filepath.Join(dir, "main.js"), `const { enabled } = require('./recipe.js');
console.error = () => {};
require('node:readline').createInterface({ input: process.stdin }).on('line', async (line) => console.log(await enabled(line)));
`, 0o644)
		s := startScript(t, dir, []string{"CACHE_EXTENSION_PORT=" + serveRecipe(t, config, proxy.URL)}, "node", "main.js")
		for _, flag := range []string{"dark-mode", "nobody-made-it"} {
			if got := s.ask(flag); got != "false" {
				t.Errorf("%s: got %s, want false", flag, got)
			}
		}
		put("on")
		eventually(t, "a flag that was switched on", func() bool { return s.ask("dark-mode") == "true" })
		proxy.SetFault(cloud.Fail)
		defer proxy.SetFault(cloud.None)
		if got := s.ask("dark-mode"); got != "true" {
			t.Errorf("while AWS fails: got %s, want true", got)
		}
	})

	t.Run("tenants", func(t *testing.T) {
		call(t, "DynamoDB_20120810.CreateTable", object{
			"TableName": "Permissions", "BillingMode": "PAY_PER_REQUEST",
			"AttributeDefinitions": []any{object{"AttributeName": "id", "AttributeType": "S"}},
			"KeySchema":            []any{object{"AttributeName": "id", "KeyType": "HASH"}},
		})
		call(t, "DynamoDB_20120810.PutItem", object{"TableName": "Permissions", "Item": object{
			"id": object{"S": "ada@example.com"}, "may": object{"L": []any{object{"S": "read"}, object{"S": "write"}}},
		}})
		call(t, "AmazonSSM.PutParameter", object{"Name": "/tenants/acme/plan", "Type": "String", "Value": "gold"})
		blocks := recipe(t, "Tenants by read-through names")
		s := python(t, serveRecipe(t, blocks["yaml"], proxy.URL), blocks["python"], "eval(line)")
		for _, tt := range []struct {
			ask, want, operation string
			calls                int
		}{
			{`permissions("ada@example.com")`, "['read', 'write']", "GetItem", 1},
			{`permissions("ada@example.com")`, "['read', 'write']", "GetItem", 0},
			{`permissions("nobody")`, "[]", "GetItem", 1},
			{`permissions("nobody")`, "[]", "GetItem", 0},
			{`permissions("../ada@example.com")`, "[]", "GetItem", 0},
			{`plan("acme")`, "gold", "GetParameter", 1},
			{`plan("acme")`, "gold", "GetParameter", 0},
			{`plan("new")`, "free", "GetParameter", 1},
		} {
			proxy.Calls()
			if got := s.ask(tt.ask); got != tt.want {
				t.Errorf("%s: got %s, want %s", tt.ask, got, tt.want)
			}
			if calls := proxy.Calls(); calls[tt.operation] != tt.calls || len(calls) > 1 {
				t.Errorf("%s: got the calls %v, want %d of %s", tt.ask, calls, tt.calls, tt.operation)
			}
		}
		proxy.SetFault(cloud.Fail)
		defer proxy.SetFault(cloud.None)
		for _, ask := range []string{`permissions("eve")`, `plan("other")`} {
			if got := s.ask(ask); !strings.HasPrefix(got, "error: ") || !strings.Contains(got, ": 502 upstream: ") {
				t.Errorf("%s while AWS fails: got %s, want a 502", ask, got)
			}
		}
		if got := s.ask(`plan("ACME")`); !strings.Contains(got, ": 404 undeclared: ") {
			t.Errorf("a tenant who can't be: got %s, want 404 undeclared", got)
		}
	})
}

// TestRecipeForAnotherAccount sees that AWS is asked by ARN, and which policy that takes. No stand-in has two accounts.
func TestRecipeForAnotherAccount(t *testing.T) {
	t.Parallel()
	const owner = ":eu-west-1:210987654321:"
	var (
		mu    sync.Mutex // guards asked
		asked = make(map[string]string)
	)
	standIn := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var input struct{ SecretId, Name, TableName string }
		if err := json.NewDecoder(r.Body).Decode(&input); err != nil {
			t.Error(err)
		}
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		mu.Lock()
		asked[operation] = input.SecretId + input.Name + input.TableName
		mu.Unlock()
		answers := map[string]string{
			"GetSecretValue": `{"Name": "shared/db", "SecretString": "of the owner"}`,
			"GetParameter":   `{"Parameter": {"Name": "/shared/endpoint", "Type": "String", "Value": "of the owner"}}`,
			"GetItem":        `{"Item": {"sku": {"S": "4711"}}}`,
		}
		if answers[operation] == "" {
			t.Errorf("AWS was asked for %s", operation)
		}
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		io.WriteString(w, answers[operation])
	}))
	t.Cleanup(standIn.Close)
	blocks := recipe(t, "Another account by ARN")
	base := "http://localhost:" + serveRecipe(t, blocks["yaml"], standIn.URL)
	for path, want := range map[string]string{
		"/secrets?name=db": "of the owner", "/parameters?name=endpoint": "of the owner", "/dynamodb?name=price-4711": `{"sku":"4711"}`,
	} {
		if got := string(read(t, base+path)); got != want {
			t.Errorf("GET %s: got %s, want %s", path, got, want)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for operation, want := range map[string]string{
		"GetSecretValue": "arn:aws:secretsmanager" + owner + "secret:shared/db-AbCdEf",
		"GetParameter":   "arn:aws:ssm" + owner + "parameter/shared/endpoint",
		"GetItem":        "arn:aws:dynamodb" + owner + "table/Prices",
	} {
		if asked[operation] != want {
			t.Errorf("%s: asked for %q, want %q", operation, asked[operation], want)
		}
	}

	dir := t.TempDir()
	write(t, filepath.Join(dir, "config.yaml"), blocks["yaml"], 0o644)
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", blocks["sh"])
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + programs(t) + ":" + os.Getenv("PATH")}
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", blocks["sh"], err)
	}
	var policy struct {
		Statement []struct{ Action, Resource []string }
	}
	if err := json.Unmarshal(text, &policy); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	var got []string
	for _, s := range policy.Statement {
		got = append(got, strings.Join(s.Action, " ")+" of "+strings.Join(s.Resource, " "))
	}
	slices.Sort(got)
	want := []string{
		"dynamodb:BatchGetItem dynamodb:GetItem of arn:aws:dynamodb" + owner + "table/Prices",
		"kms:Decrypt of arn:aws:kms" + owner + "key/1234abcd-12ab-34cd-56ef-1234567890ab",
		"secretsmanager:GetSecretValue of arn:aws:secretsmanager" + owner + "secret:shared/db-AbCdEf",
		"ssm:GetParameter ssm:GetParameters of arn:aws:ssm" + owner + "parameter/shared/endpoint",
	}
	if !slices.Equal(got, want) {
		t.Errorf("policy:\ngot  %q\nwant %q", got, want)
	}
}
