package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"cache-extension/e2e/cloud"
	"cache-extension/e2e/emulator"
	"cache-extension/e2e/parts"
	"cache-extension/e2e/sandbox"
)

// containerDir is the variable by which the test in the sandbox finds what the images hold: opt and task.
const containerDir = "E2E_CONTAINER"

// instruction is one of a Dockerfile.
type instruction struct {
	name  string // such as COPY
	words []string
}

// TestContainer plays examples/container/Dockerfile, for there is no Docker here: what the stage build runs is run, what
// is copied is there, and the function's image, with the extension out of the released image, serves the sample's values.
func TestContainer(t *testing.T) {
	if !sandbox.Inside() {
		t.Setenv(containerDir, container(t))
	}
	if !sandboxed(t, parts.RIE, parts.Moto, parts.SAM) {
		return
	}
	dir := os.Getenv(containerDir)
	proxy := aws(t)
	e := start(t, emulator.Function{
		Layer: filepath.Join(dir, "opt"),
		Code:  filepath.Join(dir, "task"),
		Env:   append(cloud.Env(proxy.URL), "TABLE_NAME="+cloud.Table),
	})
	var answer struct{ Values map[string]string }
	if err := json.Unmarshal([]byte(invoke(t, e, "{}")), &answer); err != nil || len(answer.Values) != 3 {
		t.Errorf("the function: got %v, %v, want three values", answer.Values, err)
	}
	for url, want := range want {
		if status, body := get(t, url); status != http.StatusOK || body != want {
			t.Errorf("GET %s: got %d %q, want 200 %q", url, status, body, want)
		}
	}
}

