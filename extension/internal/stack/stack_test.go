package stack

import (
	"runtime/metrics"
	"testing"
)

// inUse is the memory of all stacks, in bytes.
func inUse() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

func TestGrow(t *testing.T) {
	const goroutines, size = 64, 48 << 10
	before := inUse()
	grown, done := make(chan bool), make(chan bool)
	for range goroutines {
		go func() {
			Grow[[size]byte]()
			grown <- true
			<-done
		}()
	}
	for range goroutines {
		<-grown
	}
	if got := inUse() - before; got < goroutines*size {
		t.Errorf("%d stacks take %d bytes, want at least %d", goroutines, got, goroutines*size)
	}
	close(done)
}
