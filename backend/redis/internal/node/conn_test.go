package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// serveLate answers each command after as many milliseconds as its last word says.
func serveLate(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		words, err := readCommand(r)
		if err != nil {
			return
		}
		last := words[len(words)-1]
		answer := "+" + last + "\r\n"
		if words[0] == "hello" {
			answer = "-ERR unknown command\r\n" // so that go-redis asks for no more
		} else if ms, err := strconv.Atoi(last); err == nil {
			time.Sleep(time.Duration(ms) * time.Millisecond)
		}
		if _, err := fmt.Fprint(c, answer); err != nil {
			return
		}
	}
}

// A command has its own time, from when it began, and ends with its context, whatever those before it
// have left: a timer that ticks, or a deadline. One that is answered before that leaves a connection that is
// as good as before.
func TestCommandsAreWatched(t *testing.T) {
	f := &fakeServer{serves: serveLate}
	withPipeline(t, f, func(t *testing.T, p *pipeline) {
		const ms = time.Millisecond
		why := errors.New("enough")
		for _, tc := range []struct {
			after, reply, cancel, timeout time.Duration
			took                          time.Duration
			err                           error
			dials                         int32
		}{
			{reply: 0, timeout: 50 * ms, took: 0, dials: 1},
			{after: ms, reply: 45 * ms, timeout: 50 * ms, took: 45 * ms, dials: 1},
			{reply: 8 * ms, timeout: 50 * ms, took: 8 * ms, dials: 1}, // beyond the deadline of the one before
			{reply: 45 * ms, timeout: 50 * ms, took: 45 * ms, dials: 1},
			{reply: 0, timeout: 50 * ms, took: 0, dials: 1},
			{after: 60 * ms, reply: 0, timeout: 50 * ms, took: 0, dials: 1},
			{after: 2 * ms, reply: 7 * ms, cancel: 3 * ms, timeout: 50 * ms, took: 7 * ms, dials: 1}, // the reply counts
			{after: ms, reply: 40 * ms, cancel: 3 * ms, timeout: 50 * ms, took: watchAfter, err: why, dials: 1},
			{reply: 0, timeout: 50 * ms, took: 0, dials: 2},
			{after: 5 * ms, reply: 40 * ms, cancel: 30 * ms, timeout: 50 * ms, took: 30 * ms, err: why, dials: 2},
			{reply: 40 * ms, cancel: 45 * ms, timeout: 50 * ms, took: 40 * ms, dials: 3},
			{after: 5 * ms, reply: 60 * ms, timeout: 50 * ms, took: 50 * ms, err: ErrNoAnswer, dials: 3},
			{reply: 0, timeout: 50 * ms, took: 0, dials: 4},
		} {
			for _, direct := range []bool{true, false} {
				if !direct && tc.cancel > 0 {
					continue // the caller does not wait for it, and its sender goes on
				}
				time.Sleep(tc.after)
				ctx, cancel := context.WithCancelCause(t.Context())
				if tc.cancel > 0 {
					time.AfterFunc(tc.cancel, func() { cancel(why) })
				}
				p.directLimit = 0
				if direct {
					p.directLimit = 1
				}
				began := time.Now()
				err := p.do(ctx, tc.timeout, goredis.NewCmd(ctx, "echo", tc.reply.Milliseconds()))
				if took := time.Since(began); took != tc.took || !errors.Is(err, tc.err) {
					t.Errorf("%+v, direct %v: %v after %v", tc, direct, err, took)
				}
				if n := f.dials.Load(); n != tc.dials {
					t.Errorf("%+v, direct %v: connection %d", tc, direct, n)
				}
				cancel(nil)
				if tc.err != nil {
					break
				}
			}
		}
		time.Sleep(time.Second) // until the server has answered what nobody waits for
	})
}

// deadlines counts the deadlines that are set.
type deadlines struct {
	net.Conn
	set int
}

func (d *deadlines) SetDeadline(time.Time) error     { d.set++; return nil }
func (d *deadlines) SetReadDeadline(time.Time) error { d.set++; return nil }

// go-redis takes a deadline away when it looks at a connection, before each command and maybe after watch
// has set it. It must not.
func TestDeadlinesAreNotTakenAway(t *testing.T) {
	raw := new(deadlines)
	c := &conn{raw: raw, slow: time.NewTimer(time.Hour), interrupted: make(chan struct{}, 1)}
	theirs := &socket{Conn: raw, conn: c}
	c.begin(t.Context(), time.Now(), time.Minute)
	_, _ = theirs.SetDeadline(time.Time{}), theirs.SetReadDeadline(time.Time{})
	if raw.set != 0 {
		t.Errorf("%d deadlines were set while a command was under way", raw.set)
	}
	c.end()
	if _ = theirs.SetDeadline(time.Time{}); raw.set != 1 {
		t.Errorf("%d deadlines were set afterwards, want 1", raw.set)
	}
}
