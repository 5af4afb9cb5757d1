package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	version "cache-extension"
	"cache-extension/e2e/parts"
)

const checkout = "../.."

// release is made once in a run, of a copy of the checkout: whoever edits a file while the tests run gets no failure for it.
var release struct {
	once    sync.Once
	temp    string // holds what follows
	program string // this one, without the race detector, with which it compresses ten times slower
	tree    string // what the release is made of
	dir     string // the release
	err     error
}

func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(release.temp)
	os.Exit(code)
}

// releaseDir returns the folder of a release.
func releaseDir(t *testing.T) string {
	t.Helper()
	release.once.Do(func() { release.err = makeRelease() })
	if release.err != nil {
		t.Fatal(release.err)
	}
	return release.dir
}

func makeRelease() (err error) {
	if release.temp, err = os.MkdirTemp("", "release"); err != nil {
		return err
	}
	release.program = filepath.Join(release.temp, "program")
	if out, err := exec.Command("go", "build", "-o", release.program, ".").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	release.tree = filepath.Join(release.temp, "tree")
	release.dir = filepath.Join(release.tree, "bin", "release")
	if err := copyTree(checkout, release.tree); err != nil {
		return err
	}
	_, err = runProgram(context.Background(), release.tree, nil)
	return err
}

// runProgram runs this program in a folder, with more environment, and returns what it printed.
func runProgram(ctx context.Context, dir string, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, release.program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("release %v: %w\n%s", args, err, &stderr)
	}
	return string(out), nil
}

// missing ends the test because something that it needs is not there.
func missing(t *testing.T, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("missing here: %v", err)
	}
	t.Skipf("skipped, missing here: %v", err)
}

// releaseFiles returns the files of a folder by name.
func releaseFiles(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string][]byte)
	for _, f := range all {
		if files[f.Name()], err = os.ReadFile(filepath.Join(dir, f.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestReleaseConsistsOf(t *testing.T) {
	files := releaseFiles(t, releaseDir(t))
	v := version.Number()
	want := []string{"SHA256SUMS", "cache-extension-" + v + "-arm64.zip", "cache-extension-" + v + "-x86_64.zip", "cache-extension-" + v + ".oci.tar"}
	if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if _, err := exec.LookPath("sha256sum"); err != nil {
		t.Skip("skipped: no sha256sum")
	}
	cmd := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", "SHA256SUMS")
	cmd.Dir = releaseDir(t)
	out, err := cmd.CombinedOutput()
	if ok := strings.Count(string(out), ": OK\n"); err != nil || ok != 3 {
		t.Errorf("%v: %v, want three files that are OK:\n%s", cmd.Args, err, out)
	}
}

// TestReleaseIsTheSameAnywhere builds in another folder, in another environment, and over an old release.
func TestReleaseIsTheSameAnywhere(t *testing.T) {
	first := releaseFiles(t, releaseDir(t))
	tree := t.TempDir()
	out := filepath.Join(tree, "bin", "release")
	if err := copyTree(release.tree, tree); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(out, 0o755), os.WriteFile(filepath.Join(out, "cache-extension-0.0.1-arm64.zip"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "git", "init", "--quiet", tree).CombinedOutput(); err != nil {
		t.Fatalf("git init: %v\n%s", err, out)
	}
	printed, err := runProgram(t.Context(), tree, []string{"TZ=Asia/Tokyo", "GOFLAGS=-buildvcs=true", "GOAMD64=v3"})
	if err != nil {
		t.Fatal(err)
	}
	second := releaseFiles(t, out)
	if got, want := slices.Sorted(maps.Keys(second)), slices.Sorted(maps.Keys(first)); !slices.Equal(got, want) {
		t.Errorf("got %v the second time, %v the first", got, want)
	}
	for name := range second {
		if !bytes.Equal(first[name], second[name]) {
			t.Errorf("%s: the second build differs from the first", name)
		}
	}
	if printed != string(first[sumsName]) {
		t.Errorf("it printed %s, want the checksums %s", printed, first[sumsName])
	}
}

// copyTree copies what a build needs of a checkout, with other modes and times.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch top, _, below := strings.Cut(filepath.ToSlash(name), "/"); {
		case name == ".":
			return os.MkdirAll(to, 0o700)
		case d.IsDir() && (top != "extension" || strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "cachectl"):
			return filepath.SkipDir
		case d.IsDir() || strings.HasSuffix(name, "_test.go"):
			return nil
		case !below && !slices.Contains([]string{"go.mod", "go.sum", "version.go", "VERSION", "LICENSE", "Makefile"}, name):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file := filepath.Join(to, name)
		return errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, text, 0o600))
	})
}

