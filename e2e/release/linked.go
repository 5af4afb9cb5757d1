package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	version "cache-extension"
)

// part is what comes from one place into a program: a module, or the standard library.
type part struct {
	name    string   // with its version
	root    string   // folder
	folders []string // root and all below it on the way to a package that is linked, sorted
}

// partsOf returns the parts that a program of the module in root is linked from, sorted by name.
func partsOf(ctx context.Context, root string, a arch, program []byte) ([]part, error) {
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		return nil, err
	}
	packages, err := packagesOf(ctx, root, a, info)
	if err != nil {
		return nil, err
	}
	goroot, err := goCommand(ctx, root, nil, "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	found := make(map[string]*part)
	for _, p := range packages {
		at := part{name: info.GoVersion + " standard library", root: strings.TrimSpace(string(goroot))}
		if !p.Standard {
			if at, err = p.module(); err != nil {
				return nil, err
			}
		}
		if found[at.name] == nil {
			found[at.name] = &at
		}
		for dir := p.Dir; strings.HasPrefix(dir, at.root); dir = filepath.Dir(dir) {
			found[at.name].folders = append(found[at.name].folders, dir)
		}
	}
	var all []part
	for _, p := range found {
		slices.Sort(p.folders)
		p.folders = slices.Compact(p.folders)
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b part) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

// linked is a package as go list tells of it.
type linked struct {
	ImportPath string
	Dir        string
	Standard   bool
	Module     *struct {
		Path, Version, Dir string
		Main               bool
		Replace            *struct{ Path string }
	}
}

func (p linked) module() (part, error) {
	m := p.Module
	switch {
	case m == nil || m.Dir == "":
		return part{}, fmt.Errorf("the module of %s is not here: run go mod download", p.ImportPath)
	case m.Replace != nil:
		return part{}, fmt.Errorf("%s is replaced by %s: a release takes modules as they are published", m.Path, m.Replace.Path)
	case m.Main:
		return part{name: "cache-extension " + version.Number(), root: m.Dir}, nil
	}
	return part{name: m.Path + " " + m.Version, root: m.Dir}, nil
}

// packagesOf returns what is linked into a program that was built as info says, the standard library too.
func packagesOf(ctx context.Context, root string, a arch, info *buildinfo.BuildInfo) ([]linked, error) {
	args := []string{"list", "-deps", "-json=ImportPath,Dir,Standard,Module"}
	for _, s := range info.Settings {
		if s.Key == "-tags" {
			args = append(args, "-tags="+s.Value)
		}
	}
	out, err := goCommand(ctx, root, []string{"GOOS=linux", "GOARCH=" + a.goarch, "CGO_ENABLED=0"}, append(args, info.Path)...)
	if err != nil {
		return nil, err
	}
	var all []linked
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p linked
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
}

func goCommand(ctx context.Context, root string, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), env...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", args[0], err, &said)
	}
	return out, nil
}
