package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// scriptServer runs scripts: it answers each with its last argument. It knows those that it has had
// the source of since it was started, and is on one end of pipes, so that time is virtual.
type scriptServer struct {
	fakeServer
	mu    sync.Mutex
	boot  string
	known map[string]bool
	calls []string      // the last arguments of scripts that ran, in order
	full  int           // times that a source came
	heard [][]string    // all commands
	held  chan struct{} // if it is not nil, no script is answered before it is closed
	word  string        // if it is not empty, the answer to each script, which does not run
	conns map[net.Conn]struct{}
}

func newScriptServer() *scriptServer {
	s := &scriptServer{boot: "b1", known: make(map[string]bool), conns: make(map[net.Conn]struct{})}
	s.serves = s.serve
	return s
}

// restart begins a process that knows no script. Connections to the old one stay if they are lost to
// this machine's sight.
func (s *scriptServer) restart(boot string, closes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.boot, s.known = boot, make(map[string]bool)
	for c := range s.conns {
		if closes {
			_ = c.Close()
		}
		delete(s.conns, c)
	}
}

func (s *scriptServer) ran() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.calls...)
}

// says has the server answer each script with a word, and run none; with "" no more.
func (s *scriptServer) says(word string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.word = word
}

func (s *scriptServer) serve(c net.Conn) {
	defer c.Close()
	s.mu.Lock()
	s.conns[c] = struct{}{}
	boot := s.boot
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, c)
	}()
	answers := make(chan string, 10000) // more than a connection has room for
	defer close(answers)
	go func() {
		for a := range answers {
			_, _ = io.WriteString(c, a) // the reader notices what is wrong
		}
	}()
	r := bufio.NewReader(c)
	for {
		words, err := readCommand(r)
		if err != nil {
			return
		}
		s.mu.Lock()
		held := s.held
		s.mu.Unlock()
		if held != nil && strings.HasPrefix(words[0], "eval") {
			<-held
		}
		if answer := s.answer(boot, words); !s.silent.Load() {
			answers <- answer
		}
	}
}

func (s *scriptServer) answer(boot string, words []string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := words[len(words)-1]
	s.heard = append(s.heard, words)
	if strings.HasPrefix(words[0], "eval") && s.word != "" {
		return s.word
	}
	switch words[0] {
	case "info":
		text := "# Server\r\nrun_id:" + boot + "\r\n"
		return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text)
	case "eval":
		s.full++
		s.known[NewScript(words[1]).name.(string)] = true
	case "evalsha":
		if !s.known[words[1]] {
			return "-NOSCRIPT No matching script.\r\n"
		}
	case "asking":
		return "+OK\r\n"
	case "delex":
	default:
		return "-ERR unknown command\r\n"
	}
	s.calls = append(s.calls, last)
	switch last {
	case "nil":
		return "$-1\r\n"
	case "refuse":
		return "-NOPERM no\r\n"
	}
	return "+" + last + "\r\n"
}

var (
	echoScript  = NewScript("return ARGV[1]")
	otherScript = NewScript("return ARGV[1] -- other")
	apartScript = NewScript("return ARGV[1] -- apart").Dedicated()
)

// withNode runs a test with a node whose server runs scripts, in virtual time.
func withNode(t *testing.T, s *scriptServer, test func(t *testing.T, n *Node)) {
	synctest.Test(t, func(t *testing.T) {
		closing, end := context.WithCancel(context.Background())
		defer end()
		n := New(closing, Config{Options: s.conf(), Senders: 1, TellBoot: true})
		test(t, n)
		n.Close()
	})
}

// call begins a call that is expected to end once, and returns where it does.
func call(t *testing.T, n *Node, c Call) <-chan outcome {
	t.Helper()
	p, ended := watched(t, c)
	n.Go(p)
	return ended
}

// watched returns a call that is expected to end once, and where it does.
func watched(t *testing.T, c Call) (*Call, <-chan outcome) {
	ended := make(chan outcome, 1)
	var times atomic.Int32
	if c.Ctx == nil {
		c.Ctx = t.Context()
	}
	if c.Timeout == 0 {
		c.Timeout = time.Second
	}
	if c.Script == nil && c.Command == nil {
		c.Script = echoScript
	}
	c.Done = func(reply any, err error) {
		if times.Add(1) > 1 {
			t.Errorf("Done of %v is called again, with %v, %v", c.Args, reply, err)
			return
		}
		ended <- outcome{reply, err}
	}
	return &c, ended
}

