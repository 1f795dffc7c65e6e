// Command quickstart shows what a lock does, and what it cannot do without a fencing
// token: a worker that was suspended past its lease writes too late, and is refused.
//
//	go -C examples/quickstart run .
//
// The locks are in a directory that the processes share, and no server is needed: the
// first process serves the others. What happens is in package latewrite; read worker.go
// there first, which is what an application does.
//
// This is a module of its own with one backend, the built-in Raft, so that it downloads
// and compiles little. The same program with every backend is examples/anyserver.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	_ "github.com/fencelock/fencelock/backend/raftlocal" // raft://
	"github.com/fencelock/fencelock/examples/quickstart/latewrite"
)

func main() {
	url := os.Getenv("FENCELOCK_URL")
	if err := check(url); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
	latewrite.Main(url)
}

// check sends who wants another server to the example that has its backend.
func check(url string) error {
	if url == "" || strings.HasPrefix(url, "raft://") {
		return nil
	}
	return errors.New("FENCELOCK_URL is not a raft:// URL, and this program has the built-in Raft only; " +
		"the same with every backend, from the root of the repository: go run ./examples/anyserver")
}
