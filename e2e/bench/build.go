package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Floors are built like this; the extension by the Makefile of its tree.
const (
	buildTags    = "nethttpomithttp2"
	buildLDFlags = "-s -w"
)

// extensionPackage is our program, and layerTargets what builds it as the layer has it, by architecture.
const extensionPackage = "./extension"

var layerTargets = map[string]string{"amd64": "build-CacheExtensionLayerX86", "arm64": "build-CacheExtensionLayerArm"}

// build builds the package of the module in dir for Linux on an architecture. It returns the program's file.
func (b *bench) build(ctx context.Context, dir, pkg, goarch string) (string, error) {
	file := filepath.Join(b.dir, strings.ReplaceAll(strings.Trim(pkg, "./"), "/", "-")+"-"+goarch)
	if dir != b.root {
		file += "-" + filepath.Base(dir)
	}
	if built := b.built[file]; built != "" {
		return built, nil
	}
	key := file
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", buildTags, "-ldflags", buildLDFlags, "-o", file, pkg)
	if pkg == extensionPackage {
		artifacts := file + "-layer"
		file = filepath.Join(artifacts, "extensions", "cache-extension")
		cmd = exec.CommandContext(ctx, "make", layerTargets[goarch], "ARTIFACTS_DIR="+artifacts)
	}
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+goarch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	b.built[key] = file
	return file, nil
}

// program is one that is compared, and the source it is built from.
type program struct {
	name string // as a subject
	dir  string // root of the module
	pkg  string
	file string // built for this machine
}

// The floors, and the client that asks them.
const (
	floorNetHTTP = "net/http"
	floorByHand  = "HTTP by hand"
	floorEcho    = "TCP echo"
)

var floorPackages = map[string]string{
	floorNetHTTP: "./e2e/bench/floors/nethttp",
	floorByHand:  "./e2e/bench/floors/byhand",
	floorEcho:    "./e2e/bench/floors/echo",
}

// program builds a program for this machine.
func (b *bench) program(ctx context.Context, name, dir, pkg string) (program, error) {
	file, err := b.build(ctx, dir, pkg, runtime.GOARCH)
	return program{name: name, dir: dir, pkg: pkg, file: file}, err
}

func (b *bench) floor(ctx context.Context, name string) (program, error) {
	return b.program(ctx, name, b.root, floorPackages[name])
}

// extensions builds the extension, and that of the revision to compare with.
func (b *bench) extensions(ctx context.Context) ([]program, error) {
	p, err := b.program(ctx, ours, b.root, extensionPackage)
	if err != nil || b.against == "" {
		return []program{p}, err
	}
	if b.other == "" {
		dir := filepath.Join(b.dir, "against")
		if err := checkOut(ctx, b.root, b.against, dir); err != nil {
			return nil, err
		}
		b.other = dir
	}
	q, err := b.program(ctx, older(b.against), b.other, extensionPackage)
	return []program{p, q}, err
}

// older is the name of the extension of a revision.
func older(revision string) string { return ours + " at " + revision }

// checkOut writes the files of a revision into dir. Unlike a work tree of git's it leaves nothing in the repository, even
// when it is interrupted.
func checkOut(ctx context.Context, repository, revision, dir string) error {
	cmd := exec.CommandContext(ctx, "git", "archive", revision)
	cmd.Dir = repository
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = unpack(out, dir)
	if waited := cmd.Wait(); waited != nil {
		return fmt.Errorf("git archive %s: %w\n%s", revision, waited, &said)
	}
	return err
}

func unpack(r io.Reader, dir string) error {
	archive := tar.NewReader(r)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		file := filepath.Join(dir, header.Name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, content, 0o644); err != nil {
			return err
		}
	}
}
