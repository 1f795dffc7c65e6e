//go:build unix

package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOfWhatOthersMayWriteTo: who is told to close a directory to others has one that is for locks alone.
func TestOfWhatOthersMayWriteTo(t *testing.T) {
	t.Parallel()
	for what, is := range map[string]struct {
		mode  fs.FileMode
		files []string
		close bool
		words string
	}{
		"an empty one":         {0o777, nil, true, "0777"},
		"one of a group":       {0o770, nil, true, "0770"},
		"one that was served":  {0o775, []string{"owner", "wal-1"}, true, "0775"},
		"one like /tmp":        {0o777 | fs.ModeSticky, nil, false, "1777"},
		"one with other files": {0o775, []string{"index.html"}, false, "0775"},
	} {
		dir := t.TempDir()
		for _, name := range is.files {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(dir, is.mode); err != nil {
			t.Fatal(err)
		}
		root, err := Open(dir)
		if err == nil {
			t.Errorf("%s: it is opened: %v", what, root.Close())
			continue
		}
		text := err.Error()
		if strings.Contains(text, "chmod 700") != is.close || strings.Contains(text, filepath.Join(dir, "locks")) == is.close || !strings.Contains(text, is.words) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// The real one.
	if root, err := Open("/tmp"); err == nil {
		t.Log("/tmp is closed to others here", errors.Join(err, root.Close()))
	} else if strings.Contains(err.Error(), "chmod") || !strings.Contains(err.Error(), "/var/lib/app/locks") {
		t.Error(err)
	}
	for _, path := range []string{"/", "/srv", "/var/tmp", "/dev/shm"} {
		if !ofTheSystem(path) {
			t.Errorf("%s is not of the system", path)
		}
	}
	if ofTheSystem("/srv/locks") {
		t.Error("/srv/locks is of the system")
	}
}
