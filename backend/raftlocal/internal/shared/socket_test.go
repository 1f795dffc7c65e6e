package shared

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
)

// Whoever dials a socket is told what is wrong with it, and whether somebody has to change something first.
func TestDialSocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, socket)
	wrong := func(path, word string, lasts bool) {
		t.Helper()
		conn, err := DialSocket(t.Context(), path)
		if err == nil {
			_ = conn.Close()
		}
		var mismatch *network.Mismatch
		if err == nil || !strings.Contains(err.Error(), word) || !strings.Contains(err.Error(), path) || errors.As(err, &mismatch) != lasts {
			t.Errorf("%s: %v, want %q; it lasts: %v", path, err, word, lasts)
		}
	}
	wrong(path, "there is no socket", false)
	wrong(filepath.Join(dir, "not", "there"), "there is no socket", false)
	wrong(dir, "name the socket in it, "+path, true)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wrong(path, "is no socket", true)
	for range 2 { // the second time, it is another socket
		l, err := network.ListenUnix(path, network.NoGroup)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := DialSocket(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		// It is left, as by a process that is killed.
		if err := errors.Join(os.Rename(path, path+".kept"), l.Close(), os.Rename(path+".kept", path)); err != nil {
			t.Fatal(err)
		}
		wrong(path, "nobody listens", false)
	}
}
