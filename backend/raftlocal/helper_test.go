//go:build unix

package raftlocal_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/raftlocal"
	"github.com/fencelock/fencelock/internal/busy"
)

// helperURL is the environment variable that makes this program a process of another user.
const helperURL = "RAFTLOCAL_TEST_URL"

func init() {
	if url := os.Getenv(helperURL); url != "" {
		os.Exit(help(url))
	}
}

// help opens a URL, and does what it reads, a line each, until its input ends. It answers with one line each.
func help(url string) int {
	lines := bufio.NewScanner(os.Stdin)
	ctx := context.Background()
	say := func(did any, err error) {
		if err != nil {
			did = fmt.Sprintf("error unavailable=%v %q", errors.Is(err, fencelock.ErrUnavailable), err)
		}
		fmt.Println(did)
	}
	opening, cancel := context.WithTimeout(ctx, 4*time.Second*busy.Times())
	c, err := fencelock.Open(opening, url, nil)
	cancel()
	say("open", err)
	if err != nil {
		return 0
	}
	var held *fencelock.Lease
	for lines.Scan() {
		what, key, _ := strings.Cut(lines.Text(), " ")
		switch what {
		case "try":
			if held, err = c.TryLock(ctx, key); errors.Is(err, fencelock.ErrHeld) {
				say("held", nil)
				continue
			}
			say("got", err)
		case "lock": // within some seconds
			ctx, cancel := context.WithTimeout(ctx, 4*time.Second*busy.Times())
			held, err = c.Lock(ctx, key)
			cancel()
			say("got", err)
		case "holds":
			say(held.Err() == nil, nil)
		case "unlock":
			say("free", held.Unlock(ctx))
		}
	}
	_ = c.Close()
	return 0
}

const (
	app    = 61510
	bob    = 61511
	eve    = 61512
	guests = 61600 // the group of app and bob
)

// users is a place on the disk where processes of several users run this program.
type users struct {
	t    *testing.T
	dir  string // of the user app, through which all may pass
	prog string
}

var program struct {
	sync.Once
	text []byte
	err  error
}

// newUsers needs root, which can start processes as anybody.
func newUsers(t *testing.T) *users {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can start processes of other users")
	}
	dir, err := os.MkdirTemp(openDir(), "raftlocal") //nolint:usetesting // that one is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program.Do(func() {
		var name string
		if name, program.err = os.Executable(); program.err == nil {
			program.text, program.err = os.ReadFile(name)
		}
	})
	u := &users{t, filepath.Join(dir, "app"), filepath.Join(dir, "program")}
	err = errors.Join(program.err, os.Chmod(dir, 0o711), os.Mkdir(u.dir, 0o755), os.Chmod(u.dir, 0o755), os.Chown(u.dir, app, app),
		os.WriteFile(u.prog, program.text, 0o755), os.Chmod(u.prog, 0o755))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// openDir is a directory for files of all users. That of the testing package, and the one in which this
// program was built, are closed to others, and so may be the one that TMPDIR names.
func openDir() string {
	for dir := os.TempDir(); ; dir = filepath.Dir(dir) {
		if found, err := os.Stat(dir); err != nil || found.Mode()&0o001 == 0 {
			return "/tmp"
		}
		if dir == filepath.Dir(dir) {
			return os.TempDir()
		}
	}
}

// proc is a process of a user.
type proc struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
	end sync.Once
}

// start starts a process of a user, which says first whether it has opened the URL.
func (u *users) start(uid uint32, url string) *proc {
	u.t.Helper()
	p := &proc{t: u.t, cmd: exec.Command(u.prog)}
	p.cmd.Env = append(os.Environ(), helperURL+"="+url)
	p.cmd.Dir, p.cmd.Stderr = "/", os.Stderr
	cred := &syscall.Credential{Uid: uid, Gid: uid}
	if uid == app || uid == bob {
		cred.Groups = []uint32{guests}
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		u.t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		u.t.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		u.t.Fatal("starting a process of another user: ", err)
	}
	u.t.Cleanup(p.kill)
	return p
}

// opened starts one that opens its URL.
func (u *users) opened(uid uint32, url string) *proc {
	u.t.Helper()
	p := u.start(uid, url)
	if said := p.hear(); said != "open" {
		u.t.Fatalf("the user %d opens %s: %s", uid, url, said)
	}
	return p
}

// refused starts one that cannot open its URL, and wants words in what it says.
func (u *users) refused(uid uint32, url string, words ...string) {
	u.t.Helper()
	u.start(uid, url).fails("open "+url, words...)
}

// fails wants words in an error that a process says next.
func (p *proc) fails(what string, words ...string) {
	p.t.Helper()
	said := p.hear()
	if !strings.HasPrefix(said, "error ") {
		p.t.Errorf("the user %d, %s: %s, want an error", p.uid(), what, said)
	}
	for _, w := range words {
		if !strings.Contains(said, w) {
			p.t.Errorf("the user %d, %s: %s, want %q in it", p.uid(), what, said, w)
		}
	}
	if strings.Contains(said, "is served by") {
		p.t.Errorf("the user %d, %s: nobody serves, and it says %s", p.uid(), what, said) // root can read who did
	}
}

func (p *proc) uid() uint32 { return p.cmd.SysProcAttr.Credential.Uid }

func (p *proc) hear() string {
	p.t.Helper()
	if !p.out.Scan() {
		p.t.Fatalf("a process has ended: %v", p.out.Err())
	}
	return p.out.Text()
}

// ask has a process do something.
func (p *proc) ask(what string) {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.in, what); err != nil {
		p.t.Fatal(err)
	}
}

// want has a process do something that is soon done.
func (p *proc) want(what, answer string) {
	p.t.Helper()
	p.ask(what)
	if said := p.hear(); said != answer {
		p.t.Errorf("the user %d: %s: %s, want %s", p.uid(), what, said, answer)
	}
}

// kill ends a process as nothing else does.
func (p *proc) kill() {
	p.end.Do(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait() // it was killed
	})
}
