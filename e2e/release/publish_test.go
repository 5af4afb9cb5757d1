package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	version "cache-extension"
	"cache-extension/e2e/parts"
)

// lambda stands in for AWS Lambda: it takes layers and who may use them, and refuses what Lambda would.
type lambda struct {
	t      *testing.T
	mu     sync.Mutex // guards what follows
	layers []string   // a line for each version, in the order of publishing
	uses   []string   // a line for each permission
}

var (
	layerPath  = regexp.MustCompile(`^/2018-10-31/layers/([a-zA-Z0-9-_]+)/versions$`)
	policyPath = regexp.MustCompile(`^/2018-10-31/layers/([a-zA-Z0-9-_]+)/versions/(\d+)/policy$`)
	scope      = regexp.MustCompile(`Credential=[^/]+/\d+/([a-z0-9-]+)/lambda/aws4_request`)
)

func (l *lambda) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	region := scope.FindStringSubmatch(r.Header.Get("Authorization"))
	if region == nil || r.Method != http.MethodPost {
		l.t.Errorf("got %s %s with %q, want a signed POST", r.Method, r.URL, r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusForbidden)
		return
	}
	if path := layerPath.FindStringSubmatch(r.URL.Path); path != nil {
		l.publish(w, r, region[1], path[1])
		return
	}
	if path := policyPath.FindStringSubmatch(r.URL.Path); path != nil {
		l.allow(w, r, region[1], path[1], path[2])
		return
	}
	l.t.Errorf("nothing is at %s", r.URL)
	w.WriteHeader(http.StatusNotFound)
}

