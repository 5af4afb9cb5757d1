package shared

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/valkey-io/valkey-go"
)

// Why an exchange with the server did not take place, beside what the server or the network says.
var (
	errAway   = errors.New("it is left alone for a while")
	errClosed = errors.New("closed")
	errFrozen = errors.New("the sandbox was frozen meanwhile")
)

// slowError says that the server took longer than it was given.
type slowError time.Duration

func (e slowError) Error() string {
	return fmt.Sprintf("no answer within %v", time.Duration(e).Round(time.Millisecond))
}

// refusal is an error that the server answered with. Only its code is kept: the text behind may quote what was sent.
type refusal string

// Error says what to do, where the code says that much.
func (e refusal) Error() string {
	switch e {
	case "NOAUTH", "WRONGPASS":
		return fmt.Sprintf("%s: user or password in shared.url are not those of the server", string(e))
	case "NOPERM":
		return "NOPERM: the user in shared.url needs the commands get, set, del and eval, and select with a /db, on the keys that begin with shared.prefix"
	case "OOM":
		return "OOM: its memory is full and it may not evict: set maxmemory-policy to allkeys-lru, or give it more"
	case "READONLY":
		return "READONLY: it is a replica: shared.url must name the primary"
	case "MOVED", "ASK", "CLUSTERDOWN":
		return string(e) + ": it is one of several shards: shared.url must name a server that holds all keys"
	}
	return string(e)
}

// refusalOf takes the code out of an error text of the server. What has none is garbage or a fault of ours.
func refusalOf(text string) refusal {
	code, _, _ := strings.Cut(text, " ")
	if len(code) < 2 || len(code) > 16 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return "ERR"
	}
	return refusal(code)
}

// ofWriting says whether the server refuses to write, though it may still answer reads.
func (e refusal) ofWriting() bool {
	switch e {
	case "OOM", "READONLY", "MISCONF", "NOREPLICAS":
		return true
	}
	return false
}

// failureOf is what is wrong with a result, if anything: a key that does not exist or holds another type is an answer.
func failureOf(err error) error {
	if err == nil || valkey.IsValkeyNil(err) {
		return nil
	}
	refused, ok := valkey.IsValkeyErr(err)
	if !ok {
		return err
	}
	if code := refusalOf(refused.Error()); code != "WRONGTYPE" {
		return code
	}
	return nil
}

// hungUp says whether the other end had closed the connection, as servers do with idle ones and when they restart.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