// container makes what the images of the Dockerfile hold, in the folders opt and task of the folder that it returns.
func container(t *testing.T) string {
	t.Helper()
	checkout, dir := checkedOut(t), t.TempDir()
	stages := dockerStages(t, filepath.Join(checkout, "examples", "container", "Dockerfile"))
	excluded := dockerExcluded(t, filepath.Join(checkout, "examples", "container", "Dockerfile.dockerignore"))
	for _, name := range excluded {
		if err := os.RemoveAll(filepath.Join(checkout, name)); err != nil {
			t.Fatal(err)
		}
	}
	layers := make(map[string]string) // /layer, by GOARCH
	for goarch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		layers[goarch] = filepath.Join(dir, goarch)
		runStage(t, stages["build"], checkout, layers[goarch], goarch)
		if got, want := fileModes(t, layers[goarch]), map[string]fs.FileMode{"extensions/cache-extension": 0o755}; !maps.Equal(got, want) {
			t.Errorf("/layer on %s: got %v, want %v", goarch, got, want)
		}
		checkProgram(t, filepath.Join(layers[goarch], "extensions", "cache-extension"), machine)
	}
	wantStage(t, stages, "extension", "FROM scratch", "COPY --from=build /layer/ /opt/")
	wantStage(t, stages, "function", "FROM public.ecr.aws/lambda/nodejs:24", "COPY --from=extension /opt/ /opt/",
		"COPY example-function/index.js example-function/package.json config.yaml ${LAMBDA_TASK_ROOT}/", `CMD ["index.handler"]`)

	cmd := exec.CommandContext(t.Context(), "go", "run", "./e2e/release")
	cmd.Dir = checkout
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	for goarch, built := range layers {
		opt := unpackImage(t, checkout, goarch)
		ours, err := os.ReadFile(filepath.Join(built, "extensions", "cache-extension"))
		if err != nil {
			t.Fatal(err)
		}
		released, err := os.ReadFile(filepath.Join(opt, "extensions", "cache-extension"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(ours, released) {
			t.Errorf("the Dockerfile's program for %s is not the released one", goarch)
		}
		if goarch == runtime.GOARCH {
			err = os.Rename(opt, filepath.Join(dir, "opt"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"example-function/index.js", "example-function/package.json", "config.yaml"} {
		text, err := os.ReadFile(filepath.Join(checkout, name))
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, "task", filepath.Base(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, to, string(text), 0o644)
	}
	return dir
}

// dockerStages returns the instructions of each stage by its name, FROM without its AS first.
func dockerStages(t *testing.T, file string) map[string][]instruction {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	stages := make(map[string][]instruction)
	var stage string
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", "")) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		i := instruction{words[0], words[1:]}
		if i.name == "FROM" {
			n := len(i.words) - 2
			if n < 1 || i.words[n] != "AS" {
				t.Fatalf("%s: the stage %v has no name", file, words)
			}
			stage, i.words = i.words[n+1], i.words[:n]
		}
		stages[stage] = append(stages[stage], i)
	}
	return stages
}

// wantStage holds a stage to its instructions.
func wantStage(t *testing.T, stages map[string][]instruction, name string, want ...string) {
	t.Helper()
	var got []string
	for _, i := range stages[name] {
		got = append(got, strings.Join(append([]string{i.name}, i.words...), " "))
	}
	if !slices.Equal(got, want) {
		t.Errorf("stage %s: got\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// dockerExcluded returns the names that are excluded in the root of the context.
func dockerExcluded(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		if name := strings.TrimPrefix(strings.TrimSpace(line), "**/"); name != "" && name[0] != '#' {
			names = append(names, name)
		}
	}
	return names
}

// runStage runs what a stage runs, in the checkout, with a folder of this machine for /layer.
func runStage(t *testing.T, stage []instruction, checkout, layer, goarch string) {
	t.Helper()
	ran := 0
	for _, i := range stage {
		if i.name != "RUN" {
			continue
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(strings.Join(i.words, " "), "/layer", layer))
		cmd.Dir = checkout
		cmd.Env = append(os.Environ(), "TARGETARCH="+goarch)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", i.words, err, out)
		}
		ran++
	}
	if ran == 0 {
		t.Errorf("nothing is run in %v", stage)
	}
}

// unpackImage unpacks the released image for an architecture and returns its folder opt.
func unpackImage(t *testing.T, checkout, goarch string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(checkout, "bin", "release", "*.oci.tar"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the release has the images %v, %v, want one", files, err)
	}
	archive, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	layout := t.TempDir()
	untar(t, archive, layout)

	type descriptor struct {
		Digest   string
		Platform struct{ Architecture string }
	}
	type document struct{ Manifests, Layers []descriptor }
	open := func(name string) *os.File {
		file, err := os.Open(filepath.Join(layout, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { file.Close() })
		return file
	}
	blob := func(d descriptor) *os.File {
		return open(filepath.Join("blobs", strings.Replace(d.Digest, ":", "/", 1)))
	}
	parse := func(r io.Reader) (d document) {
		if err := json.NewDecoder(r).Decode(&d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	for _, image := range parse(blob(parse(open("index.json")).Manifests[0])).Manifests {
		if image.Platform.Architecture != goarch {
			continue
		}
		unzipped, err := gzip.NewReader(blob(parse(blob(image)).Layers[0]))
		if err != nil {
			t.Fatal(err)
		}
		to := t.TempDir()
		untar(t, unzipped, to)
		return filepath.Join(to, "opt")
	}
	t.Fatalf("no image for %s", goarch)
	return ""
}

// untar unpacks an archive into a folder. It refuses what is not a plain file or folder.
func untar(t *testing.T, r io.Reader, dir string) {
	t.Helper()
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err == nil {
			err = unpack(archive, h, dir)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func unpack(r io.Reader, h *tar.Header, dir string) error {
	to := filepath.Join(dir, filepath.FromSlash(h.Name))
	switch h.Typeflag {
	case tar.TypeDir:
		return os.MkdirAll(to, h.FileInfo().Mode().Perm())
	case tar.TypeReg:
		text, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.WriteFile(to, text, h.FileInfo().Mode().Perm())
	}
	return fmt.Errorf("%s is of the kind %q", h.Name, h.Typeflag)
}
