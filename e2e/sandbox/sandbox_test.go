package sandbox_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"cache-extension/e2e/sandbox"
)

func TestMain(m *testing.M) {
	if err := sandbox.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestSandboxIsItsOwnWorld(t *testing.T) {
	if sandbox.Inside() {
		for _, file := range []string{"/opt/extensions/x", "/var/task/x"} {
			if err := os.WriteFile(file, nil, 0o644); err != nil {
				t.Error(err)
			}
		}
		listener, err := net.Listen("tcp", "127.0.0.1:4000")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		conn, err := net.DialTimeout("tcp", "127.0.0.1:4000", time.Second)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		interfaces, err := net.Interfaces()
		if err != nil || len(interfaces) != 1 {
			t.Errorf("interfaces: got %v, %v, want the loopback one alone", interfaces, err)
		}
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := sandbox.Check(ctx); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	cmd, err := sandbox.Command(ctx, "-test.run=^"+t.Name()+"$")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("in the sandbox: %v\n%s", err, out)
	}
	for _, file := range []string{"/opt/extensions/x", "/var/task/x"} {
		if _, err := os.Stat(file); err == nil {
			t.Errorf("%s is seen outside the sandbox", file)
		}
	}
}
