package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Options is what a configuration is made from. The zero value finds the file in its usual places and sees no environment.
type Options struct {
	Path  string   // the file; empty looks for it as docs/config.md says
	Env   []string // in the form of os.Environ
	Check bool     // the file is only checked: a Region or token that the environment lacks is a warning
}

// Load finds and reads the file and returns what Parse makes of it. Its error is of type Faults; those of the
// environment are in it even where the file cannot be read.
func Load(o Options) (*Config, error) {
	file, data, err := find(o.Path, environ(o.Env))
	p := newParser(file, o)
	if err != nil {
		p.faults = append(p.faults, Fault{File: file, Text: err.Error()})
		p.environment()
		return p.result()
	}
	p.read(data)
	return p.result()
}

// find returns the path and content of the file: the one asked for, else the first one there is.
func find(path string, env environment) (file string, data []byte, err error) {
	if path == "" {
		path = env[envConfig]
	}
	if path != "" {
		if data, err = readFile(path); errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("no such file (create it, or name another one in %s)", envConfig)
		}
		return path, data, err
	}
	places := usualPlaces(env)
	for _, place := range places {
		if data, err = readFile(place); !errors.Is(err, fs.ErrNotExist) {
			return place, data, err
		}
	}
	return "", nil, fmt.Errorf("no config.yaml at %s (put it there, or name it in %s)", strings.Join(places, " or "), envConfig)
}

// usualPlaces returns where the file is looked for. Lambda gives LAMBDA_TASK_ROOT to functions and not to extensions, so
// its value there is written out. The working directory of an extension means nothing.
func usualPlaces(env environment) []string {
	var places []string
	if root := env[envTaskRoot]; root != "" && root != "/var/task" {
		places = append(places, filepath.Join(root, "config.yaml"))
	}
	places = append(places, "/var/task/config.yaml")
	if env[envLambdaAPI] == "" {
		places = append(places, "config.yaml")
	}
	return places
}

// readFile returns the content of a file, of one that is too large a byte more than is read of any.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, plain(err)
	}
	defer f.Close()
	var data bytes.Buffer
	if info, err := f.Stat(); err == nil {
		if info.IsDir() {
			return nil, errors.New("a directory, not a file (name the file in it)")
		}
		data.Grow(int(min(info.Size(), maxBytes)) + bytes.MinRead)
	}
	if _, err := data.ReadFrom(io.LimitReader(f, maxBytes+1)); err != nil {
		return nil, plain(err)
	}
	return data.Bytes(), nil
}

// plain takes the operation and the path from an error, for the message begins with the path.
func plain(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
