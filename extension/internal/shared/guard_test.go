package shared

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"
)

func TestGuardLetsRepliesThrough(t *testing.T) {
	good := []string{
		"+OK\r\n", "-ERR no\r\n", ":-12\r\n", "_\r\n", "$-1\r\n", "$0\r\n\r\n", "$5\r\na\r\nbc\r\n", "=7\r\ntxt:abc\r\n", "!3\r\nERR\r\n",
		",3.14\r\n", "#t\r\n", "(123456789012345678901234567890\r\n", "*-1\r\n", "*0\r\n", "*2\r\n$1\r\na\r\n*1\r\n:1\r\n", "~1\r\n+a\r\n", "%0\r\n",
		hello, "%1\r\n+modules\r\n*1\r\n%2\r\n+name\r\n+x\r\n+args\r\n*0\r\n",
	}
	stream := strings.Join(good, "") + strings.Join(good, "")
	for _, size := range []int{1, 2, 3, 7, len(stream)} {
		var r replies
		for rest := stream; rest != ""; {
			n := min(size, len(rest))
			if !r.follow([]byte(rest[:n])) {
				t.Fatalf("in pieces of %d bytes, it stops before %q", size, rest)
			}
			rest = rest[n:]
		}
		if r.kind != 0 || r.body != 0 || len(r.items) != 0 {
			t.Errorf("in pieces of %d bytes, at the end it is at %+v, want between replies", size, r)
		}
	}
}

// What the guard lets through makes a reader ask for no more memory than its bounds, however it comes in pieces.
func FuzzGuard(f *testing.F) {
	for _, s := range []string{hello, "$3\r\nabc\r\n", "*2\r\n*1\r\n$-1\r\n+OK\r\n", "$999999999999\r\n", "*1\r\n*1\r\n*1\r\n", "-ERR x\r\n", "|1\r\n+a\r\n+b\r\n"} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		var whole, parts replies
		ok := whole.follow(b)
		okParts := true
		size = max(1, size%64)
		for rest := b; okParts && len(rest) > 0; {
			n := min(size, len(rest))
			okParts = parts.follow(rest[:n])
			rest = rest[n:]
		}
		if ok != okParts {
			t.Fatalf("%q: %v at once, %v in pieces of %d", b, ok, okParts, size)
		}
		if !ok {
			return
		}
		in := bufio.NewReader(bytes.NewReader(b))
		for in.Buffered() > 0 || peeks(in) {
			if !simple(t, in, 0) {
				return
			}
		}
	})
}

func peeks(in *bufio.Reader) bool { _, err := in.Peek(1); return err == nil }

// simple reads one reply in the plainest way there is, and returns false at the end of the stream.
func simple(t *testing.T, in *bufio.Reader, depth int) bool {
	if depth > maxDepth {
		t.Fatalf("replies are nested %d deep", depth)
	}
	line, err := in.ReadString('\n')
	if err != nil {
		return false
	}
	kind, line := line[0], strings.TrimSuffix(line[1:], "\r\n")
	if len(line) > maxLine {
		t.Fatalf("a line of %d bytes", len(line))
	}
	n := 0
	for _, c := range line {
		if c >= '0' && c <= '9' && n <= maxBulk {
			n = 10*n + int(c-'0')
		}
	}
	if line == "-1" {
		n = 0
	}
	switch kind {
	case '$', '=', '!':
		if n > maxBulk {
			t.Fatalf("a body of %d bytes", n)
		}
		if line == "-1" {
			return true
		}
		b := make([]byte, n+2)
		if _, err := io.ReadFull(in, b); err != nil {
			return false
		}
		if !bytes.HasSuffix(b, []byte("\r\n")) {
			t.Fatalf("a body ends in %q", b[n:])
		}
	case '%':
		n *= 2
		fallthrough
	case '*', '~':
		if n > 2*maxItems {
			t.Fatalf("an array of %d", n)
		}
		for range n {
			if !simple(t, in, depth+1) {
				return false
			}
		}
	}
	return true
}