func args(last string) []any { return []any{"key", last} }

// Calls that come together go together, and each gets its own reply, also where the server does not
// know a script: its source is sent once.
func TestCallsGoTogether(t *testing.T) {
	s := newScriptServer()
	s.dialling = time.Millisecond // so that all are queued before the first is sent
	withNode(t, s, func(t *testing.T, n *Node) {
		var ended []<-chan outcome
		for i := range 500 {
			script := []*Script{echoScript, otherScript}[i%2]
			ended = append(ended, call(t, n, Call{Script: script, Args: args(fmt.Sprint(i)), Keys: 1}))
		}
		for i, e := range ended {
			if got := <-e; got.err != nil || got.reply != fmt.Sprint(i) {
				t.Errorf("call %d: %v", i, got)
			}
		}
		if n := s.writes.Load(); n > 20 {
			t.Errorf("it took %d writes", n)
		}
		if s.full != 2 || s.dials.Load() != 1 || len(s.ran()) != 500 {
			t.Errorf("%d sources were sent on %d connections and %d scripts ran; want 2, 1, 500", s.full, s.dials.Load(), len(s.ran()))
		}
	})
}

// With one sender the server carries calls out in the order in which they came.
func TestCallsKeepTheirOrder(t *testing.T) {
	s := newScriptServer()
	withNode(t, s, func(t *testing.T, n *Node) {
		<-call(t, n, Call{Args: args("known")})
		var want []string
		var last <-chan outcome
		for i := range 2000 {
			want = append(want, fmt.Sprint(i))
			last = call(t, n, Call{Args: args(want[i])})
		}
		<-last
		if got := s.ran()[1:]; strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("the server ran %d calls in another order", len(got))
		}
	})
}

// A nil reply is none, and an error of the server is the call's own.
func TestCallOutcomes(t *testing.T) {
	withNode(t, newScriptServer(), func(t *testing.T, n *Node) {
		none, refused, good := call(t, n, Call{Args: args("nil")}), call(t, n, Call{Args: args("refuse")}), call(t, n, Call{Args: args("good")})
		if got := <-none; got != (outcome{}) {
			t.Errorf("a nil reply: %v", got)
		}
		if got := <-refused; !errors.Is(Classify(t.Context(), got.err), driver.ErrRefused) || errors.Is(got.err, ErrNotSent) {
			t.Errorf("a refusal: %v", got)
		}
		if got := <-good; got != (outcome{reply: "good"}) {
			t.Errorf("the one after it: %v", got)
		}
	})
}

// A call whose context ends before it is sent is not sent. One that is under way goes on.
func TestCallDroppedByItsContext(t *testing.T) {
	s := newScriptServer()
	withNode(t, s, func(t *testing.T, n *Node) {
		<-call(t, n, Call{Args: args("known")})
		s.held = make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		underWay := call(t, n, Call{Ctx: ctx, Args: args("under way")})
		synctest.Wait()
		dropped, kept := call(t, n, Call{Ctx: ctx, Args: args("dropped")}), call(t, n, Call{Args: args("kept")})
		cancel()
		synctest.Wait()
		close(s.held)
		if got := <-underWay; got != (outcome{reply: "under way"}) {
			t.Errorf("what was under way: %v", got)
		}
		if got := <-kept; got != (outcome{reply: "kept"}) {
			t.Errorf("what somebody waits for: %v", got)
		}
		got := <-dropped
		if err := Classify(context.Background(), got.err); !errors.Is(err, ErrNotSent) || !errors.Is(err, driver.ErrUnavailable) || errors.Is(err, context.Canceled) {
			t.Errorf("what nobody waits for: %v", got)
		}
		if ran := strings.Join(s.ran(), ","); ran != "known,under way,kept" {
			t.Errorf("the server ran %s", ran)
		}
	})
}

