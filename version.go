// Package version carries the file VERSION into the programs of this module.
package version

import (
	_ "embed"
	"strings"
)

//go:embed VERSION
var file string

// Number is the version of this tree as the file VERSION gives it, such as "0.1.0".
func Number() string { return strings.TrimSpace(file) }
