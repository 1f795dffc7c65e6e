package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/driver"
)

// evalAll sends calls, and returns their outcomes and how long it took.
func evalAll(t *testing.T, n *Node, calls ...Call) (got []outcome, took time.Duration) {
	t.Helper()
	all, ends := make([]*Call, len(calls)), make([]<-chan outcome, len(calls))
	for i, c := range calls {
		all[i], ends[i] = watched(t, c)
	}
	began := time.Now()
	n.EvalAll(all)
	for i, ended := range ends {
		select {
		case o := <-ended:
			got = append(got, o)
		default:
			t.Errorf("call %d has not ended, and EvalAll has", i)
		}
	}
	return got, time.Since(began)
}

// Calls and a plain command go in one write, in their order, and each gets its own reply or error.
func TestEvalAll(t *testing.T) {
	s := newScriptServer()
	withNode(t, s, func(t *testing.T, n *Node) {
		evalAll(t, n, Call{Args: args("known")}, Call{Script: otherScript, Args: args("known too")})
		writes := s.writes.Load()
		got, _ := evalAll(t, n, Call{Args: args("1")}, Call{Command: []any{"delex", "key", "ifeq", "2"}}, Call{Args: args("nil")},
			Call{Args: args("refuse")}, Call{Command: []any{"whatever"}}, Call{Script: otherScript, Args: args("3")})
		if got[0] != (outcome{reply: "1"}) || got[1] != (outcome{reply: "2"}) || got[2] != (outcome{}) || got[5] != (outcome{reply: "3"}) {
			t.Errorf("the outcomes are %v", got)
		}
		if !errors.Is(Classify(t.Context(), got[3].err), driver.ErrRefused) || !IsUnknownCommand(got[3].err) || !IsUnknownCommand(got[4].err) {
			t.Errorf("what is refused: %v, %v", got[3], got[4])
		}
		if w := s.writes.Load() - writes; w != 1 || s.dials.Load() != 1 {
			t.Errorf("%d writes on %d connections", w, s.dials.Load())
		}
		if ran := strings.Join(s.ran(), ","); ran != "known,known too,1,2,nil,refuse,3" {
			t.Errorf("the server ran %s", ran)
		}
		n.EvalAll(nil)
	})
}

// A script that the server does not know is sent once more, with the source once, after the others.
func TestEvalAllOfAnUnknownScript(t *testing.T) {
	s := newScriptServer()
	withNode(t, s, func(t *testing.T, n *Node) {
		got, _ := evalAll(t, n, Call{Args: args("1")}, Call{Command: []any{"delex", "key", "ifeq", "2"}}, Call{Args: args("3")})
		for i, o := range got {
			if o.err != nil {
				t.Errorf("call %d: %v", i, o)
			}
		}
		if ran := strings.Join(s.ran(), ","); ran != "2,1,3" || s.full != 1 {
			t.Errorf("the server ran %s, and got %d sources", ran, s.full)
		}
	})
}

// A call that follows others is sent again after those of them that are, and only then.
func TestCallThatFollows(t *testing.T) {
	s := newScriptServer()
	withNode(t, s, func(t *testing.T, n *Node) {
		follows := Call{Command: []any{"delex", "follows"}, Follows: true}
		for step, want := range []string{"follows,1,follows", "2,follows"} { // the script is not known, and then it is
			s.mu.Lock()
			s.calls = nil
			s.mu.Unlock()
			got, _ := evalAll(t, n, Call{Args: args(fmt.Sprint(step + 1))}, follows)
			if got[0] != (outcome{reply: fmt.Sprint(step + 1)}) || got[1] != (outcome{reply: "follows"}) {
				t.Errorf("the outcomes are %v", got)
			}
			if ran := strings.Join(s.ran(), ","); ran != want {
				t.Errorf("the server ran %s, want %s", ran, want)
			}
		}
		follower, ended := watched(t, follows)
		if reply, err := n.EvalThen(t.Context(), follower, &Call{Timeout: time.Second, Script: otherScript, Args: args("3")}); err != nil || reply != "3" {
			t.Errorf("EvalThen: %v, %v", reply, err)
		}
		if got := <-ended; got != (outcome{reply: "follows"}) {
			t.Errorf("then: %v", got)
		}
		s.silent.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		follower, ended = watched(t, follows)
		if _, err := n.EvalThen(ctx, follower, &Call{Timeout: 2 * time.Second, Script: otherScript, Args: args("4")}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("EvalThen of a silent server: %v", err)
		}
		if got := <-ended; !errors.Is(got.err, ErrNoAnswer) {
			t.Errorf("then: %v", got)
		}
	})
}

