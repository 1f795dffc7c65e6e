//go:build unix

package shared

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/dirlock"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
)

// ours is a group that this process may give a directory to. Root may give it to any, so it is none
// that a new directory has anyhow.
func ours(t *testing.T) int {
	t.Helper()
	if os.Geteuid() == 0 {
		return 61500
	}
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		if g != os.Getegid() {
			return g
		}
	}
	return os.Getegid()
}

// masked runs f with an umask, which is the whole process's.
func masked(umask int, f func()) {
	before := syscall.Umask(umask)
	defer syscall.Umask(before)
	f()
}

// rights are the mode and the group of a file.
func rights(t *testing.T, path string) (mode fs.FileMode, gid int) {
	t.Helper()
	found, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	_, gid, _ = dirlock.OwnerOf(found)
	return found.Mode() & (fs.ModePerm | fs.ModeSetgid), gid
}

// served locks a place and listens, as who serves it, and undoes that.
func served(t *testing.T, p Location, then func()) error {
	t.Helper()
	_, release, err := p.Lock(t.Context())
	if err != nil {
		return err
	}
	l, err := p.Listen()
	if err == nil {
		then()
		err = l.Close()
	}
	return errors.Join(err, release())
}

// Whatever the umask, and whatever the directory was before, its group may come to the socket and
// list names, and nobody but the owner opens a file.
func TestGroupsRights(t *testing.T) {
	group := ours(t)
	for _, umask := range []int{0, 0o022, 0o077} {
		for name, before := range map[string]fs.FileMode{"new": 0, "the owner's": 0o700, "all may read": 0o755, "no setgid": 0o750, "as it should be": groupMode} {
			path := filepath.Join(t.TempDir(), "above", "locks")
			p, err := Location(nil), error(nil)
			masked(umask, func() {
				if before != 0 {
					if err := errors.Join(os.MkdirAll(path, 0o700), os.Chmod(path, before)); err != nil {
						t.Fatal(err)
					}
				}
				if p, err = Directory(path, group); err != nil {
					t.Fatal(err)
				}
				err = served(t, p, func() {
					for file, want := range map[string]fs.FileMode{"": groupMode, socket: 0o660} {
						if mode, gid := rights(t, filepath.Join(path, file)); mode != want || gid != group {
							t.Errorf("umask %03o, %s: %q has the mode %v and the group %d, want %v and %d", umask, name, file, mode, gid, want, group)
						}
					}
				})
			})
			if err != nil {
				t.Errorf("umask %03o, %s: %v", umask, name, err)
			}
			if before == 0 {
				if mode, gid := rights(t, filepath.Dir(path)); mode != groupMode || gid != group {
					t.Errorf("umask %03o: the directory above has the mode %v and the group %d: its users do not get through", umask, mode, gid)
				}
			}
			files, err := filepath.Glob(filepath.Join(path, "*"))
			if err != nil || len(files) < 2 {
				t.Fatalf("files %q, %v", files, err)
			}
			for _, f := range files {
				if mode, _ := rights(t, f); mode != 0o600 {
					t.Errorf("umask %03o, %s: %s has the mode %v", umask, name, f, mode)
				}
			}
		}
	}
}

// What others may write to is refused, and not mended: nobody knows what they have written. What is
// stricter than it needs to be, and yet enough, is left.
func TestGroupsModesThatStay(t *testing.T) {
	group := ours(t)
	for mode, want := range map[fs.FileMode]string{
		0o770: "chmod 2750", 0o777: "chmod 2750", fs.ModeSetgid | 0o770: "chmod 2750", fs.ModeSetgid | 0o710: "",
	} {
		path := filepath.Join(t.TempDir(), "locks")
		if err := errors.Join(os.Mkdir(path, 0o700), os.Chown(path, -1, group), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		p, err := Directory(path, group)
		if err == nil {
			err = served(t, p, func() {})
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", mode, err, want)
		}
		if now, gid := rights(t, path); now != mode || gid != group {
			t.Errorf("%v has become %v of the group %d", mode, now, gid)
		}
	}
}

// A directory with something else in it, such as a home, is not opened to others.
func TestGroupGetsNoOthersFiles(t *testing.T) {
	home := t.TempDir()
	if err := errors.Join(os.Chmod(home, 0o700), os.WriteFile(filepath.Join(home, "secret"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := Directory(home, ours(t)); err == nil || !strings.Contains(err.Error(), "has other files in it") {
		t.Errorf("got %v", err)
	}
	if mode, _ := rights(t, home); mode != 0o700 {
		t.Errorf("its mode is %v", mode)
	}
	volume := t.TempDir()
	if err := os.Mkdir(filepath.Join(volume, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := Directory(volume, ours(t))
	if err == nil {
		err = served(t, p, func() {})
	}
	if err != nil {
		t.Errorf("a file system of its own: %v", err)
	}
}

// Files that were put back by hand, so that all may read them, are the owner's alone again.
func TestGroupReadsNoFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "locks")
	p, err := Directory(path, network.NoGroup)
	if err == nil {
		err = served(t, p, func() {})
	}
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(path, "*"))
	for _, f := range files {
		if err := os.Chmod(f, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if p, err = Directory(path, ours(t)); err == nil {
		err = served(t, p, func() {})
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if mode, _ := rights(t, f); mode != 0o600 {
			t.Errorf("%s has the mode %v", f, mode)
		}
	}
}

// A process that serves without a group has a socket of its own, whatever was before.
func TestGroupIsTakenBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "locks")
	for _, is := range []struct {
		group int
		want  fs.FileMode
	}{{ours(t), 0o660}, {network.NoGroup, 0o600}} {
		p, err := Directory(path, is.group)
		if err == nil {
			err = served(t, p, func() {
				if mode, _ := rights(t, filepath.Join(path, socket)); mode != is.want {
					t.Errorf("group %d: the socket has the mode %v", is.group, mode)
				}
			})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestLookupGroup(t *testing.T) {
	want := map[string]int{"61500": 61500, "no such group": -1, "-1": -1, strconv.Itoa(math.MaxUint32): -1}
	if g, err := user.LookupGroupId(strconv.Itoa(os.Getegid())); err == nil { // in a container it may have no name
		want[g.Name], want[g.Gid] = os.Getegid(), os.Getegid()
	}
	for name, want := range want {
		got, err := LookupGroup(name)
		if want < 0 {
			if err == nil || !strings.Contains(err.Error(), "groupadd") {
				t.Errorf("%s: %d, %v", name, got, err)
			}
		} else if got != want || err != nil {
			t.Errorf("%s: %d, %v, want %d", name, got, err, want)
		}
	}
}
