//go:build unix

package shared

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/dirlock"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
	"github.com/fencelock/fencelock/driver"
)

// givenAway is a directory that another user owns, which only root can make.
func givenAway(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a directory to another user")
	}
	path := filepath.Join(t.TempDir(), "locks")
	if err := errors.Join(os.Mkdir(path, 0o700), os.Chown(path, 61501, -1)); err != nil {
		t.Fatal(err)
	}
	return path
}

// Root is a guest in another user's directory: it does not serve, says who should, and leaves
// nothing. When the directory is gone it does not make it, or it would be the owner. When it has become root's,
// root serves.
func TestRootIsAGuest(t *testing.T) {
	for _, group := range []int{network.NoGroup, 61500} {
		path := givenAway(t)
		if group != network.NoGroup {
			if err := os.Chown(path, -1, group); err != nil {
				t.Fatal(err)
			}
		}
		p, err := Directory(path, group)
		if err != nil || !p.Guest() {
			t.Fatalf("guest: %v, %v", p, err)
		}
		serve := func(word string) {
			t.Helper()
			err := served(t, p, func() { t.Error("a guest serves") })
			var guest *GuestError
			if !errors.As(err, &guest) || guest.Owner != 61501 || !errors.Is(err, driver.ErrUnavailable) || !strings.Contains(err.Error(), word) {
				t.Errorf("got %v, want a GuestError with %q", err, word)
			}
		}
		serve("no process of the user 61501")
		if _, err := p.Dial(t.Context()); !errors.Is(err, driver.ErrUnavailable) || !strings.Contains(err.Error(), "no process of the user 61501") {
			t.Errorf("who asks is told %v", err)
		}
		if names, err := os.ReadDir(path); len(names) > 0 || err != nil {
			t.Errorf("a guest has left %v, %v", names, err)
		}
		if mode, _ := rights(t, path); mode != 0o700 {
			t.Errorf("a guest has changed the mode to %v", mode)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		serve("is gone")
		if _, err := os.Stat(path); err == nil {
			t.Error("a guest has made the directory")
		}
		if err := errors.Join(os.Mkdir(path, 0o700), os.Chown(path, 61501, -1)); err != nil {
			t.Fatal(err)
		}
		serve("no process of the user 61501")
		if err := os.Chown(path, 0, -1); err != nil {
			t.Fatal(err)
		}
		did := false
		if err := served(t, p, func() { did = true }); err != nil || !did || p.Guest() {
			t.Errorf("its own directory: %v, %v, guest %v", did, err, p.Guest())
		}
	}
}

// A guest does not take a stranger who has made the directory first for the one who serves it.
func TestGuestWantsItsGroup(t *testing.T) {
	path := givenAway(t)
	p, err := Directory(path, 61500)
	if err != nil {
		t.Fatal(err)
	}
	l, err := network.ListenUnix(filepath.Join(path, socket), network.NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := p.Dial(t.Context())
	if err == nil {
		_ = conn.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "and not of 61500") || !strings.Contains(err.Error(), "group=61500") {
		t.Errorf("the directory is of another group: %v", err)
	}
	if err := os.Chown(path, -1, 61500); err != nil {
		t.Fatal(err)
	}
	if conn, err = p.Dial(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

// A guest does not go where others than the owner may have put the socket.
func TestGuestTrustsTheOwnerOnly(t *testing.T) {
	path := givenAway(t)
	if err := os.Chmod(path, 0o770); err != nil {
		t.Fatal(err)
	}
	if _, err := Directory(path, 61500); err == nil || !strings.Contains(err.Error(), "chmod 2750") {
		t.Errorf("got %v", err)
	}
}

// Whoever has only the lock, and serves nobody, is what is said to be wrong: that may be any
// process that may read the directory.
func TestLockedByAStranger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "locks")
	p, err := Directory(path, network.NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	var taken *dirlock.TakenError
	if err := served(t, p, func() {}); !errors.As(err, &taken) {
		t.Errorf("got %v, want that it is taken", err)
	}
	if _, err := p.Dial(t.Context()); err == nil || !strings.Contains(err.Error(), "lslocks") {
		t.Errorf("who asks is told %v", err)
	}
	_ = dir.Close()
	if err := served(t, p, func() {}); err != nil {
		t.Error(err)
	}
	if _, err := p.Dial(t.Context()); err == nil || strings.Contains(err.Error(), "lslocks") {
		t.Errorf("the stranger is gone: %v", err)
	}
}
