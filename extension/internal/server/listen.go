package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// Listener holds one port of the loopback interface, on IPv4 and where there is one on IPv6.
type Listener struct {
	each []net.Listener
}

// Listen takes port on 127.0.0.1 and ::1, or a port that is free on both for 0. A port that another process has on either
// is an error: that process would answer for localhost.
func Listen(port int) (*Listener, error) {
	const tries = 20 // of free ports of one address that turn out to be taken on the other
	for try := 1; ; try++ {
		l, err := listen(port)
		if err == nil || port != 0 || try == tries || !errors.Is(err, syscall.EADDRINUSE) {
			return l, err
		}
	}
}

func listen(port int) (*Listener, error) {
	var config net.ListenConfig
	config.SetMultipathTCP(false) // Go's default, which has nothing to give on one machine and makes two sockets of each
	ctx := context.Background()
	four, err := config.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, explain(port, err)
	}
	l := &Listener{each: []net.Listener{four}}
	six, err := config.Listen(ctx, "tcp6", net.JoinHostPort("::1", strconv.Itoa(l.Port())))
	switch {
	case err == nil:
		l.each = append(l.each, six)
	case errors.Is(err, syscall.EAFNOSUPPORT), errors.Is(err, syscall.EADDRNOTAVAIL):
		// There is no IPv6 here, so localhost is 127.0.0.1.
	default:
		return nil, errors.Join(explain(l.Port(), err), l.Close())
	}
	return l, nil
}

// PortTakenError is a port that another process listens on.
type PortTakenError struct {
	Port int
	Err  error // the operating system's
}

func (e *PortTakenError) Error() string {
	return fmt.Sprintf("port %d is taken by another process (%v): stop it, or set server.port or CACHE_EXTENSION_PORT", e.Port, e.Err)
}
func (e *PortTakenError) Unwrap() error { return e.Err }

func explain(port int, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return &PortTakenError{port, err}
	}
	return fmt.Errorf("port %d: %w", port, err)
}

// Port is the port that was taken.
func (l *Listener) Port() int { return l.each[0].Addr().(*net.TCPAddr).Port }

// Close gives the port back; Shutdown of the Server that serves it does so, too.
func (l *Listener) Close() error {
	var errs []error
	for _, one := range l.each {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}
