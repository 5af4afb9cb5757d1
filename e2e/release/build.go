package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	version "cache-extension"
)

// arch is a processor that the extension is released for.
type arch struct {
	lambda string // what Lambda calls it
	goarch string // what Go and container images call it
	target string // of the Makefile; it builds the layer for it
}

// arches returns the processors that Lambda has.
func arches() []arch {
	return []arch{
		{"x86_64", "amd64", "build-CacheExtensionLayerX86"},
		{"arm64", "arm64", "build-CacheExtensionLayerArm"},
	}
}

// entry is a file below /opt, where Lambda unpacks layers. It belongs to root.
type entry struct {
	name string // such as extensions/cache-extension
	mode fs.FileMode
	text []byte
}

// The files below /opt. Lambda starts all that is in extensions, so nothing else may be there.
const (
	programName  = "extensions/cache-extension"
	licencesName = "cache-extension/LICENSES.txt"
)

// zipName is the file name of the layer for an architecture.
func zipName(a arch) string {
	return fmt.Sprintf("cache-extension-%s-%s.zip", version.Number(), a.lambda)
}

// imageName is the file name of the container image for all architectures.
func imageName() string { return fmt.Sprintf("cache-extension-%s.oci.tar", version.Number()) }

// sumsName is the file name of the checksums, in the format that sha256sum -c reads.
const sumsName = "SHA256SUMS"

// build builds the release of the checkout root into dir, of which nothing old is left, and prints the checksums. The
// same tree and the same Go give the same bytes anywhere and at any time.
func build(ctx context.Context, root, dir string, stdout io.Writer) error {
	contents := make(map[string][]entry) // by GOARCH
	files := make(map[string][]byte)     // by file name
	for _, a := range arches() {
		program, err := compile(ctx, root, a)
		if err != nil {
			return err
		}
		parts, err := partsOf(ctx, root, a, program)
		if err != nil {
			return err
		}
		text, err := licences(parts)
		if err != nil {
			return err
		}
		contents[a.goarch] = []entry{{licencesName, 0o644, text}, {programName, 0o755, program}}
		if files[zipName(a)], err = layerZip(contents[a.goarch]); err != nil {
			return err
		}
	}
	var err error
	if files[imageName()], err = image(version.Number(), contents); err != nil {
		return err
	}
	files[sumsName] = sums(files)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	_, err = stdout.Write(files[sumsName])
	return err
}

// sums returns the line of SHA256SUMS for each file, sorted by name.
func sums(files map[string][]byte) []byte {
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	var lines []byte
	for _, name := range names {
		lines = fmt.Appendf(lines, "%x  %s\n", sha256.Sum256(files[name]), name)
	}
	return lines
}

// compile returns the program as the layer has it. The flags are those of the Makefile; what else Go takes from its
// environment is fixed here, and no commit is stamped, since a tree has none when it comes out of an archive.
func compile(ctx context.Context, root string, a arch) ([]byte, error) {
	dir, err := os.MkdirTemp("", "release")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.CommandContext(ctx, "make", "--no-print-directory", a.target, "ARTIFACTS_DIR="+dir)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false", "GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=", "GOFIPS140=off")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("make %s: %w\n%s", a.target, err, &said)
	}
	return os.ReadFile(filepath.Join(dir, filepath.FromSlash(programName)))
}
