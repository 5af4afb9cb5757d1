package server

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// hasIPv6 skips a test where ::1 cannot be had.
func hasIPv6(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 on the loopback interface: %v", err)
	}
	l.Close()
}

func TestListenOnBothAddresses(t *testing.T) {
	hasIPv6(t)
	f := newFixture(map[string]reply{"a": {body: "v"}}, setup{})
	port := f.serve(t)
	if port == 0 {
		t.Fatal("Port() = 0, want the port that was taken")
	}
	for _, host := range []string{"127.0.0.1", "::1"} {
		conn, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(t, conn)
		c.send(lead("GET", "/secrets?name=a", "Host: "+net.JoinHostPort(host, strconv.Itoa(port))))
		c.want(200, "v")
	}
}

// TestListenOnAPort takes a port that is known to be free, and gives it back.
func TestListenOnAPort(t *testing.T) {
	l, err := Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	port := l.Port()
	for range 3 {
		if err := l.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		if l, err = Listen(port); err != nil {
			t.Fatalf("Listen(%d) after Close: %v", port, err)
		}
		if got := l.Port(); got != port {
			t.Errorf("Port() = %d, want %d", got, port)
		}
	}
	// What is queued by the kernel before Serve is answered after it: the port is bound once Listen returns.
	c := dial(t, port)
	c.send(get("/healthz"))
	newFixture(nil, setup{}).serveOn(t, l)
	c.want(200, "ok")
}

// TestPortTaken: whoever has the port on either address would answer for localhost.
func TestPortTaken(t *testing.T) {
	for _, row := range []struct{ name, network, input string }{
		{"127.0.0.1", "tcp4", "127.0.0.1:0"},
		{"::1", "tcp6", "[::1]:0"},
		{"all of IPv4", "tcp4", "0.0.0.0:0"},
		{"all of IPv6", "tcp6", "[::]:0"},
		{"all", "tcp", ":0"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.network != "tcp4" {
				hasIPv6(t)
			}
			other, err := net.Listen(row.network, row.input)
			if err != nil {
				t.Fatal(err)
			}
			port := other.Addr().(*net.TCPAddr).Port
			l, err := Listen(port)
			if err == nil {
				l.Close()
				t.Fatalf("Listen(%d) = nil error while another listens on %s", port, other.Addr())
			}
			if taken := new(PortTakenError); !errors.As(err, &taken) || taken.Port != port {
				t.Errorf("Listen(%d) = %#v, want a PortTakenError with the port", port, err)
			}
			before := fmt.Sprintf("port %d is taken by another process (", port)
			const after = "): stop it, or set server.port or CACHE_EXTENSION_PORT"
			if got := err.Error(); !errors.Is(err, syscall.EADDRINUSE) || !strings.HasPrefix(got, before) || !strings.HasSuffix(got, after) {
				t.Errorf("Listen(%d) = %q, want %q, the cause and %q", port, got, before, after)
			}
			other.Close()
			if l, err = Listen(port); err != nil { // what was taken of it must have been given back
				t.Fatalf("Listen(%d) once it is free: %v", port, err)
			}
			l.Close()
		})
	}
}

func TestPortOutOfRange(t *testing.T) {
	l, err := Listen(70000)
	if err == nil {
		l.Close()
		t.Fatal("Listen(70000) = nil error")
	}
	if !strings.HasPrefix(err.Error(), "port 70000: ") {
		t.Errorf("Listen(70000): %q, want it to name the port", err)
	}
}

// TestServeAfterShutdown gives the port back.
func TestServeAfterShutdown(t *testing.T) {
	f := newFixture(nil, setup{})
	l, err := Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown before Serve: %v", err)
	}
	if err := f.Serve(l); err != nil {
		t.Errorf("Serve after Shutdown: %v", err)
	}
	again, err := Listen(l.Port())
	if err != nil {
		t.Fatalf("Listen after that: %v", err)
	}
	again.Close()
}