func TestLayerZips(t *testing.T) {
	files := releaseFiles(t, releaseDir(t))
	for _, a := range arches() {
		text := files[zipName(a)]
		z, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
		if err != nil {
			t.Fatalf("%s: %v", zipName(a), err)
		}
		modes := make(map[string]fs.FileMode)
		for _, f := range z.File {
			modes[f.Name] = f.Mode()
		}
		if want := map[string]fs.FileMode{"extensions/cache-extension": 0o755, "cache-extension/LICENSES.txt": 0o644}; !maps.Equal(modes, want) {
			t.Errorf("%s: got %v, want %v", zipName(a), modes, want)
		}
		checkProgram(t, a.goarch, zipFile(t, text, programName))
	}
}

// zipFile returns a file of a zip.
func zipFile(t *testing.T, text []byte, name string) []byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	content, err := fs.ReadFile(z, name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// checkProgram holds a program to an architecture, and to needing no library.
func checkProgram(t *testing.T, goarch string, program []byte) {
	t.Helper()
	file, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		t.Fatalf("%s: %v", goarch, err)
	}
	if want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[goarch]; file.Machine != want {
		t.Errorf("%s: got a program for %v, want %v", goarch, file.Machine, want)
	}
	if libraries, err := file.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("%s: the program needs %v, %v, want a static one", goarch, libraries, err)
	}
}

