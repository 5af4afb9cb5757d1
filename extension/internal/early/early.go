// Package early does what pays only before any other package has done anything: it leaves the program one processor where a
// Lambda function is its only client, and gives main's stack its size. docs/adr/0006-before-main.md says what that brings.
//
// A package is initialized as soon as the packages that it imports are, so this one imports next to nothing.
package early

import (
	"runtime"
	"syscall"
)

// ManagedInstances is the AWS_LAMBDA_INITIALIZATION_TYPE of environments that many invocations share at a time.
const ManagedInstances = "lambda-managed-instances"

func init() {
	room(false)
	if one(syscall.Getenv) {
		runtime.GOMAXPROCS(1)
	}
}

// one reports whether the program needs no more than one processor: one invocation at a time reads from it and mostly waits
// for it, so that waking a second processor costs more than it does. Whoever sets GOMAXPROCS has decided.
func one(getenv func(string) (string, bool)) bool {
	api, _ := getenv("AWS_LAMBDA_RUNTIME_API")
	initialization, _ := getenv("AWS_LAMBDA_INITIALIZATION_TYPE")
	procs, _ := getenv("GOMAXPROCS")
	return api != "" && initialization != ManagedInstances && procs == ""
}

// AllProcessors gives the program what it would have had: there is more than one client after all.
func AllProcessors() {
	if one(syscall.Getenv) {
		runtime.SetDefaultGOMAXPROCS()
	}
}

// start is what a start needs of the stack, in bytes, less what calls it.
const start = 28 << 10

// room needs that much of the stack for what it never does, so the stack grows to it at once, without being touched. It
// would else be doubled and copied four times, for which Go looks up every function on it in tables that little else reads.
//
//go:noinline
func room(use bool) {
	if use {
		var b [start]byte
		fill(&b)
	}
}

//go:noinline
func fill(b *[start]byte) { clear(b[:]) }
