// Package redistest decides how tests run a real server: valkey-server or redis-server, whichever is installed, on a free
// port of the loopback interface.
package redistest

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Options set up a Server.
type Options struct {
	Users []string // lines of the ACL file, such as "app on >password ~prod/* +get"; none leaves the server open to all
	TLS   bool     // and nothing but TLS
	Args  []string // further arguments of the program
}

// Server is a running server. It ends with the test.
type Server struct {
	Addr string // host:port
	CA   string // file of the certificate to trust; "" without TLS

	t       testing.TB
	program string
	args    []string
	cmd     *exec.Cmd
	ended   chan struct{} // closed when cmd has
}

// patience is how long a server may take to start or to end.
const patience = 10 * time.Second

// Start runs a server. Where none is installed the test is skipped, or fails with CI=true.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{t: t, program: find(t)}
	dir := t.TempDir()
	s.args = []string{"--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir, "--daemonize", "no", "--loglevel", "notice", "--logfile", ""}
	if len(o.Users) > 0 {
		s.args = append(s.args, "--aclfile", s.write(dir, "users.acl", []byte("user "+strings.Join(o.Users, "\nuser ")+"\n")))
	}
	port := "--port"
	if o.TLS {
		cert, key := s.certificate(dir)
		s.CA, port = cert, "--tls-port"
		s.args = append(s.args, "--port", "0", "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert, "--tls-auth-clients", "no")
	}
	s.args = append(s.args, o.Args...)
	// The port that is free now may be taken a moment later, so that the server ends at once.
	for range 3 {
		s.Addr = freeAddr(t)
		if s.run(append(s.args, port, s.port())) {
			s.args = append(s.args, port, s.port())
			t.Cleanup(s.Kill)
			return s
		}
	}
	t.Fatalf("%s did not start", s.program)
	return nil
}

func find(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"valkey-server", "redis-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const why = "neither valkey-server nor redis-server is on PATH: install one (apt-get install redis-server)"
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
	return ""
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (s *Server) port() string {
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		s.t.Fatal(err)
	}
	return port
}

// run starts the program and waits until it takes connections. It returns false when the program ended instead.
func (s *Server) run(args []string) bool {
	s.t.Helper()
	cmd := exec.Command(s.program, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ready, ended := make(chan struct{}), make(chan struct{})
	var said bytes.Buffer
	go func() { // ends with the program, which holds the other end
		defer close(ended)
		found := false
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if !found {
				fmt.Fprintln(&said, lines.Text())
			}
			if !found && strings.Contains(lines.Text(), "Ready to accept connections") {
				found = true
				close(ready)
			}
		}
		cmd.Wait()
	}()
	select {
	case <-ready:
		s.cmd, s.ended = cmd, ended
		return true
	case <-ended:
		s.t.Logf("%s ended:\n%s", s.program, &said)
		return false
	case <-time.After(patience):
		cmd.Process.Kill()
		<-ended
		s.t.Fatalf("%s is not ready after %v:\n%s", s.program, patience, &said)
		return false
	}
}

// URL is how clients write the server's place; user and password may be empty.
func (s *Server) URL(user, password string) string {
	scheme, who := "redis", ""
	if s.CA != "" {
		scheme = "rediss"
	}
	if password != "" {
		who = user + ":" + password + "@"
	}
	return scheme + "://" + who + s.Addr
}

// Kill ends the server as a crash does; what it held is lost.
func (s *Server) Kill() {
	s.cmd.Process.Kill()
	<-s.ended
}

// Restart ends the server and starts it anew, empty, at the same place.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	if !s.run(s.args) {
		s.t.Fatalf("%s did not start again", s.program)
	}
}

// Stop keeps the server from running: the kernel takes connections and bytes for it, and nothing answers.
func (s *Server) Stop() { s.cmd.Process.Signal(syscall.SIGSTOP) }

// Continue ends a Stop.
func (s *Server) Continue() { s.cmd.Process.Signal(syscall.SIGCONT) }

// CLI has redis-cli or valkey-cli send one command and returns what it prints, without the last line end.
func (s *Server) CLI(args ...string) string {
	s.t.Helper()
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		s.t.Fatal(err)
	}
	all := []string{"-h", host, "-p", port}
	if s.CA != "" {
		all = append(all, "--tls", "--cacert", s.CA)
	}
	program := strings.Replace(s.program, "-server", "-cli", 1)
	out, err := exec.CommandContext(s.t.Context(), program, append(all, args...)...).Output()
	if err != nil {
		s.t.Fatalf("%s %v: %v", program, args, err)
	}
	return strings.TrimSuffix(string(out), "\n")
}

func (s *Server) write(dir, name string, content []byte) string {
	s.t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return file
}

// certificate makes a certificate for the loopback address that signs itself, and its key.
func (s *Server) certificate(dir string) (cert, key string) {
	s.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "redistest"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:              []string{"localhost"},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		s.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.write(dir, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		s.write(dir, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}
