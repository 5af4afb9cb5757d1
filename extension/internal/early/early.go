// Package early does what pays only before any other package has done anything: it leaves the program one processor where a
// Lambda function is its only client, and gives main the stack that a start needs. docs/adr/0006-before-main.md says what
// that brings.
//
// A package is initialized as soon as the packages that it imports are, so this one imports next to nothing.
package early

import (
	"runtime"
	"syscall"

	"cache-extension/extension/internal/stack"
)

// ManagedInstances is the AWS_LAMBDA_INITIALIZATION_TYPE of environments that many invocations share at a time.
const ManagedInstances = "lambda-managed-instances"

func init() {
	stack.Grow[[28 << 10]byte]() // what a start needs, less what calls this
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
