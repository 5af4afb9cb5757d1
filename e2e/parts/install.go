package parts

import (
	"archive/zip"
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
	"syscall"
	"time"
)

func goInstall(ctx context.Context, specs []string, dir string) error {
	return run(ctx, dir, []string{"GOBIN=" + dir, "GOFLAGS="}, append([]string{"go", "install"}, specs...)...)
}

// pipInstall makes dir a virtual environment. Without compiling to bytecode it takes half as long, and Python does it for
// the few modules that are used.
func pipInstall(ctx context.Context, specs []string, dir string) error {
	if err := run(ctx, dir, nil, "python3", "-m", "venv", dir); err != nil {
		return err
	}
	pip := []string{filepath.Join(dir, "bin", "python"), "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"}
	return run(ctx, dir, nil, append(pip, specs...)...)
}

// unpackRIE takes the emulator for this machine's architecture out of the SAM CLI's wheel, which need not be installed for that.
func unpackRIE(ctx context.Context, specs []string, dir string) error {
	pip := []string{"python3", "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check", "--dest", dir}
	if err := run(ctx, dir, nil, append(pip, specs...)...); err != nil {
		return err
	}
	wheels, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil || len(wheels) != 1 {
		return fmt.Errorf("pip left %d wheels in %s", len(wheels), dir)
	}
	wheel, err := zip.OpenReader(wheels[0])
	if err != nil {
		return err
	}
	defer wheel.Close()
	arch := map[string]string{"amd64": "x86_64", "arm64": "arm64"}[runtime.GOARCH]
	in, err := wheel.Open("samcli/local/rapid/aws-lambda-rie-" + arch)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(filepath.Join(dir, "aws-lambda-rie"), os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close(), os.Remove(wheels[0]))
}

const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>local</groupId><artifactId>parts</artifactId><version>1</version><packaging>pom</packaging><dependencies>%s</dependencies></project>
`

// mavenCopy puts the artifacts and all that they need into lib of dir.
func mavenCopy(ctx context.Context, specs []string, dir string) error {
	var dependencies strings.Builder
	for _, spec := range specs {
		part := strings.Split(spec, ":")
		if len(part) != 3 {
			return fmt.Errorf("pins.txt: %q is not group:artifact:version", spec)
		}
		fmt.Fprintf(&dependencies, "<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>", part[0], part[1], part[2])
	}
	file := filepath.Join(dir, "pom.xml")
	if err := os.WriteFile(file, fmt.Appendf(nil, pom, &dependencies), 0o644); err != nil {
		return err
	}
	return run(ctx, dir, nil, "mvn", "-q", "-B", "-f", file, "dependency:copy-dependencies", "-DoutputDirectory="+filepath.Join(dir, "lib"))
}

// npmInstall puts the packages and all that they need into node_modules of dir.
func npmInstall(ctx context.Context, specs []string, dir string) error {
	npm := []string{"npm", "install", "--prefix", dir, "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"}
	return run(ctx, dir, nil, append(npm, specs...)...)
}

// run runs a command in dir; its error holds the end of what the command said.
func run(ctx context.Context, dir string, env []string, command ...string) error {
	if _, err := exec.LookPath(command[0]); err != nil {
		return fmt.Errorf("%s is not installed", command[0])
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
		return fmt.Errorf("%s: %w\n%s", strings.Join(command[:min(4, len(command))], " "), err, bytes.Join(lines[max(0, len(lines)-10):], []byte("\n")))
	}
	return nil
}

// lock takes the lock that file stands for, across processes; waiting is called once when another one has it.
func lock(ctx context.Context, file string, waiting func()) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil // closing gives the lock back
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", file, err)
		}
		if try == 0 {
			waiting()
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}