// A server that says nothing: what was sent is open, what waited for it was not sent, and both end in
// time.
func TestCallsToASilentServer(t *testing.T) {
	s := newScriptServer()
	withNode(t, s, func(t *testing.T, n *Node) {
		<-call(t, n, Call{Args: args("known")})
		s.silent.Store(true)
		began := time.Now()
		sent := call(t, n, Call{Args: args("sent"), Timeout: time.Second})
		synctest.Wait()
		queued := call(t, n, Call{Args: args("queued"), Timeout: time.Second / 2})
		if got := <-sent; got.err == nil || errors.Is(got.err, ErrNotSent) || !errors.Is(Classify(t.Context(), got.err), driver.ErrUnavailable) || time.Since(began) != time.Second {
			t.Errorf("what was sent: %v after %v", got, time.Since(began))
		}
		if got := <-queued; !errors.Is(got.err, ErrNotSent) || time.Since(began) > 1500*time.Millisecond {
			t.Errorf("what waited for it: %v after %v", got, time.Since(began))
		}
	})
}

// A call that has waited for its whole time is not sent any more, though the server answers.
func TestCallThatWaitedTooLong(t *testing.T) {
	s := newScriptServer()
	withNode(t, s, func(t *testing.T, n *Node) {
		<-call(t, n, Call{Args: args("known")})
		s.held = make(chan struct{})
		slow := call(t, n, Call{Args: args("slow")})
		synctest.Wait()
		short, long := call(t, n, Call{Args: args("short"), Timeout: time.Second / 4}), call(t, n, Call{Args: args("long")})
		time.Sleep(time.Second / 2)
		close(s.held)
		if got := <-slow; got.err != nil {
			t.Errorf("the slow one: %v", got)
		}
		if got := <-long; got.err != nil {
			t.Errorf("one that has time: %v", got)
		}
		if got := <-short; !errors.Is(got.err, ErrNotSent) || strings.Contains(strings.Join(s.ran(), ","), "short") {
			t.Errorf("one whose time is over: %v", got)
		}
	})
}

// Where no connection can be made nothing was sent.
func TestCallsToNobody(t *testing.T) {
	s := newScriptServer()
	s.dialling = time.Hour
	withNode(t, s, func(t *testing.T, n *Node) {
		began := time.Now()
		got := <-call(t, n, Call{Args: args("x"), Timeout: time.Second})
		if !errors.Is(got.err, ErrNotSent) || !errors.Is(Classify(context.Background(), got.err), driver.ErrUnavailable) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", got, time.Since(began))
		}
	})
}

// So many calls wait, and no more.
func TestCallsAreBounded(t *testing.T) {
	s := newScriptServer()
	withNode(t, s, func(t *testing.T, n *Node) {
		<-call(t, n, Call{Args: args("known")})
		s.held = make(chan struct{})
		ended := []<-chan outcome{call(t, n, Call{Args: args("first")})}
		synctest.Wait() // it is under way
		for range maxQueued {
			ended = append(ended, call(t, n, Call{Args: args("x")}))
		}
		for range 3 {
			select {
			case got := <-call(t, n, Call{Args: args("too many")}):
				if !errors.Is(got.err, ErrNotSent) || !errors.Is(Classify(context.Background(), got.err), driver.ErrUnavailable) {
					t.Errorf("one too many: %v", got)
				}
			default:
				t.Error("more are queued than there is room for")
			}
		}
		close(s.held)
		for _, e := range ended {
			if got := <-e; got.err != nil {
				t.Fatalf("one that there was room for: %v", got)
			}
		}
		if got := <-call(t, n, Call{Args: args("later")}); got.err != nil {
			t.Errorf("when there is room again: %v", got)
		}
	})
}

// A call that is for one process of the server is never sent to another, whether this machine knows of
// the restart or not.
func TestCallIsForOneBoot(t *testing.T) {
	for _, told := range []bool{true, false} {
		t.Run(fmt.Sprint("connections closed: ", told), func(t *testing.T) {
			s := newScriptServer()
			withNode(t, s, func(t *testing.T, n *Node) {
				if got := <-call(t, n, Call{Args: args("1"), Boot: "b1"}); got.err != nil || n.Boot() != "b1" {
					t.Errorf("the first process: %v; Boot is %q", got, n.Boot())
				}
				var boot *BootError
				if got := <-call(t, n, Call{Args: args("2"), Boot: "b0"}); !errors.As(got.err, &boot) || *boot != (BootError{"b0", "b1"}) || !errors.Is(got.err, ErrNotSent) {
					t.Errorf("one that is gone: %v", got)
				}
				s.restart("b2", told)
				n.Warm() // the connection made last tells
				time.Sleep(2 * time.Second)
				if n.Boot() != "b2" {
					t.Fatalf("Boot is %q", n.Boot())
				}
				// Together, on one connection.
				old, young, either := call(t, n, Call{Args: args("3"), Boot: "b1"}), call(t, n, Call{Args: args("4"), Boot: "b2"}), call(t, n, Call{Args: args("5")})
				if got := <-old; !errors.As(got.err, &boot) || *boot != (BootError{"b1", "b2"}) {
					t.Errorf("the old one: %v", got)
				}
				if got := <-young; got != (outcome{reply: "4"}) {
					t.Errorf("the new one: %v", got)
				}
				if got := <-either; got != (outcome{reply: "5"}) {
					t.Errorf("whichever: %v", got)
				}
				if ran := strings.Join(s.ran(), ","); ran != "1,4,5" {
					t.Errorf("the servers ran %s", ran)
				}
			})
		})
	}
}

