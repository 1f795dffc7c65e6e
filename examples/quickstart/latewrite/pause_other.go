//go:build !unix

package latewrite

import (
	"errors"
	"os"
)

func pause(*os.Process) error {
	return errors.New("this system cannot suspend a process: run the example on Linux or macOS, or in WSL")
}

func resume(*os.Process) error { return nil }
