package node

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

func TestRedirect(t *testing.T) {
	type redirect struct {
		addr    string
		slot    int
		ask, ok bool
	}
	for text, want := range map[string]redirect{
		"MOVED 3999 127.0.0.1:6381":             {"127.0.0.1:6381", 3999, false, true},
		"ASK 16383 redis.example:6381":          {"redis.example:6381", 16383, true, true},
		"MOVED 0 ::1:6381":                      {"[::1]:6381", 0, false, true},
		"MOVED 0 [::1]:6381":                    {"[::1]:6381", 0, false, true},
		"MOVED 1234 :6381":                      {":6381", 1234, false, true},
		"MOVED 1234 ?:6381":                     {"", 1234, false, true},
		"MOVED 16384 127.0.0.1:6381":            {},
		"MOVED -1 127.0.0.1:6381":               {},
		"MOVED x 127.0.0.1:6381":                {},
		"MOVED 1 127.0.0.1":                     {},
		"MOVED 1":                               {},
		"TRYAGAIN Multiple keys request during": {},
		"":                                      {},
	} {
		for _, err := range []error{Replied(text), Classify(t.Context(), Replied(text))} {
			var got redirect
			if got.addr, got.slot, got.ask, got.ok = Redirect(err); got != want {
				t.Errorf("%v: %v, want %v", err, got, want)
			}
		}
	}
	for _, err := range []error{nil, errors.New("MOVED 3999 127.0.0.1:6381")} {
		if addr, _, _, ok := Redirect(err); ok {
			t.Errorf("%v: %s", err, addr)
		}
	}
}

// ASKING goes right before its call, on its connection, and the script goes in full.
func TestAsking(t *testing.T) {
	s := newScriptServer()
	withNode(t, s, func(t *testing.T, n *Node) {
		evalAll(t, n, Call{Args: args("1")}, Call{Args: args("2"), Asking: true}, Call{Command: []any{"delex", "3"}}, Call{Command: []any{"delex", "4"}, Asking: true})
		if got := <-call(t, n, Call{Args: args("5"), Asking: true}); got != (outcome{reply: "5"}) {
			t.Errorf("Go: %v", got)
		}
		if reply, err := n.EvalAsking(t.Context(), time.Second, echoScript, 1, args("6")...); err != nil || reply != "6" {
			t.Errorf("EvalAsking: %v, %v", reply, err)
		}
		if reply, err := n.EvalAsking(t.Context(), time.Second, echoScript, 1, args("nil")...); err != nil || reply != nil {
			t.Errorf("EvalAsking with a nil reply: %v, %v", reply, err)
		}
		synctest.Wait()
		var got []string
		for _, words := range s.heard {
			if words[0] != "info" && words[0] != "hello" {
				got = append(got, words[0]+" "+words[len(words)-1])
			}
		}
		want := "evalsha 1, asking asking, eval 2, delex 3, asking asking, delex 4, eval 1, " +
			"asking asking, eval 5, asking asking, eval 6, asking asking, eval nil"
		if all := strings.Join(got, ", "); all != want {
			t.Errorf("the server got\n%s, want\n%s", all, want)
		}
	})
}

// EvalAsking ends with its context.
func TestAskingEndsWithItsContext(t *testing.T) {
	withPlace(t, func(t *testing.T, w *world) {
		_ = w.echo(t, "known")
		w.at[addrA].silent.Store(true)
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(why) })
		if _, err := w.EvalAsking(ctx, time.Minute, echoScript, 1, args("x")...); !errors.Is(err, why) {
			t.Errorf("%v", err)
		}
	})
}

// A server that does not allow ASKING sends the request on: the caller gets the reason. If the server has taken it all
// the same, its answer counts.
func TestAskingIsRefused(t *testing.T) {
	for _, tc := range []struct {
		asking, answer error
		want           string
	}{
		{Replied("NOPERM no asking"), Replied("MOVED 7 10.0.0.1:1"), "NOPERM no asking"},
		{Replied("NOPERM no asking"), nil, ""},
		{nil, Replied("MOVED 7 10.0.0.1:1"), "MOVED 7 10.0.0.1:1"},
	} {
		r := &request{cmd: goredis.NewCmd(t.Context(), "eval"), asking: goredis.NewCmd(t.Context(), "asking")}
		r.cmd.SetErr(tc.answer)
		r.asking.SetErr(tc.asking)
		r.askingRefused()
		got := ""
		if err := r.cmd.Err(); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("after %v and %v the caller gets %q", tc.asking, tc.answer, got)
		}
	}
}
