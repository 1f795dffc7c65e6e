package disk

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestCheck(t *testing.T) {
	for what, is := range map[string]struct {
		spoil func(dir string) error
		lost  bool
	}{
		"nothing":          {func(string) error { return nil }, false},
		"removed":          {os.RemoveAll, true},
		"moved":            {func(dir string) error { return os.Rename(dir, dir+".old") }, true},
		"replaced":         {func(dir string) error { return errors.Join(os.Rename(dir, dir+".old"), os.Mkdir(dir, 0o700)) }, true},
		"now a file":       {func(dir string) error { return errors.Join(os.Rename(dir, dir+".old"), os.WriteFile(dir, nil, 0o600)) }, true},
		"now under a file": {func(dir string) error { return replaced(filepath.Dir(dir), nil) }, true},
		"another link":     {func(dir string) error { return errors.Join(os.Rename(dir, dir+".old"), os.Symlink(dir+".old", dir)) }, false},
		"the file removed": {func(dir string) error { return os.Remove(filepath.Join(dir, "open")) }, true},
		"the file copied":  {func(dir string) error { return replaced(filepath.Join(dir, "open"), []byte("1234")) }, true},
		"the file renamed": {func(dir string) error { return os.Rename(filepath.Join(dir, "open"), filepath.Join(dir, "x")) }, true},
		"the other gone":   {func(dir string) error { return os.Remove(filepath.Join(dir, "closed")) }, true},
		"the mode":         {func(dir string) error { return os.Chmod(dir, 0o500) }, false},
		"a file more":      {func(dir string) error { return os.WriteFile(filepath.Join(dir, "more"), nil, 0o600) }, false},
	} {
		t.Run(what, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "above", "dir")
			d, err := opened(t, path)
			must(t, err)
			f, err := d.Create("open", 4)
			must(t, err)
			t.Cleanup(func() { _ = f.Close() })
			closed, err := d.Create("closed", 4)
			must(t, err)
			must(t, closed.Close())
			must(t, is.spoil(path))
			if err := d.Check("open", "closed"); errors.Is(err, ErrLost) != is.lost || !is.lost && err != nil {
				t.Errorf("got %v", err)
			}
			if is.lost {
				_ = os.Rename(path+".old", path)
			}
		})
	}
}

func replaced(path string, by []byte) error {
	return errors.Join(os.Rename(path, path+".old"), os.WriteFile(path, by, 0o600))
}

// That it cannot be found out is another error.
func TestCheckCannotAsk(t *testing.T) {
	above := filepath.Join(t.TempDir(), "above")
	d, err := opened(t, filepath.Join(above, "dir"))
	must(t, err)
	must(t, os.Rename(above, above+".old"))
	must(t, os.Symlink(above, above))
	if err := d.Check(); err == nil || errors.Is(err, ErrLost) {
		t.Errorf("got %v", err)
	}
}

// What is written after the directory was moved is not in the one that came to its path.
func TestAnothersDirectoryIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dir")
	d, err := opened(t, path)
	must(t, err)
	must(t, os.Rename(path, path+".old"))
	must(t, os.Mkdir(path, 0o700))
	must(t, os.WriteFile(filepath.Join(path, "theirs"), nil, 0o600))
	f, err := d.Create("ours", 4)
	must(t, err)
	must(t, f.Close())
	must(t, d.Rename("ours", "theirs"))
	must(t, d.Remove("theirs"))
	must(t, d.SyncDir())
	if names, err := d.List(); err != nil || len(names) > 0 {
		t.Errorf("ours: %v, %v", names, err)
	}
	if found, err := os.ReadDir(path); err != nil || len(found) != 1 || found[0].Name() != "theirs" {
		t.Errorf("theirs: %v, %v", found, err)
	}
}

// BenchmarkCheck is what a look costs before something is said to be written.
func BenchmarkCheck(b *testing.B) {
	d, err := opened(b, filepath.Join(b.TempDir(), "dir"))
	must(b, err)
	f, err := d.Create("open", 4)
	must(b, err)
	defer f.Close()
	b.ReportAllocs()
	for b.Loop() {
		must(b, d.Check("open"))
	}
}