func (l *lambda) publish(w http.ResponseWriter, r *http.Request, region, name string) {
	body := read[struct {
		Description, LicenseInfo string
		CompatibleArchitectures  []string
		Content                  struct{ ZipFile string }
	}](l.t, r)
	zip, err := base64.StdEncoding.DecodeString(body.Content.ZipFile)
	if err != nil {
		l.t.Error(err)
	}
	l.layers = append(l.layers, fmt.Sprintf("%s %s %v %q %q %s", region, name, body.CompatibleArchitectures, body.Description, body.LicenseInfo, digest(zip)))
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"LayerVersionArn": "arn:aws:lambda:%s:123456789012:layer:%s:%d", "Version": %[3]d}`, region, name, 7)
}

func (l *lambda) allow(w http.ResponseWriter, r *http.Request, region, name, number string) {
	body := read[struct{ StatementId, Action, Principal, OrganizationId string }](l.t, r)
	l.uses = append(l.uses, fmt.Sprintf("%s %s %s %+v", region, name, number, body))
	w.WriteHeader(http.StatusCreated)
	fmt.Fprint(w, `{"Statement": "{}", "RevisionId": "1"}`)
}

// read decodes the body of a request, in which there must be nothing else.
func read[T any](t *testing.T, r *http.Request) (v T) {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Errorf("%s: %v", r.URL, err)
	}
	return v
}

// startLambda starts a stand-in that the AWS CLI talks to.
func startLambda(t *testing.T) *lambda {
	t.Helper()
	l := &lambda{t: t}
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	useAWSCLI(t, server.URL)
	return l
}

// useAWSCLI puts the AWS CLI on PATH and has it talk to what is at a URL.
func useAWSCLI(t *testing.T, url string) {
	t.Helper()
	folders, err := parts.Install(t.Context(), filepath.Join(checkout, ".tools"), os.Stderr, parts.AWSCLI)
	if err != nil {
		missing(t, err)
	}
	none := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"PATH":                        filepath.Join(folders[parts.AWSCLI], "bin") + ":" + os.Getenv("PATH"),
		"AWS_ENDPOINT_URL":            url,
		"AWS_ACCESS_KEY_ID":           "test",
		"AWS_SECRET_ACCESS_KEY":       "test",
		"AWS_SESSION_TOKEN":           "",
		"AWS_CONFIG_FILE":             none,
		"AWS_SHARED_CREDENTIALS_FILE": none,
	} {
		t.Setenv(name, value)
	}
}

// smallZip is a layer of a few bytes.
func smallZip(t *testing.T, a arch) []byte {
	t.Helper()
	text, err := layerZip([]entry{{programName, 0o755, []byte("for " + a.lambda)}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// smallRelease writes a release with small layers.
func smallRelease(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	files := make(map[string][]byte)
	for _, a := range arches() {
		files[zipName(a)] = smallZip(t, a)
	}
	files[sumsName] = sums(files)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestPublish publishes with the AWS CLI, once directly and once by the script that a dry run prints.
func TestPublish(t *testing.T) {
	for _, tt := range []struct {
		name string
		p    publication
		uses []string // of each layer
	}{
		{"directly", publication{name: "cache-extension", regions: []string{"eu-west-1"}, accounts: []string{"210987654321"}}, []string{
			"{StatementId:account-210987654321 Action:lambda:GetLayerVersion Principal:210987654321 OrganizationId:}",
		}},
		{"by the script", publication{name: "ours", regions: []string{"us-gov-west-1"}, organisations: []string{"o-a1b2c3d4e5"}, dryRun: true}, []string{
			"{StatementId:organization-o-a1b2c3d4e5 Action:lambda:GetLayerVersion Principal:* OrganizationId:o-a1b2c3d4e5}",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := startLambda(t)
			p := tt.p
			p.dir = smallRelease(t)
			var out bytes.Buffer
			if err := p.publish(t.Context(), &out); err != nil {
				t.Fatal(err)
			}
			printed := out.String()
			if p.dryRun {
				if len(l.layers) > 0 {
					t.Errorf("the dry run published %v", l.layers)
				}
				printed = runScript(t, &out)
			}
			var layers, uses, arns []string
			for _, a := range arches() {
				layer := p.regions[0] + " " + p.name + "-" + a.lambda
				layers = append(layers, fmt.Sprintf("%s [%s] %q %q %s", layer, a.lambda, "cache-extension "+version.Number(),
					"Apache-2.0; of what is linked in: cache-extension/LICENSES.txt", digest(smallZip(t, a))))
				for _, use := range tt.uses {
					uses = append(uses, layer+" 7 "+use)
				}
				arns = append(arns, fmt.Sprintf("arn:aws:lambda:%s:123456789012:layer:%s-%s:7\n", p.regions[0], p.name, a.lambda))
			}
			if !slices.Equal(l.layers, layers) {
				t.Errorf("layers: got\n%s\nwant\n%s", strings.Join(l.layers, "\n"), strings.Join(layers, "\n"))
			}
			if !slices.Equal(l.uses, uses) {
				t.Errorf("permissions: got\n%s\nwant\n%s", strings.Join(l.uses, "\n"), strings.Join(uses, "\n"))
			}
			if want := strings.Join(arns, ""); printed != want {
				t.Errorf("it printed\n%s\nwant\n%s", printed, want)
			}
		})
	}
}

// runScript runs a shell script and returns what it printed.
func runScript(t *testing.T, script io.Reader) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh")
	cmd.Stdin = script
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	return string(out)
}

// fakeAWS is a CLI that publishes version 7 of everything and lets nobody use what is for arm64.
const fakeAWS = `#!/bin/sh
echo "$2 $4 $6" >>"$ASKED"
case "$2 $6" in
publish-layer-version*) echo "arn:aws:lambda:$4:123456789012:layer:$6:7" ;;
*arm64) echo AccessDeniedException >&2; exit 254 ;;
esac
`

func TestPublishStopsAtTheFirstFailure(t *testing.T) {
	bin := t.TempDir()
	asked := filepath.Join(bin, "asked")
	if err := os.WriteFile(filepath.Join(bin, "aws"), []byte(fakeAWS), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	t.Setenv("ASKED", asked)
	p := publication{dir: smallRelease(t), name: "ours", regions: []string{"eu-west-1", "eu-west-2"}, accounts: []string{"210987654321"}}
	var out strings.Builder
	err := p.publish(t.Context(), &out)
	const arn = "arn:aws:lambda:eu-west-1:123456789012:layer:ours-"
	const want = "eu-west-1, arm64: " + arn + "arm64:7 is published, but not for all who may use it: " +
		"aws lambda add-layer-version-permission: exit status 254\nAccessDeniedException"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if want := arn + "x86_64:7\n"; out.String() != want {
		t.Errorf("it printed %q, want %q", &out, want)
	}
	got, err := os.ReadFile(asked)
	const calls = `publish-layer-version eu-west-1 ours-x86_64
