package raftlocal_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestServerIsStoppedWhileItsDirectoryIsRemoved: the process that serves cannot look, nor tell
// anybody. What protects then is the token; and when the process goes on it ends its server before
// it does anything else.
func TestServerIsStoppedWhileItsDirectoryIsRemoved(t *testing.T) {
	t.Parallel()
	const ttl = 5 * time.Second
	path, ns := filepath.Join(t.TempDir(), "locks"), locktest.Namespace()
	serves := spawn(t, "raft://"+path)
	t.Cleanup(func() { _ = serves.kill() })
	serves.awaitOpen(t)
	holder := share(t, path, ns, ttl)
	held := locktest.Lock(t, holder, "k")

	if err := servers.Suspend(serves.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	other := share(t, path, ns, ttl)
	next := locktest.Lock(t, other, "k")
	if next.Token() <= held.Token() {
		t.Errorf("token %v after %v", next.Token(), held.Token())
	}
	if err := serves.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	locktest.ExpectLost(t, held, 2*ttl)
	for began := time.Now(); time.Since(began) < ttl/2; time.Sleep(50 * time.Millisecond) {
		if err := next.Err(); err != nil {
			t.Fatalf("the new holder has lost its lock: %v", err)
		}
		locktest.ExpectHeldByAnother(t, holder, "k")
	}
	locktest.Unlock(t, next)
	again := locktest.Lock(t, holder, "k")
	if again.Token() <= next.Token() {
		t.Errorf("token %v after %v", again.Token(), next.Token())
	}
	locktest.Unlock(t, again)
}
