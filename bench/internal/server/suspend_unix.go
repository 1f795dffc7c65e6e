//go:build unix

package server

import (
	"os"
	"syscall"
)

var suspend, resumes os.Signal = syscall.SIGSTOP, syscall.SIGCONT
