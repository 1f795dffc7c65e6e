package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func opened(t testing.TB, path string) (FS, error) {
	t.Helper()
	root, err := Open(path)
	if err != nil {
		return nil, err
	}
	self, err := root.Open(".")
	must(t, err)
	t.Cleanup(func() { _, _ = root.Close(), self.Close() })
	return Dir(root, self), nil
}

// TestBothAreTheSame holds the directory of the system and the one in memory to the same.
func TestBothAreTheSame(t *testing.T) {
	for name, d := range map[string]func() (FS, error){
		"dir":    func() (FS, error) { return opened(t, filepath.Join(t.TempDir(), "a", "b")) },
		"memory": func() (FS, error) { return NewMemory(), nil },
	} {
		t.Run(name, func(t *testing.T) {
			d, err := d()
			must(t, err)
			f, err := d.Create("x", 10_000)
			must(t, err)
			if _, err := d.Create("x", 1); !errors.Is(err, fs.ErrExist) {
				t.Error(err)
			}
			if _, err := d.Open("y"); !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
			want := make([]byte, 10_000)
			for _, off := range []int{0, 511, 4000, 9_990} {
				copy(want[off:], "0123456789")
				_, err := f.WriteAt([]byte("0123456789"), int64(off))
				must(t, err)
			}
			must(t, f.Sync())
			must(t, f.Close())
			must(t, d.Rename("x", "y"))
			must(t, d.SyncDir())
			f, err = d.Open("y")
			must(t, err)
			if size, err := f.Size(); size != 10_000 || err != nil {
				t.Error(size, err)
			}
			got := make([]byte, 10_001)
			if n, err := f.ReadAt(got, 0); n != 10_000 || !errors.Is(err, io.EOF) || !bytes.Equal(got[:n], want) {
				t.Error(n, err)
			}
			must(t, f.Close())
			_, err = d.Create("a", 0)
			must(t, err)
			if names, err := d.List(); err != nil || !slices.Equal(names, []string{"a", "y"}) {
				t.Error(names, err)
			}
			must(t, d.Remove("y"))
			if err := d.Remove("y"); !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
			if err := d.Rename("y", "a"); !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
		})
	}
}

func TestOnlyTheOwnerMayWrite(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("permissions are no bits there")
	}
	path := filepath.Join(t.TempDir(), "d")
	d, err := opened(t, path)
	must(t, err)
	f, err := d.Create("f", 5)
	must(t, err)
	must(t, f.Close())
	for name, want := range map[string]os.FileMode{path: 0o700, filepath.Join(path, "f"): 0o600} {
		if found, err := os.Stat(name); err != nil || found.Mode().Perm() != want {
			t.Error(found.Mode(), err)
		}
	}
	must(t, os.Chmod(path, 0o777))
	if _, err := opened(t, path); err == nil {
		t.Error("others may write")
	}
	if _, err := opened(t, filepath.Join(path, "f")); err == nil {
		t.Error("a file is no directory")
	}
}

// TestCrashKeepsWhatWasSynced: what was synced stays, each sector else is old or new.
func TestCrashKeepsWhatWasSynced(t *testing.T) {
	outcomes := map[string]bool{}
	for seed := range uint64(300) {
		crash := func() string {
			m := NewMemory()
			f, err := m.Create("x", 2048)
			must(t, err)
			fill := func(off int64, n int, b byte) {
				_, err := f.WriteAt(bytes.Repeat([]byte{b}, n), off)
				must(t, err)
			}
			fill(0, 2048, 'a')
			must(t, f.Sync())
			must(t, m.SyncDir())
			fill(512, 1024, 'b')
			fill(512, 512, 'c')
			m.Crash(rand.New(rand.NewPCG(seed, 0)))
			if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, fs.ErrClosed) {
				t.Error("a file is open after a crash:", err)
			}
			f, err = m.Open("x")
			must(t, err)
			got := make([]byte, 2048)
			_, err = f.ReadAt(got, 0)
			must(t, err)
			var sectors []byte
			for s := range slices.Chunk(got, 512) {
				if !bytes.Equal(s, bytes.Repeat(s[:1], 512)) {
					t.Fatal("half a sector")
				}
				sectors = append(sectors, s[0])
			}
			return string(sectors)
		}
		first := crash()
		if again := crash(); again != first {
			t.Fatalf("seed %d: %s, then %s", seed, first, again)
		}
		outcomes[first] = true
	}
	for _, want := range []string{"aaaa", "abaa", "aaba", "abba", "acaa", "acba"} {
		if !outcomes[want] {
			t.Error("never:", want)
		}
	}
	if len(outcomes) != 6 {
		t.Error(outcomes)
	}
}

// TestCrashKeepsNamesInOrder: of the changes since SyncDir the first few are kept.
func TestCrashKeepsNamesInOrder(t *testing.T) {
	outcomes := map[string]bool{}
	for seed := range uint64(200) {
		m := NewMemory()
		for _, name := range []string{"a", "b"} {
			f, err := m.Create(name, 1)
			must(t, err)
			must(t, f.Sync())
		}
		must(t, m.SyncDir())
		must(t, m.Rename("a", "c"))
		_, err := m.Create("d", 1)
		must(t, err)
		must(t, m.Remove("b"))
		m.Crash(rand.New(rand.NewPCG(seed, 0)))
		names, err := m.List()
		must(t, err)
		outcomes[fmt.Sprint(names)] = true
	}
	for _, want := range []string{"[a b]", "[b c]", "[b c d]", "[c d]"} {
		if !outcomes[want] {
			t.Error("never:", want)
		}
	}
	if len(outcomes) != 4 {
		t.Error(outcomes)
	}
}

// TestFailedSyncDrops: what was written is still read, and no later sync writes it.
func TestFailedSyncDrops(t *testing.T) {
	m := NewMemory()
	f, err := m.Create("x", 5)
	must(t, err)
	must(t, f.Sync())
	must(t, m.SyncDir())
	_, err = f.WriteAt([]byte("hello"), 0)
	must(t, err)
	m.Hook(FailNth(OpSync, 1, syscall.EIO))
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	must(t, f.Sync())
	read := func() string {
		f, err := m.Open("x")
		must(t, err)
		got := make([]byte, 5)
		_, err = f.ReadAt(got, 0)
		must(t, err)
		return string(got)
	}
	m.Kill()
	if got := read(); got != "hello" {
		t.Errorf("%q", got)
	}
	m.CrashKeeping(func(int) bool { return true })
	if got := read(); got != "\x00\x00\x00\x00\x00" {
		t.Errorf("%q", got)
	}
}

func TestHook(t *testing.T) {
	m := NewMemory()
	m.Limit(100)
	var calls []Call
	m.Hook(func(c Call) (time.Duration, error) {
		calls = append(calls, c)
		return time.Duration(len(calls)) * time.Second, nil
	})
	f, err := m.Create("x", 60)
	must(t, err)
	_, err = f.WriteAt(make([]byte, 7), 3)
	must(t, err)
	must(t, f.Sync())
	if spent := m.Spent(); spent != 6*time.Second || m.Spent() != 0 {
		t.Error(spent)
	}
	if want := []Call{{OpCreate, "x", 60}, {OpWrite, "x", 7}, {OpSync, "x", 0}}; !slices.Equal(calls, want) {
		t.Error(calls)
	}
	if _, err := m.Create("y", 41); !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	if _, err := f.WriteAt(make([]byte, 7), 54); err == nil {
		t.Error("wrote beyond the end")
	}
}