add-layer-version-permission eu-west-1 ours-x86_64
publish-layer-version eu-west-1 ours-arm64
add-layer-version-permission eu-west-1 ours-arm64
`
	if err != nil || string(got) != calls {
		t.Errorf("it ran, %v,\n%s\nwant\n%s", err, got, calls)
	}
}

func TestPublishRefusesWhatWasNotReleased(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(dir string) error
		want  string
	}{
		{"no release", func(dir string) error { return os.Remove(filepath.Join(dir, sumsName)) }, "run make release first"},
		{"a zip is missing", func(dir string) error { return os.Remove(filepath.Join(dir, zipName(arches()[1]))) }, "run make release first"},
		{"a zip was changed", func(dir string) error { return os.WriteFile(filepath.Join(dir, zipName(arches()[0])), nil, 0o644) },
			zipName(arches()[0]) + " is not what SHA256SUMS says: run make release again"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := publication{dir: smallRelease(t), name: "ours", regions: []string{"eu-west-1"}, dryRun: true}
			if err := tt.spoil(p.dir); err != nil {
				t.Fatal(err)
			}
			if err := p.publish(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestPublishWithoutTheAWSCLI(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	p := publication{dir: smallRelease(t), name: "ours", regions: []string{"eu-west-1"}}
	const want = "eu-west-1, x86_64: the AWS CLI is not on PATH: install it, or use -dry-run to see the commands"
	if err := p.publish(t.Context(), io.Discard); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestParsePublication(t *testing.T) {
	got, err := parsePublication(strings.Fields("-regions eu-west-1,us-gov-east-1,eusc-de-east-1 -accounts 123456789012 -organizations o-a1b2c3d4e5 -name ours -dry-run"), io.Discard)
	want := publication{name: "ours", regions: []string{"eu-west-1", "us-gov-east-1", "eusc-de-east-1"}, accounts: []string{"123456789012"}, organisations: []string{"o-a1b2c3d4e5"}, dryRun: true}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, tt := range []struct{ name, args, want string }{
		{"no Region", "", "say where to publish, such as publish -regions eu-west-1,us-east-1"},
		{"not a Region", "-regions ireland", `"ireland" is not a Region, such as eu-west-1`},
		{"a list with a space", "-regions eu-west-1, us-east-1", `"" is not a Region`},
		{"not an account", "-regions eu-west-1 -accounts 1234", `"1234" is not an account, which has twelve digits`},
		{"everyone", "-regions eu-west-1 -accounts *", `"*" is not an account`},
		{"not an organization", "-regions eu-west-1 -organizations ours", `"ours" is not an organization, such as o-a1b2c3d4e5`},
		{"not a name", "-regions eu-west-1 -name a/b", `-name "a/b": a layer's name has letters, digits, - and _`},
		{"more", "-regions eu-west-1 now", `publish takes no argument "now"`},
		{"no such flag", "-everywhere", "-everywhere"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var said strings.Builder
			_, err := parsePublication(strings.Fields(tt.args), &said)
			if !errors.Is(err, errUsage) {
				t.Fatalf("got %v, want wrong usage", err)
			}
			if text := said.String() + err.Error(); !strings.Contains(text, tt.want) {
				t.Errorf("got %s, want %q in it", text, tt.want)
			}
		})
	}
	if _, err := parsePublication([]string{"-h"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: got %v, want %v", err, flag.ErrHelp)
	}
}

func TestRunRefuses(t *testing.T) {
	for _, args := range [][]string{{"notes"}, {"notes", "v1", "v2"}, {"sign"}, {"-v"}} {
		if err := run(t.Context(), checkout, args, io.Discard, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%v: got %v, want wrong usage", args, err)
		}
	}
}
