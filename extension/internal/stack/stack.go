// Package stack sizes goroutine stacks. One begins with 2 KiB and is doubled when it is full, and at each doubling Go copies it
// and looks up every function on it.
package stack

// Grow gives the calling goroutine at once the stack that a function with a T among its variables needs. It touches nothing
// of it.
func Grow[T any]() { hold[T](false) }

// hold is given its stack when it is called, and needs it only with use.
//
//go:noinline
func hold[T any](use bool) {
	if use {
		var v T
		take(&v)
	}
}

//go:noinline
func take[T any](*T) {}