// A connection that leads to the old process is not used again once a new one is known, though it was
// busy then and works.
func TestOldConnectionIsGivenUp(t *testing.T) {
	s := newScriptServer()
	withNode(t, s, func(t *testing.T, n *Node) {
		<-call(t, n, Call{Args: args("known")})
		s.held = make(chan struct{})
		busy := call(t, n, Call{Args: args("busy")})
		synctest.Wait()
		s.restart("b2", false)
		n.Warm()
		synctest.Wait()
		close(s.held)
		<-busy
		if got := <-call(t, n, Call{Args: args("new"), Boot: "b2"}); got != (outcome{reply: "new"}) {
			t.Errorf("%v", got)
		}
	})
}

// Scripts apart do not wait for the others.
func TestApart(t *testing.T) {
	s := newScriptServer()
	withNode(t, s, func(t *testing.T, n *Node) {
		<-call(t, n, Call{Args: args("known")})
		<-call(t, n, Call{Script: apartScript, Args: args("known")})
		s.silent.Store(true)
		_ = call(t, n, Call{Args: args("hangs"), Timeout: time.Minute})
		synctest.Wait()
		s.silent.Store(false)
		began := time.Now()
		if got := <-call(t, n, Call{Script: apartScript, Args: args("apart")}); got.err != nil || time.Since(began) != 0 {
			t.Errorf("%v after %v", got, time.Since(began))
		}
	})
}

// Close ends calls that are queued and under way, each once, and none begins afterwards.
func TestCallsEndWithTheNode(t *testing.T) {
	s := newScriptServer()
	withNode(t, s, func(t *testing.T, n *Node) {
		<-call(t, n, Call{Args: args("known")})
		s.silent.Store(true)
		sent := call(t, n, Call{Args: args("sent"), Timeout: time.Minute})
		synctest.Wait()
		queued := call(t, n, Call{Args: args("queued"), Timeout: time.Minute})
		began := time.Now()
		n.Close()
		n.Close()
		if got := <-sent; !errors.Is(got.err, ErrClosed) || errors.Is(got.err, ErrNotSent) {
			t.Errorf("what was sent: %v", got)
		}
		if got := <-queued; !errors.Is(got.err, ErrClosed) || !errors.Is(got.err, ErrNotSent) {
			t.Errorf("what was queued: %v", got)
		}
		if got := <-call(t, n, Call{Args: args("late")}); !errors.Is(got.err, ErrClosed) || !errors.Is(got.err, ErrNotSent) {
			t.Errorf("what came afterwards: %v", got)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

// A connection that breaks: what was sent is open, and is not sent again.
func TestCallIsNotSentTwice(t *testing.T) {
	s := newScriptServer()
	withNode(t, s, func(t *testing.T, n *Node) {
		<-call(t, n, Call{Args: args("known")})
		s.silent.Store(true)
		sent := call(t, n, Call{Args: args("once")})
		synctest.Wait()
		s.restart("b2", true)
		s.silent.Store(false)
		if got := <-sent; got.err == nil || errors.Is(got.err, ErrNotSent) || !errors.Is(Classify(t.Context(), got.err), driver.ErrUnavailable) {
			t.Errorf("%v", got)
		}
		<-call(t, n, Call{Args: args("next")})
		if ran := strings.Join(s.ran(), ","); ran != "known,once,next" {
			t.Errorf("the servers ran %s", ran)
		}
	})
}