// A call whose context has ended is not sent, and the others are. The end of a context after that changes
// nothing.
func TestEvalAllHeedsContexts(t *testing.T) {
	s := newScriptServer()
	withNode(t, s, func(t *testing.T, n *Node) {
		evalAll(t, n, Call{Args: args("known")})
		s.held = make(chan struct{})
		ended, end := context.WithCancel(t.Context())
		end()
		ending, end := context.WithCancel(t.Context())
		time.AfterFunc(time.Second/4, end)
		time.AfterFunc(time.Second/2, func() { close(s.held) })
		got, _ := evalAll(t, n, Call{Ctx: ended, Args: args("never")}, Call{Ctx: ending, Args: args("sent")})
		if !errors.Is(got[0].err, ErrNotSent) || errors.Is(Classify(t.Context(), got[0].err), context.Canceled) {
			t.Errorf("one that nobody waits for: %v", got[0])
		}
		if got[1] != (outcome{reply: "sent"}) {
			t.Errorf("one that was given up when it was under way: %v", got[1])
		}
		if ran := strings.Join(s.ran(), ","); ran != "known,sent" {
			t.Errorf("the server ran %s", ran)
		}
	})
}

// A server that says nothing is given up after the longest of the timeouts, and nothing is sent again. One
// that closes the connection neither.
func TestEvalAllToASilentServer(t *testing.T) {
	s := newScriptServer()
	withNode(t, s, func(t *testing.T, n *Node) {
		evalAll(t, n, Call{Args: args("known")})
		s.silent.Store(true)
		got, took := evalAll(t, n, Call{Args: args("1"), Timeout: time.Second}, Call{Args: args("2"), Timeout: 2 * time.Second})
		for i, o := range got {
			if !errors.Is(o.err, ErrNoAnswer) || errors.Is(o.err, ErrNotSent) || took != 2*time.Second {
				t.Errorf("call %d: %v after %v", i, o, took)
			}
		}
		time.Sleep(connectTimeout) // until the connection that was under way has failed
		s.silent.Store(false)
		evalAll(t, n, Call{Args: args("known")})
		s.silent.Store(true)
		time.AfterFunc(time.Second/2, func() { s.restart("b2", true) })
		got, _ = evalAll(t, n, Call{Args: args("3")}, Call{Args: args("4")})
		for i, o := range got {
			if o.err == nil || errors.Is(o.err, ErrNotSent) || !errors.Is(Classify(t.Context(), o.err), driver.ErrUnavailable) {
				t.Errorf("call %d on a connection that broke: %v", i, o)
			}
		}
		if ran := strings.Join(s.ran(), ","); ran != "known,1,2,known,3,4" {
			t.Errorf("the server ran %s", ran)
		}
	})
}

// Close ends what is under way, and nothing is sent afterwards.
func TestEvalAllEndsWithTheNode(t *testing.T) {
	s := newScriptServer()
	withNode(t, s, func(t *testing.T, n *Node) {
		evalAll(t, n, Call{Args: args("known")})
		s.silent.Store(true)
		time.AfterFunc(time.Second/2, n.Close)
		got, took := evalAll(t, n, Call{Args: args("sent"), Timeout: time.Minute})
		if !errors.Is(got[0].err, ErrClosed) || errors.Is(got[0].err, ErrNotSent) || took != time.Second/2 {
			t.Errorf("what was under way: %v after %v", got[0], took)
		}
		got, took = evalAll(t, n, Call{Args: args("late")}, Call{Command: []any{"delex", "late"}})
		for i, o := range got {
			if !errors.Is(o.err, ErrClosed) || !errors.Is(o.err, ErrNotSent) || took != 0 {
				t.Errorf("call %d after Close: %v after %v", i, o, took)
			}
		}
	})
}

