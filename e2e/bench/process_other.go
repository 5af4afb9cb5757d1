//go:build !linux

package main

import (
	"context"
	"errors"
	"os/exec"
	"time"
)

var errNotLinux = errors.New("it is measured on Linux only, where Lambda runs")

type quota struct{}

func newQuota(float64) (*quota, error)                          { return nil, errNotLinux }
func (*quota) settle(context.Context) error                     { return errNotLinux }
func (*quota) remove()                                          {}
func (*process) cpuTime() (time.Duration, error)                { return 0, errNotLinux }
func (*process) resident() (int64, error)                       { return 0, errNotLinux }
func (*process) pin(int) error                                  { return errNotLinux }
func lastCPU() (int, error)                                     { return 0, errNotLinux }
func inPlace(at place, cmd *exec.Cmd, start func() error) error { return errNotLinux }
