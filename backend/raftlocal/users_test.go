//go:build unix

package raftlocal_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fencelock/fencelock/internal/busy"
)

// urls are those of a directory, for a group, without one, and of its socket.
func urls(dir string) (group, alone, sock string) {
	alone = "raft://" + dir
	return alone + fmt.Sprintf("?group=%d", guests), alone, "raft://unix:" + dir + "/socket"
}

// server is the process that serves a directory, or did last.
func server(t *testing.T, dir string) int {
	t.Helper()
	var owner struct{ PID int }
	b, err := os.ReadFile(filepath.Join(dir, "owner"))
	if err == nil {
		err = json.Unmarshal(b, &owner)
	}
	if err != nil {
		t.Fatal(err)
	}
	return owner.PID
}

// ownedBy reports who owns what is in a directory, and the directory.
func ownedBy(t *testing.T, dir string, uid uint32) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		found, err := os.Lstat(path)
		if err != nil {
			return err
		}
		if s := found.Sys().(*syscall.Stat_t); s.Uid != uid {
			t.Errorf("%s is of the user %d, want %d", path, s.Uid, uid)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Processes of several users share locks. Those of the owner serve, those of the group and root are
// clients, and nobody else gets in. When no process of the owner is left nobody takes over, and all say so;
// when one comes back, so do the clients.
func TestUsersShareADirectory(t *testing.T) {
	t.Parallel()
	u := newUsers(t)
	dir := filepath.Join(u.dir, "locks")
	group, alone, sock := urls(dir)

	u.refused(bob, group, "unavailable=true", "does not exist", "install -d -o USER -g "+strconv.Itoa(guests)+" -m 2750 "+dir)
	serves := u.opened(app, group)
	clients := map[string]*proc{
		"the group": u.opened(bob, group), "its socket": u.opened(bob, sock),
		"root": u.opened(0, group), "root alone": u.opened(0, alone), "root's socket": u.opened(0, sock),
	}
	for _, url := range []string{group, sock} {
		u.refused(eve, url, "unavailable=false", "is for the group 61600", "usermod -aG", "permission denied")
	}
	u.refused(bob, strings.TrimSuffix(sock, "/socket"), "is a directory: name the socket in it, "+dir+"/socket")
	for _, uid := range []uint32{bob, eve} {
		u.refused(uid, alone, "belongs to the user 61510", "group=", "chown -R")
	}

	serves.want("try k", "got")
	for who, c := range clients {
		c.want("try k", "held")
		c.want("try "+who, "got")
		serves.want("try "+who, "held")
	}
	if pid := server(t, dir); pid != serves.cmd.Process.Pid {
		t.Errorf("the process %d serves, want %d", pid, serves.cmd.Process.Pid)
	}

	serves.kill()
	missing := []string{"unavailable=true", "no process of the user 61510", "start one"}
	came := []*proc{u.start(bob, group), u.start(0, group), u.start(0, alone)}
	// Who only tries is told as well, and does not wait for as long as for an election.
	for _, what := range []string{"try other", "lock other"} {
		began := time.Now()
		for _, c := range clients {
			c.ask(what)
		}
		for who, c := range clients {
			if strings.Contains(who, "socket") {
				c.fails(what, "unavailable=true", "nobody listens at the socket "+dir+"/socket")
			} else {
				c.fails(what, missing...)
			}
		}
		if took := time.Since(began); what == "try other" && took > 15*time.Second*busy.Times() {
			t.Errorf("it took %v until all were told", took)
		}
	}
	for _, p := range came {
		p.fails("open", missing...)
	}
	if pid := server(t, dir); pid != serves.cmd.Process.Pid {
		t.Errorf("the process %d serves", pid)
	}
	ownedBy(t, dir, app)

	again := u.opened(app, group)
	for who, c := range clients {
		c.want("lock "+who+" again", "got")
		again.want("try "+who+" again", "held")
	}
	if pid := server(t, dir); pid != again.cmd.Process.Pid {
		t.Errorf("the process %d serves, want %d", pid, again.cmd.Process.Pid)
	}
	ownedBy(t, dir, app)
}

// Another process of the owner takes over from one that is killed, and clients of other users hold on to
// what they have.
func TestUsersTakeOver(t *testing.T) {
	t.Parallel()
	u := newUsers(t)
	dir := filepath.Join(u.dir, "locks")
	group, _, sock := urls(dir)
	first := u.opened(app, group)
	guest, client := u.opened(bob, group), u.opened(bob, sock)
	second := u.opened(app, group)
	guest.want("try k", "got")
	client.want("try l", "got")
	first.kill()
	second.want("try k", "held")
	second.want("try l", "held")
	if pid := server(t, dir); pid != second.cmd.Process.Pid {
		t.Errorf("the process %d serves, want %d", pid, second.cmd.Process.Pid)
	}
	guest.want("unlock", "free")
	client.want("holds", "true")
	client.want("try k", "got")
}

// A process of the owner without group= has a socket of its own; others are told what is missing.
func TestUsersWithoutGroup(t *testing.T) {
	t.Parallel()
	u := newUsers(t)
	dir := filepath.Join(u.dir, "locks")
	group, alone, sock := urls(dir)
	u.opened(app, alone)
	u.refused(bob, group, "of the group 61510, and not of 61600", "group=61600")
	u.refused(bob, sock, "is for the user 61510 alone", "group=")
	u.opened(0, alone).want("try k", "got")
	u.opened(0, sock).want("try k", "held")
}

// The owner has to be in the group, unless root has made the directory for it.
func TestUsersOwnerIsNotInTheGroup(t *testing.T) {
	t.Parallel()
	u := newUsers(t)
	dir := filepath.Join(u.dir, "locks")
	if err := errors.Join(os.Chown(u.dir, eve, eve)); err != nil {
		t.Fatal(err)
	}
	group, _, _ := urls(dir)
	u.refused(eve, group, "group=", "61512 cannot give the directory", "usermod -aG", "install -d -o 61512 -g 61600 -m 2750 "+dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"2750", "2710"} {
		if out, err := exec.Command("install", "-d", "-o", strconv.Itoa(eve), "-g", strconv.Itoa(guests), "-m", mode, dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		serves := u.opened(eve, group)
		u.opened(bob, group).want("try k", "got")
		serves.kill()
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}

// A directory above that is closed is named.
func TestUsersDirectoryAbove(t *testing.T) {
	t.Parallel()
	u := newUsers(t)
	closed := filepath.Join(u.dir, "closed")
	if err := errors.Join(os.Mkdir(closed, 0o700), os.Chown(closed, app, app)); err != nil {
		t.Fatal(err)
	}
	group, _, sock := urls(filepath.Join(closed, "locks"))
	u.opened(app, group)
	for _, url := range []string{group, sock} {
		u.refused(bob, url, closed+" lets the user 61511 of this process not through", "chmod")
	}
	// One that was missing is open to the group.
	group, _, sock = urls(filepath.Join(u.dir, "made", "locks"))
	u.opened(app, group)
	u.opened(bob, group).want("try k", "got")
	u.opened(bob, sock).want("try k", "held")
}

// A directory that is given to another user while it is served has one server: the process that has it,
// until it ends or needs a file that it may not make or open any more, and then one of the new owner's.
func TestUsersChown(t *testing.T) {
	t.Parallel()
	u := newUsers(t)
	dir := filepath.Join(u.dir, "locks")
	group, _, _ := urls(dir)
	first := u.opened(app, group)
	guest := u.opened(bob, group)
	guest.want("try k", "got")
	if out, err := exec.Command("chown", "-R", strconv.Itoa(bob), dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	second := u.opened(bob, group)
	for _, p := range []*proc{second, first} { // whoever of them serves: two would have two locks
		p.want("try k", "held")
	}
	first.kill()
	second.want("try k", "held")
	if pid := server(t, dir); pid != second.cmd.Process.Pid && pid != guest.cmd.Process.Pid {
		t.Errorf("the process %d serves", pid)
	}
	guest.want("holds", "true")
	u.opened(app, group).want("try k", "held")
}

// Root that has a directory of its own gives it away only whole.
func TestUsersRootsFiles(t *testing.T) {
	t.Parallel()
	u := newUsers(t)
	dir := filepath.Join(u.dir, "locks")
	_, alone, _ := urls(dir)
	root := u.opened(0, alone)
	u.refused(app, alone, "belongs to the user root (0)", "chown -R 61510")
	root.kill()
	if err := os.Chown(dir, app, app); err != nil {
		t.Fatal(err)
	}
	u.refused(app, alone, "belongs to the user root (0)", "chown -R 61510 "+dir)
	if out, err := exec.Command("chown", "-R", strconv.Itoa(app), dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	u.opened(app, alone).want("try k", "got")
}
