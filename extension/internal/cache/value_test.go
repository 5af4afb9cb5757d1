package cache

import (
	"sync"
	"testing"
)

func TestMemoIsBuiltOnce(t *testing.T) {
	v := &Value{Body: []byte("v1")}
	built := 0
	build := func(v *Value) any {
		built++
		return string(v.Body) + "!"
	}
	for range 3 {
		if got := v.Memo(build); got != "v1!" {
			t.Errorf("Memo = %v, want v1!", got)
		}
	}
	if built != 1 {
		t.Errorf("build was called %d times, want once", built)
	}
}

// Callers that come first together may each build, but see one result.
func TestMemoIsOneForAll(t *testing.T) {
	v := new(Value)
	got := make([]any, 16)
	var callers sync.WaitGroup
	for i := range got {
		callers.Go(func() { got[i] = v.Memo(func(*Value) any { return new(int) }) })
	}
	callers.Wait()
	for i := range got {
		if got[i] != got[0] {
			t.Errorf("caller %d got a memo of its own", i)
		}
	}
}
