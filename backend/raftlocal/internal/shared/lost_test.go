package shared

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/client"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/dirlock"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// virtual is a directory of the system whose socket is in memory, so that time can be virtual. As
// that of the system, the socket belongs to the directory and not to its path.
type virtual struct {
	*directory
	net *network.Memory
}

func (v *virtual) socket() string {
	found, err := os.Stat(v.path)
	if err != nil {
		return "none"
	}
	return fmt.Sprintf("%+v", found.Sys())[:60]
}

func (v *virtual) Listen() (net.Listener, error) { return v.net.Listen(v.socket()) }

func (v *virtual) Dial(ctx context.Context) (net.Conn, error) { return v.net.Dial(ctx, v.socket()) }

// process is one that has the directory open, and a client in it.
type process struct {
	*Share
	client *client.Client
	voided atomic.Bool
}

// world is where processes share a directory.
type world struct {
	t    *testing.T
	path string
	net  network.Memory
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{t: t, path: filepath.Join(t.TempDir(), "locks")}
}

func (w *world) open() *process {
	w.t.Helper()
	p, err := Directory(w.path, network.NoGroup)
	if err != nil {
		w.t.Fatal(err)
	}
	nobody := func(*server.Server) http.Handler { return http.NotFoundHandler() }
	share, err := Open(w.t.Context(), &virtual{p.(*directory), &w.net}, nobody, slog.New(slog.DiscardHandler))
	if err != nil {
		w.t.Fatal(err)
	}
	one := &process{Share: share}
	one.client = client.New(client.Config{Addrs: []string{Member}, Dial: share.Dial, OnVoid: func(string) { one.voided.Store(true) }})
	w.t.Cleanup(one.end)
	return one
}

func (p *process) end() {
	_ = p.client.Close()
	p.Close()
}

// lock waits for a lock, as long as it takes.
func (p *process) lock(t *testing.T, key, owner string) command.Reply {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		o := p.client.Do(ctx, command.Command{Op: command.Acquire, Key: key, AttemptID: owner, TTL: time.Hour}, nil)
		switch {
		case ctx.Err() != nil:
			t.Fatalf("%s does not get the lock: %+v", owner, o)
		case o.Err == nil && o.Reply.Code == command.Granted:
			return o.Reply
		default:
			time.Sleep(time.Millisecond)
		}
	}
}

// spoils are what somebody may do to a directory that is served.
var spoils = map[string]func(dir string) error{
	"removed": func(dir string) (err error) {
		for range 100 { // a file may be made in it meanwhile
			if err = os.RemoveAll(dir); err == nil {
				break
			}
		}
		return err
	},
	"emptied": func(dir string) error {
		names, err := filepath.Glob(filepath.Join(dir, "*"))
		for _, name := range names {
			err = errors.Join(err, os.Remove(name))
		}
		return err
	},
	"moved": func(dir string) error { return os.Rename(dir, dir+".old") },
	"replaced": func(dir string) error {
		return errors.Join(os.Rename(dir, dir+".old"), os.Mkdir(dir, 0o700))
	},
	"replaced by a copy": func(dir string) error {
		return errors.Join(os.CopyFS(dir+".copy", os.DirFS(dir)), os.Chmod(dir+".copy", 0o700), os.Rename(dir, dir+".old"), os.Rename(dir+".copy", dir))
	},
}

// Whatever is done to a directory that is served, those who hold are told before another gets
// their locks, and tokens rise.
func TestLostDirectory(t *testing.T) {
	for how, spoil := range spoils {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				serves, holds := w.open(), w.open()
				first := holds.lock(t, "k", "first")
				if serves.Server() == nil || holds.Server() != nil {
					t.Fatal("the first does not serve")
				}
				time.Sleep(30 * time.Millisecond) // in the middle of a tick
				if err := spoil(w.path); err != nil {
					t.Fatal(err)
				}
				other := w.open()
				key := "k"
				if how == "replaced by a copy" {
					key = "l" // in the copy the first has k
				}
				next := other.lock(t, key, "second")
				if !holds.voided.Load() || !serves.voided.Load() {
					t.Error("another has the lock before the holder was told")
				}
				if how != "replaced by a copy" && (next.Token <= first.Token || next.Number <= first.Number) {
					t.Errorf("token %d after %d, number %d after %d", next.Token, first.Token, next.Number, first.Number)
				}
				n := 0
				for _, p := range []*process{serves, holds, other} {
					if p.Server() != nil {
						n++
					}
				}
				if n != 1 {
					t.Errorf("%d serve", n)
				}
			})
		})
	}
}

// A grant is not made from a directory that is another's, but for some milliseconds: not in all of the
// tenth of a second that it may take to be noticed.
func TestNothingIsGrantedFromALostDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		serves := w.open()
		serves.lock(t, "k", "first")
		for range 20 {
			srv := serves.Server()
			if err := os.Rename(w.path, w.path+".old"); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(w.path, 0o700); err != nil {
				t.Fatal(err)
			}
			time.Sleep(dirlock.Watch / 10)
			o := serves.client.Do(t.Context(), command.Command{Op: command.Acquire, Key: "x", AttemptID: "o", TTL: time.Hour}, nil)
			if o.Err == nil && serves.Server() == srv {
				t.Fatalf("granted: %+v", o.Reply)
			}
			serves.lock(t, "k", "first")
			if err := os.RemoveAll(w.path + ".old"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A directory whose owner before is gone is served at once, since nobody else can have served
// another at its path; a new one is not.
func TestSettling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		opened := func() time.Duration {
			began := time.Now()
			p := w.open()
			took := time.Since(began)
			p.client.Close()
			p.Kill()
			return took
		}
		if took := opened(); took < dirlock.Settling {
			t.Errorf("a new directory is served after %v", took)
		}
		if took := opened(); took >= dirlock.Watch {
			t.Errorf("one that is known is served after %v", took)
		}
		if err := os.Remove(filepath.Join(w.path, dirlock.File)); err != nil {
			t.Fatal(err)
		}
		if took := opened(); took < dirlock.Settling {
			t.Errorf("one in which something was removed is served after %v", took)
		}
	})
}
