package server

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// TestOnlyLoopbackIsBound asks the kernel.
func TestOnlyLoopbackIsBound(t *testing.T) {
	l, err := Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var got []string
	for _, path := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		f, err := os.Open(path)
		if err != nil {
			t.Skip(err)
		}
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			const listening = "0A"
			if field := strings.Fields(lines.Text()); field[3] == listening && strings.HasSuffix(field[1], fmt.Sprintf(":%04X", l.Port())) {
				got = append(got, strings.SplitN(field[1], ":", 2)[0])
			}
		}
	}
	want := []string{"0100007F", "00000000000000000000000001000000"}[:len(l.each)] // each 32 bits in the order of the machine
	if !slices.Equal(got, want) {
		t.Errorf("the kernel listens on %q, want %q", got, want)
	}
}

// TestWithoutIPv6 runs itself in a network of its own that has none.
func TestWithoutIPv6(t *testing.T) {
	const inside = "CACHE_EXTENSION_TEST_WITHOUT_IPV6"
	if os.Getenv(inside) == "" {
		self := exec.Command("/proc/self/exe", "-test.run=^TestWithoutIPv6$", "-test.v")
		self.Env = append(os.Environ(), inside+"=1")
		self.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
		out, err := self.CombinedOutput()
		if _, ran := err.(*exec.ExitError); err != nil && !ran {
			t.Skipf("no user namespaces here: %v", err)
		}
		if strings.Contains(string(out), "--- SKIP") {
			t.Skipf("%s", out)
		}
		if err != nil {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}

	if err := os.WriteFile("/proc/sys/net/ipv6/conf/all/disable_ipv6", []byte("1"), 0); err != nil {
		t.Skip(err)
	}
	if err := loopbackUp(); err != nil {
		t.Skip(err)
	}
	l, err := Listen(0)
	if err != nil {
		t.Fatalf("Listen: %v", err)
	}
	if got := len(l.each); got != 1 {
		t.Errorf("%d addresses are listened on, want 1", got)
	}
	f := newFixture(nil, setup{})
	f.serveOn(t, l)
	c := dial(t, l.Port())
	c.send(get("/healthz"))
	c.want(200, "ok")
	if _, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		t.Error("there is an IPv6 after all")
	}
}

// loopbackUp brings up the interface that a new network has down.
func loopbackUp() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	request := struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte // of what is 40 bytes in all
	}{name: [syscall.IFNAMSIZ]byte{'l', 'o'}, flags: syscall.IFF_UP | syscall.IFF_RUNNING}
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return errno
	}
	return nil
}
