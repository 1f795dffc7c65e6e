package servers

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	_ "embed"
)

// SkewedClock lets [Server.SetClock] set the wall clock of the server, of nobody else, forward and
// back. It takes a C compiler, and a server that is written in C.
func SkewedClock() Option {
	return func(o *options) { o.skew = true }
}

//go:embed skew/skew.c
var skewSource []byte

// skewFile is how far the clock is off, in milliseconds, in the byte order of the machine. The server
// and we have it in memory.
const (
	skewFile    = "skew"
	skewLibrary = "skew.so"
)

// skewBuilt is the library, which is compiled once.
var skewBuilt = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "fencelock-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	source, library := filepath.Join(dir, "skew.c"), filepath.Join(dir, skewLibrary)
	if err := os.WriteFile(source, skewSource, 0o600); err != nil {
		return nil, err
	}
	// Without a library of its own, it takes the functions of whatever C library the server has.
	if out, err := exec.Command("cc", "-O1", "-shared", "-fPIC", "-nostdlib", "-o", library, source).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("a server's clock can be set with a C compiler only (Debian: apt-get install gcc libc6-dev): %w\n%s", err, out)
	}
	return os.ReadFile(library)
})

// prepareSkew puts what the server needs into a directory, which it sees as inside, and says what it
// has to have in its environment.
func prepareSkew(dir, inside string) (env map[string]string, err error) {
	library, err := skewBuilt()
	if err != nil {
		return nil, err
	}
	// Open to all: a server in a container is another user.
	if err = os.WriteFile(filepath.Join(dir, skewFile), make([]byte, 8), 0o644); err != nil {
		return nil, err
	}
	if err = os.WriteFile(filepath.Join(dir, skewLibrary), library, 0o755); err != nil {
		return nil, err
	}
	return map[string]string{
		"LD_PRELOAD": filepath.Join(inside, skewLibrary), "SKEW_FILE": filepath.Join(inside, skewFile),
	}, nil
}

// SetClock sets the server's wall clock ahead of the true time, or back if d is negative, at once
// and until it is set again. The server has been started with [SkewedClock].
func (s *Server) SetClock(t T, d time.Duration) {
	t.Helper()
	if s.skew == "" {
		t.Fatalf("servers: %s wants to set the clock of %v: start it with SkewedClock", t.Name(), s)
	}
	// In place: the server has the file in memory.
	f, err := os.OpenFile(s.skew, os.O_WRONLY, 0)
	if err == nil {
		var off [8]byte
		binary.NativeEndian.PutUint64(off[:], uint64(d.Milliseconds()))
		_, err = f.WriteAt(off[:], 0)
		if closed := f.Close(); err == nil {
			err = closed
		}
	}
	if err != nil {
		t.Errorf("servers: %s: cannot set the clock of %v: %v", t.Name(), s, err)
	}
}
