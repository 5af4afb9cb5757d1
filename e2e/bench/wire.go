package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"sync"
	"time"
)

// secure puts TLS on the connections of listener and returns the certificate to trust, in PEM.
func secure(listener net.Listener) (net.Listener, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "bench"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	certificate := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	trusted := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate}}), trusted, nil
}

// far is a listener whose connections are as slow as if their other end were a round trip away: what comes in comes that
// much later, the first of it once more, for the handshake of TCP. What goes out goes at once.
type far struct {
	net.Listener
	trip time.Duration
}

// Accept returns the next connection.
func (f far) Accept() (net.Conn, error) {
	conn, err := f.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &farConn{Conn: conn, pieces: make(chan piece, 1024), closed: make(chan struct{})}
	go c.receive(f.trip)
	return c, nil
}

type farConn struct {
	net.Conn
	pieces chan piece
	closed chan struct{}
	close  sync.Once
	now    piece // being read
}

// piece is what came at one time.
type piece struct {
	bytes []byte
	due   time.Time
	err   error // that ended it all
}

// receive takes what comes, until the connection ends.
func (c *farConn) receive(trip time.Duration) {
	late := time.Now().Add(2 * trip)
	for {
		buffer := make([]byte, 32<<10)
		n, err := c.Conn.Read(buffer)
		due := time.Now().Add(trip)
		if due.Before(late) {
			due = late
		}
		select {
		case c.pieces <- piece{buffer[:n], due, err}:
		case <-c.closed:
			return
		}
		if err != nil {
			return
		}
	}
}

// SetReadDeadline does nothing. net/http sets one when it has answered, to end a read ahead, which the next request ends as
// well; on the connection below it would end receive.
func (c *farConn) SetReadDeadline(time.Time) error { return nil }

// Read returns what was sent a round trip ago.
func (c *farConn) Read(b []byte) (int, error) {
	for len(c.now.bytes) == 0 {
		if c.now.err != nil {
			return 0, c.now.err
		}
		select {
		case c.now = <-c.pieces:
		case <-c.closed:
			return 0, net.ErrClosed
		}
		time.Sleep(time.Until(c.now.due))
	}
	n := copy(b, c.now.bytes)
	c.now.bytes = c.now.bytes[n:]
	return n, nil
}

// Close ends the connection.
func (c *farConn) Close() error {
	c.close.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
