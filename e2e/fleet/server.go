package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// server is the one that the fleet shares.
type server struct {
	*process
	addr string
}

var takesConnections = regexp.MustCompile("Ready to accept connections")

func (s *sim) startServer(ctx context.Context) (*server, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, nil, s.redis, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", s.dir)
	if err != nil {
		return nil, err
	}
	if _, err := p.saw(ctx, takesConnections); err != nil {
		p.stop()
		return nil, err
	}
	return &server{p, addr}, nil
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// load is what a fleet has cost a server.
type load struct {
	commands, connections int           // since it started
	busy                  time.Duration // time of the processor
}

// load asks the server what it has done since it started.
func (s *server) load() (load, error) {
	conn, err := net.Dial("tcp4", s.addr)
	if err != nil {
		return load{}, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return load{}, err
	}
	if _, err := io.WriteString(conn, "INFO\r\n"); err != nil {
		return load{}, err
	}
	answers := bufio.NewReader(conn)
	length, err := answers.ReadString('\n')
	if err != nil {
		return load{}, err
	}
	n, err := strconv.Atoi(strings.Trim(length, "$\r\n"))
	if err != nil {
		return load{}, fmt.Errorf("INFO: %q", length)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(answers, text); err != nil {
		return load{}, err
	}
	return parseInfo(string(text))
}

// parseInfo reads the answer to INFO: lines of name:value.
func parseInfo(text string) (load, error) {
	values := make(map[string]float64)
	for line := range strings.SplitSeq(text, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			values[name] = v
		}
	}
	for _, name := range []string{"total_commands_processed", "total_connections_received", "used_cpu_user", "used_cpu_sys"} {
		if _, ok := values[name]; !ok {
			return load{}, fmt.Errorf("INFO has no %s", name)
		}
	}
	return load{
		commands:    int(values["total_commands_processed"]),
		connections: int(values["total_connections_received"]) - 1, // ours
		busy:        time.Duration((values["used_cpu_user"] + values["used_cpu_sys"]) * float64(time.Second)),
	}, nil
}
