package statemachine

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// log writes entries for a machine, numbers commands, and keeps what was pushed.
type log struct {
	*testing.T
	m       *Machine
	index   uint64
	clock   time.Duration
	seqs    map[uint64]uint64
	opened  byte
	pushes  []command.Push // of the last entry
	answers []command.Answer
}

func newLog(t *testing.T) *log {
	return &log{T: t, m: New(nil), seqs: map[uint64]uint64{}}
}

// write applies an entry, now.
func (l *log) write(cmds ...command.Command) []command.Answer {
	l.Helper()
	l.index++
	out := l.m.Apply(l.index, command.Batch{Stamp: int64(l.clock), Commands: cmds})
	l.answers, l.pushes = slices.Clone(out.Answers), slices.Clone(out.Pushes)
	return l.answers
}

// at moves the clock, and writes an entry.
func (l *log) at(clock time.Duration) {
	l.Helper()
	l.clock = clock
	l.write()
}

// open returns the number of a new session.
func (l *log) open(ttl time.Duration) uint64 {
	l.Helper()
	l.opened++
	a := l.write(command.Command{Op: command.Open, ID: command.SessionID{l.opened}, TTL: ttl})[0]
	if a.Reply.Code != command.OK || a.Reply.Number == 0 || a.ID != (command.SessionID{l.opened}) {
		l.Fatalf("%+v", a)
	}
	return a.Reply.Number
}

// numbered gives a command the next number of a session, and says that all before have been
// answered.
func (l *log) numbered(session uint64, cmd command.Command) command.Command {
	l.seqs[session]++
	cmd.Session, cmd.Seq, cmd.Lowest = session, l.seqs[session], l.seqs[session]
	return cmd
}

// do writes one command.
func (l *log) do(session uint64, cmd command.Command) command.Reply {
	l.Helper()
	cmd = l.numbered(session, cmd)
	a := l.write(cmd)[0]
	if a.Session != session || a.Seq != cmd.Seq {
		l.Errorf("the answer to %+v is addressed to %+v", cmd, a)
	}
	return a.Reply
}

func (l *log) want(what string, r command.Reply, code command.Code) command.Reply {
	l.Helper()
	if r.Code != code {
		l.Fatalf("%s: %+v, want %v", what, r, code)
	}
	return r
}

// wantPushes says what the last entry pushed, as codes and numbers of claims.
func (l *log) wantPushes(want ...command.Push) {
	l.Helper()
	if !slices.Equal(l.pushes, want) {
		l.Errorf("pushed %+v, want %+v", l.pushes, want)
	}
}

func pushed(session uint64, code command.Code, r command.Reply, token uint64) command.Push {
	return command.Push{Session: session, Claim: command.Claim{Number: r.Number, Code: code, Token: token}}
}

// restore goes on with the machine that a snapshot gives.
func (l *log) restore() {
	l.Helper()
	was := l.m.Snapshot()
	m, err := Restore(was)
	if err != nil {
		l.Fatal(err)
	}
	if string(m.Snapshot()) != string(was) {
		l.Fatal("another snapshot after Restore")
	}
	l.m = m
}

const ttl = 10 * time.Second

func acquire(key, attemptID string) command.Command {
	return command.Command{Op: command.Acquire, Key: key, AttemptID: attemptID, TTL: ttl, Wait: true}
}

func try(key, attemptID string) command.Command {
	return command.Command{Op: command.Acquire, Key: key, AttemptID: attemptID, TTL: ttl}
}

func release(key, attemptID string) command.Command {
	return command.Command{Op: command.Release, Key: key, AttemptID: attemptID}
}

func releaseClaim(number uint64) command.Command {
	return command.Command{Op: command.Release, Claims: []uint64{number}}
}

func renew(numbers ...uint64) command.Command {
	return command.Command{Op: command.Renew, Claims: numbers}
}

func evict(key string) command.Command { return command.Command{Op: command.Evict, Key: key} }

var nop = command.Command{Op: command.Nop}

func long(n int) string { return strings.Repeat("x", n) }