// tarFiles returns the headers and the contents of a tar archive, in its order.
func tarFiles(t *testing.T, archive []byte) ([]*tar.Header, map[string][]byte) {
	t.Helper()
	var headers []*tar.Header
	contents := make(map[string][]byte)
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return headers, contents
		}
		if err != nil {
			t.Fatal(err)
		}
		headers = append(headers, h)
		if contents[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// pointer is a descriptor as a reader of images knows it.
type pointer struct {
	MediaType, Digest string
	Size              int
	Platform          struct{ OS, Architecture string }
	Annotations       map[string]string
}

// follow reads what a pointer of a layout points to, and holds it to what the pointer says.
func follow(t *testing.T, layout map[string][]byte, p pointer, mediaType string) []byte {
	t.Helper()
	text, ok := layout["blobs/sha256/"+strings.TrimPrefix(p.Digest, "sha256:")]
	if got := digest(text); !ok || got != p.Digest || len(text) != p.Size || p.MediaType != mediaType {
		t.Fatalf("blob of %+v: got %s with %d bytes, want that and type %s", p, got, len(text), mediaType)
	}
	return text
}

func decode[T any](t *testing.T, text []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func TestImage(t *testing.T) {
	type manifests struct{ Manifests []pointer }
	files := releaseFiles(t, releaseDir(t))
	_, layout := tarFiles(t, files[imageName()])
	if got, want := string(layout["oci-layout"]), `{"imageLayoutVersion":"1.0.0"}`; got != want {
		t.Errorf("oci-layout: got %s, want %s", got, want)
	}
	top := decode[manifests](t, layout["index.json"]).Manifests
	if len(top) != 1 || top[0].Annotations["org.opencontainers.image.ref.name"] != version.Number() {
		t.Fatalf("index.json: got %+v, want one index with the version as its tag", top)
	}
	images := decode[manifests](t, follow(t, layout, top[0], mediaIndex)).Manifests
	if len(images) != len(arches()) {
		t.Fatalf("got %d images, want %d", len(images), len(arches()))
	}
	for i, a := range arches() {
		image := images[i]
		if image.Platform.OS != "linux" || image.Platform.Architecture != a.goarch {
			t.Errorf("image %d: got %+v, want linux on %s", i, image.Platform, a.goarch)
		}
		m := decode[struct {
			Config pointer
			Layers []pointer
		}](t, follow(t, layout, image, mediaManifest))
		c := decode[struct {
			OS, Architecture string
			RootFS           struct {
				Type    string
				DiffIDs []string `json:"diff_ids"`
			}
		}](t, follow(t, layout, m.Config, mediaConfig))
		if len(m.Layers) != 1 {
			t.Fatalf("%s: got %d layers, want 1", a.goarch, len(m.Layers))
		}
		unzipped, err := gzip.NewReader(bytes.NewReader(follow(t, layout, m.Layers[0], mediaLayer)))
		if err != nil {
			t.Fatal(err)
		}
		layer, err := io.ReadAll(unzipped)
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{digest(layer)}; c.OS != "linux" || c.Architecture != a.goarch || c.RootFS.Type != "layers" || !slices.Equal(c.RootFS.DiffIDs, want) {
			t.Errorf("%s: got the configuration %+v, want linux, %[1]s and the layers %v", a.goarch, c, want)
		}
		headers, contents := tarFiles(t, layer)
		var got []string
		for _, h := range headers {
			got = append(got, fmt.Sprintf("%v %d:%d %s", h.FileInfo().Mode(), h.Uid, h.Gid, h.Name))
		}
		want := []string{
			"drwxr-xr-x 0:0 opt/",
			"drwxr-xr-x 0:0 opt/cache-extension/",
			"-rw-r--r-- 0:0 opt/cache-extension/LICENSES.txt",
			"drwxr-xr-x 0:0 opt/extensions/",
			"-rwxr-xr-x 0:0 opt/extensions/cache-extension",
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", a.goarch, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		checkProgram(t, a.goarch, contents["opt/"+programName])
	}
}

// TestSkopeoReadsTheImage reads the image with a program of others, for each architecture.
func TestSkopeoReadsTheImage(t *testing.T) {
	skopeo, err := parts.Skopeo(t.Context(), filepath.Join(checkout, ".tools"), os.Stderr)
	if err != nil {
		missing(t, err)
	}
	from := "oci-archive:" + filepath.Join(releaseDir(t), imageName())
	for _, a := range arches() {
		out, err := exec.CommandContext(t.Context(), skopeo, "inspect", "--override-os", "linux", "--override-arch", a.goarch, from).CombinedOutput()
		if err != nil {
			t.Fatalf("skopeo inspect: %v\n%s", err, out)
		}
		got := decode[struct {
			Os, Architecture string
			Labels           map[string]string
		}](t, out)
		if got.Os != "linux" || got.Architecture != a.goarch || got.Labels["org.opencontainers.image.version"] != version.Number() {
			t.Errorf("skopeo inspect: got %+v, want linux, %s and version %s", got, a.goarch, version.Number())
		}
	}
	to := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), skopeo, "copy", "--all", from, "oci:"+to+":copy").CombinedOutput(); err != nil {
		t.Errorf("skopeo copy: %v\n%s", err, out)
	}
}

func TestBuildSaysWhatMakeSaid(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Makefile"), []byte("build-CacheExtensionLayerX86:\n\t@echo no compiler; exit 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	err := build(t.Context(), dir, out, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "make build-CacheExtensionLayerX86: exit status 2\nno compiler") {
		t.Errorf("got %v, want the end of make and what it said", err)
	}
	if _, err := os.Stat(out); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a failed build left %s: %v", out, err)
	}
}
