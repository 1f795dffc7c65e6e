//go:build unix

package fencelock_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
)

// holderVariable makes a process of this test the holder, and tells whom it reports to.
const holderVariable = "FENCELOCK_TEST_HOLDER"

// firstLook is what a holder sees at its first look after it was stopped.
type firstLook struct {
	Context, Cause, Derived, Lease, Done bool // the end of the lease is seen there
	Unlock                               string
}

// TestFirstLookAfterStop stops processes that hold a lock with a TTL of 1 s and wait for
// data, for longer than that, and sends them the data meanwhile. When they go on the data
// is there, and the timer of the lease's end is due: whichever the runtime deals with
// first, Err says that the lease is lost.
func TestFirstLookAfterStop(t *testing.T) {
	if at := os.Getenv(holderVariable); at != "" {
		holdAndReport(t, at)
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	const holders, rounds = 8, 2
	looks := make(chan firstLook, holders*rounds)
	var all sync.WaitGroup
	for range holders {
		h := startHolder(t, l)
		all.Go(func() {
			for range rounds {
				look, err := h.stopped()
				if err != nil {
					t.Error(err)
					return
				}
				looks <- look
			}
		})
	}
	all.Wait()
	close(looks)
	var n, open, derived int
	for look := range looks {
		n++
		if !look.Done {
			open++
		}
		if !look.Derived {
			derived++
		}
		if !look.Context || !look.Cause || !look.Lease || look.Unlock != "lost" {
			t.Errorf("a holder believes that it holds the lock: %+v", look)
		}
	}
	t.Logf("%d first looks; in %d Done was open, in %d a derived context was not cancelled", n, open, derived)
}

type holder struct {
	process *os.Process
	conn    net.Conn
	lines   *json.Decoder
}

func startHolder(t *testing.T, l net.Listener) *holder {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFirstLookAfterStop$")
	cmd.Env = append(os.Environ(), holderVariable+"="+l.Addr().String())
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // also if it is stopped
		_ = cmd.Wait()
	})
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &holder{cmd.Process, conn, json.NewDecoder(conn)}
}

// stopped stops a holder that has the lock, and returns what it sees when it goes on.
func (h *holder) stopped() (look firstLook, err error) {
	var held string
	if err := h.lines.Decode(&held); err != nil {
		return look, err
	}
	time.Sleep(20 * time.Millisecond) // it waits for data
	err = h.suspend()
	_, sent := h.conn.Write([]byte("go on\n"))
	time.Sleep(2 * time.Second)
	if err := errors.Join(err, sent, h.process.Signal(syscall.SIGCONT)); err != nil {
		return look, err
	}
	err = h.lines.Decode(&look)
	return look, err
}

// suspend stops it, and returns when all its threads have stopped: the signal alone comes back before.
func (h *holder) suspend() error {
	if err := h.process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(h.process.Pid, &status, syscall.WUNTRACED, nil)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// holdAndReport is the holder's process.
func holdAndReport(t *testing.T, at string) {
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	in, out := bufio.NewReader(conn), json.NewEncoder(conn)
	c := open(t, mem.New(mem.NewSpace()), &fencelock.Options{TTL: time.Second})
	for {
		l := lock(t, c, "k")
		ctx := l.Context(context.Background())
		derived, cancel := context.WithCancel(ctx)
		defer cancel()
		if out.Encode("held") != nil {
			return // the test is over
		}
		if _, err := in.ReadString('\n'); err != nil {
			return
		}
		var look firstLook
		select {
		case <-l.Done():
			look.Done = true
		default:
		}
		look.Derived = derived.Err() != nil
		look.Context = ctx.Err() != nil
		look.Cause = errors.Is(context.Cause(ctx), fencelock.ErrLost)
		look.Lease = errors.Is(l.Err(), fencelock.ErrLost)
		if err := l.Unlock(context.Background()); errors.Is(err, fencelock.ErrLost) {
			look.Unlock = "lost"
		} else if err != nil {
			look.Unlock = err.Error()
		}
		if out.Encode(look) != nil {
			return
		}
	}
}
