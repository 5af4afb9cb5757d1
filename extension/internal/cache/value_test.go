package cache

import "testing"

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

// Callers that come first together may each build, but see one result: here the second comes while the first builds.
func TestMemoIsOneForAll(t *testing.T) {
	v := new(Value)
	var second any
	first := v.Memo(func(v *Value) any {
		second = v.Memo(func(*Value) any { return "second" })
		return "first"
	})
	if first != second {
		t.Errorf("Memo gave %v to the first caller and %v to the second, want one result", first, second)
	}
}