// What runs once is not sent again though the connection had been idle; what Do runs is.
func TestOnceIsNotRepeated(t *testing.T) {
	s := newScriptServer()
	withNode(t, s, func(t *testing.T, n *Node) {
		run := func(do func(context.Context, time.Duration, ...any) (any, error)) (any, error) {
			t.Helper()
			evalAll(t, n, Call{Args: args("known")})
			time.Sleep(2 * time.Second) // the connection is idle
			s.silent.Store(true)
			time.AfterFunc(time.Second/4, func() {
				s.restart("b2", true)
				s.silent.Store(false)
			})
			return do(t.Context(), time.Second, "delex", "key", "ifeq", "1")
		}
		if reply, err := run(n.Once); !errors.Is(err, ErrStale) {
			t.Errorf("Once = %v, %v", reply, err)
		}
		if reply, err := run(n.Do); err != nil || reply != "1" {
			t.Errorf("Do = %v, %v", reply, err)
		}
		synctest.Wait()
		if ran := strings.Join(s.ran(), ","); ran != "known,1,known,1,1" {
			t.Errorf("the servers ran %s", ran)
		}
		if _, err := n.Once(t.Context(), time.Second, "whatever"); !IsUnknownCommand(err) {
			t.Errorf("an unknown command: %v", err)
		}
	})
}

func TestIsUnknownCommand(t *testing.T) {
	for err, want := range map[error]bool{
		Replied("ERR unknown command 'DELEX', with args beginning with: 'x' "):                   true,
		Replied("NOPERM User locks has no permissions to run the 'delex' command"):               true,
		Replied("NOPERM No permissions to access a key"):                                         true,
		Replied("WRONGTYPE Operation against a key holding the wrong kind of value"):             false,
		Replied("ERR syntax error"):                                                              false,
		Replied("ERR Unknown Redis command called from script script: 9018, on @user_script:1."): false,
		errors.New("unknown command"):                                                            false,
		goredis.Nil:                                                                              false,
		error(nil):                                                                               false,
	} {
		if got := IsUnknownCommand(err); got != want {
			t.Errorf("%v: %v", err, got)
		}
	}
}

func TestIsOtherType(t *testing.T) {
	for err, want := range map[error]bool{
		Replied("WRONGTYPE Operation against a key holding the wrong kind of value"):    true,
		Replied("ERR Key should be of string type if conditions are specified"):         true,
		Replied("ERR unknown command 'DELEX', with args beginning with: 'x' "):          false,
		errors.New("WRONGTYPE Operation against a key holding the wrong kind of value"): false,
		error(nil): false,
	} {
		if got := IsOtherType(err); got != want {
			t.Errorf("%v: %v", err, got)
		}
	}
}

// What is of use and not needed is no refusal, and is told where it is allowed.
func TestFeatures(t *testing.T) {
	for want, found := range map[string][]string{
		"DELEX":   {"+delex"},
		"DELIFEQ": {"+delifeq", "+another"},
		"":        {"+another"},
	} {
		if err := (Permissions{KeyCommands: 1}).judge(found); err != nil {
			t.Errorf("%q: %v", found, err)
		}
		n := new(Node)
		if got := n.Features(); got != (Features{}) {
			t.Errorf("before Prepare: %v", got)
		}
		n.features.Store(featuresOf(found))
		if got := n.Features(); got.Delete != want {
			t.Errorf("%q: %v", found, got)
		}
		if n.ForgetDelete(); n.Features().Delete != "" {
			t.Errorf("%q: Delete is not forgotten", found)
		}
	}
}
