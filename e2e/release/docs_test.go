package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	version "cache-extension"
)

// shellBlocks returns the blocks of shell commands of a page of the checkout.
func shellBlocks(t *testing.T, page string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(checkout, page))
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, m := range regexp.MustCompile("(?ms)^```sh[^\n]*\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, m[1])
	}
	if len(blocks) == 0 {
		t.Fatalf("%s has no commands", page)
	}
	return blocks
}

// TestReleasePage runs the commands of docs/release.md but those of code signing, which TestCodeSigning has: this program
// with a dry run, git where there is no remote, make where the release is made already.
func TestReleasePage(t *testing.T) {
	releaseDir(t)
	for _, block := range shellBlocks(t, "docs/release.md") {
		for line := range strings.Lines(block) {
			words := strings.Fields(line)
			switch {
			case words[0] == "go":
				args, ok := strings.CutPrefix(strings.TrimSpace(line), "go run ./e2e/release publish ")
				if !ok {
					t.Errorf("nobody knows what to do about %s", line)
					continue
				}
				if _, err := runProgram(t.Context(), release.tree, nil, append([]string{"publish", "-dry-run"}, strings.Fields(args)...)...); err != nil {
					t.Errorf("%s: %v", line, err)
				}
			case words[0] == "sha256sum":
				if _, err := exec.LookPath("sha256sum"); err != nil {
					continue
				}
				cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
				cmd.Dir, cmd.Env = release.dir, append(os.Environ(), "DOWNLOADED="+release.dir)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", line, err, out)
				}
			case strings.Contains(block, "aws "), words[0] == "make", words[0] == "cd", words[0] == "git":
			default:
				t.Errorf("nobody knows what to do about %s", line)
			}
		}
	}
}

// TestContainerPage runs the commands for the released image in docs/deploy-container.md and in the example's README, with
// a folder in place of a repository. Those of Docker are not run.
func TestContainerPage(t *testing.T) {
	releaseDir(t)
	for _, page := range []string{"docs/deploy-container.md", "examples/container/README.md"} {
		pushed := false
		for _, block := range shellBlocks(t, page) {
			for line := range strings.Lines(block) {
				switch word, _, _ := strings.Cut(line, " "); word {
				case "skopeo":
					if _, err := exec.LookPath("skopeo"); err != nil {
						continue
					}
					line = strings.Replace(line, "docker://", "oci:", 1)
					pushed = true
					fallthrough
				case "mkdir", "tar":
					cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
					cmd.Dir, cmd.Env = release.tree, append(os.Environ(), "REPOSITORY="+t.TempDir())
					if out, err := cmd.CombinedOutput(); err != nil {
						t.Errorf("%s: %s: %v\n%s", page, line, err, out)
					}
				case "docker", "curl", "make\n", "make":
				default:
					t.Errorf("%s: nobody knows what to do about %s", page, line)
				}
			}
		}
		if _, err := exec.LookPath("skopeo"); err == nil && !pushed {
			t.Errorf("%s pushes no image", page)
		}
	}
	// What the page gives to docker build is a layout with the version as its tag.
	text, err := os.ReadFile(filepath.Join(release.tree, "bin", "image", "index.json"))
	if want := `"org.opencontainers.image.ref.name":"` + version.Number() + `"`; err != nil || !strings.Contains(string(text), want) {
		t.Errorf("bin/image/index.json: got %s, %v, want %s in it", text, err, want)
	}
}

// The answers of AWS in the order in which the commands of docs/release.md ask for them.
var signing = []struct{ request, answer string }{
	{"PUT /signing-profiles/cache_extension", `{"profileVersionArn": "arn:aws:signer:eu-west-1:123456789012:/signing-profiles/cache_extension/abc"}`},
	{"PUT /bucket/unsigned/cache-extension-VERSION-arm64.zip", ""},
	{"POST /signing-jobs", `{"jobId": "11111111-1111-1111-1111-111111111111"}`},
	{"GET /signing-jobs/11111111-1111-1111-1111-111111111111", `{"status": "Succeeded"}`},
	{"GET /signing-jobs/11111111-1111-1111-1111-111111111111", `{"signedObject": {"s3": {"bucketName": "bucket", "key": "signed/1.zip"}}}`},
	{"POST /2018-10-31/layers/cache-extension-arm64/versions", `{"LayerVersionArn": "arn:1"}`},
	{"POST /2020-04-22/code-signing-configs", `{"CodeSigningConfig": {"CodeSigningConfigArn": "arn:aws:lambda:eu-west-1:123456789012:code-signing-config:csc-0123456789abcdef0"}}`},
	{"PUT /2020-06-30/functions/greeter/code-signing-config", `{}`},
}

// TestCodeSigning runs the commands of code signing in docs/release.md with the AWS CLI, which checks their parameters.
func TestCodeSigning(t *testing.T) {
	var mu sync.Mutex // guards asked and bodies
	asked, bodies := 0, make(map[string]string)
	aws := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got := r.Method + " " + r.URL.Path
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		bodies[got] = string(body)
		if asked == len(signing) {
			t.Errorf("got %s, want nothing more", got)
			return
		}
		next := signing[asked]
		asked++
		if want := strings.ReplaceAll(next.request, "VERSION", version.Number()); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		w.Header().Set("x-amz-version-id", "version1")
		fmt.Fprint(w, next.answer)
	})
	server := httptest.NewServer(aws)
	t.Cleanup(server.Close)
	useAWSCLI(t, server.URL)

	tree := t.TempDir()
	for _, a := range arches() {
		write(t, filepath.Join(tree, folder, zipName(a)), smallZip(t, a))
	}
	write(t, filepath.Join(tree, "VERSION"), []byte(version.Number()+"\n"))
	script := "set -eu\n"
	for _, block := range shellBlocks(t, "docs/release.md") {
		if strings.Contains(block, "aws ") {
			script += block
		}
	}
	// For one architecture alone: the CLI takes most of a second for each command.
	cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(script, "in x86_64 arm64;", "in arm64;", 1))
	cmd.Dir = tree
	cmd.Env = append(os.Environ(), "BUCKET=bucket", "FUNCTION=greeter", "AWS_DEFAULT_REGION=eu-west-1")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	if asked != len(signing) {
		t.Errorf("AWS was asked %d times, want %d", asked, len(signing))
	}
	if want := "arn:1\n"; !strings.HasPrefix(string(out), want) {
		t.Errorf("got %s, want %s first", out, want)
	}
	for request, want := range map[string]string{
		"POST /signing-jobs": `"version": "version1"`,
		"POST /2018-10-31/layers/cache-extension-arm64/versions": `"S3Key": "signed/1.zip"`,
		"POST /2020-04-22/code-signing-configs":                  `"SigningProfileVersionArns": ["arn:aws:signer:eu-west-1:123456789012:/signing-profiles/cache_extension/abc"]`,
		"PUT /2020-06-30/functions/greeter/code-signing-config":  "csc-0123456789abcdef0",
	} {
		if !strings.Contains(bodies[request], want) {
			t.Errorf("%s: got %s, want %s in it", request, bodies[request], want)
		}
	}
}

// write writes a file and the folders that it is in.
func write(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
}
