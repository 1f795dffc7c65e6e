package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// place is a Place that a test decides.
type place struct {
	mu      sync.Mutex
	addr    string
	silence time.Duration
	asking  func(ctx context.Context) // in Vouch, before it decides; may be nil
	refuses error                     // of Vouch, whatever the address
	vouched int                       // how often Vouch was called
	doubted []string
}

const addrA, addrB, addrC = "192.0.2.1:6379", "192.0.2.2:6379", "192.0.2.3:6379"

func (p *place) Where(context.Context) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.addr == "" {
		return "", errors.New("nobody knows")
	}
	return p.addr, nil
}

func (p *place) Vouch(ctx context.Context, addr string) error {
	p.mu.Lock()
	p.vouched++
	asking := p.asking
	p.mu.Unlock()
	if asking != nil {
		asking(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case p.refuses != nil:
		return p.refuses
	case addr != p.addr:
		return fmt.Errorf("it is %s", p.addr)
	}
	return nil
}

func (p *place) Silence() time.Duration { return p.silence }

func (p *place) Doubt(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doubted = append(p.doubted, addr)
}

func (p *place) set(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.addr = addr
}

// asked is how often Vouch was called since asked was.
func (p *place) asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { p.vouched = 0 }()
	return p.vouched
}

// doubts are the addresses that were doubted since doubts was called.
func (p *place) doubts() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { p.doubted = nil }()
	return slices.Compact(p.doubted)
}

// world is servers that run scripts, by their addresses, and a node that goes to the one that its Place says.
type world struct {
	*Node
	place *place
	at    map[string]*scriptServer
}

const testSilence = time.Second

func withPlace(t *testing.T, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{place: &place{addr: addrA, silence: testSilence}, at: make(map[string]*scriptServer)}
		for _, addr := range []string{addrA, addrB, addrC} {
			w.at[addr] = newScriptServer()
		}
		conf := BaseOptions()
		conf.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			s := w.at[addr]
			if s == nil {
				return nil, fmt.Errorf("nobody is at %q", addr)
			}
			return s.dial(ctx, network, addr)
		}
		w.Node = New(t.Context(), Config{Options: conf, Place: w.place, DirectLimit: 8, Senders: 1})
		defer w.Close()
		test(t, w)
	})
}

// move has the server move, for all.
func (w *world) move(addr string) {
	w.place.set(addr)
	w.Moved(addr)
}

// echo has the server run a script, and says what is wrong with the answer.
func (w *world) echo(t *testing.T, last string) error {
	t.Helper()
	reply, err := w.Eval(t.Context(), 10*time.Second, echoScript, 1, args(last)...)
	if err == nil && reply != last {
		t.Errorf("%q is answered with %v", last, reply)
	}
	return err
}

// wantReplaced checks the error of a request whose outcome nobody knows.
func wantReplaced(t *testing.T, what string, err error) {
	t.Helper()
	got := Classify(context.Background(), err)
	switch {
	case !errors.Is(err, ErrReplaced), !errors.Is(got, driver.ErrUnavailable), errors.Is(got, driver.ErrRefused), errors.Is(got, ErrNotSent),
		errors.Is(got, context.Canceled), errors.Is(got, context.DeadlineExceeded), errors.Is(got, ErrStale), strings.Contains(got.Error(), "closed network"):
		t.Errorf("%s: %v; want that another server may have taken the place, and the outcome unknown", what, err)
	}
}

func (s *scriptServer) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Connections go where the Place says, and errors name that.
func TestConnectionsGoToThePlace(t *testing.T) {
	withPlace(t, func(t *testing.T, w *world) {
		if err := w.echo(t, "1"); err != nil || w.at[addrA].dials.Load() == 0 {
			t.Errorf("at A: %v", err)
		}
		w.move("192.0.2.9:6379")
		if err := w.echo(t, "2"); err == nil || !strings.Contains(err.Error(), "192.0.2.9:6379") {
			t.Errorf("where nobody is: %v", err)
		}
		if got := w.place.doubts(); !slices.Equal(got, []string{"192.0.2.9:6379"}) {
			t.Errorf("%v is doubted", got)
		}
		w.move("")
		began := time.Now()
		for range 2 {
			err := w.echo(t, "3")
			if !errors.Is(Classify(t.Context(), err), driver.ErrUnavailable) || !errors.Is(err, ErrNowhere) || time.Since(began) != 0 {
				t.Errorf("nowhere: %v after %v", err, time.Since(began))
			}
			got := <-call(t, w.Node, Call{Args: args("4")})
			if !errors.Is(got.err, ErrNotSent) || !errors.Is(got.err, ErrNowhere) {
				t.Errorf("a call to nowhere: %v", got)
			}
		}
		w.move(addrB)
		if err := w.echo(t, "5"); err != nil || w.at[addrB].dials.Load() == 0 {
			t.Errorf("at B: %v", err)
		}
	})
}

// When the server moves, requests under way end at once, with an open outcome. What waits goes to the new place.
func TestMovedEndsRequests(t *testing.T) {
	for _, to := range []string{addrB, ""} {
		withPlace(t, func(t *testing.T, w *world) {
			w.at[addrA].dialling = time.Millisecond // so that they meet
			ended := make(chan error, 4)
			for range 4 {
				go func() { ended <- w.echo(t, "known") }()
			}
			for range 4 {
				if err := <-ended; err != nil {
					t.Fatal(err)
				}
			}
			<-call(t, w.Node, Call{Args: args("known")})
			<-call(t, w.Node, Call{Script: apartScript, Args: args("known")})
			w.at[addrA].silent.Store(true)
			go func() { ended <- w.echo(t, "direct") }()
			go func() {
				_, err := w.Do(t.Context(), time.Minute, "delex", "key")
				ended <- err
			}()
			go func() {
				_, err := w.Once(t.Context(), time.Minute, "delex", "key")
				ended <- err
			}()
			time.Sleep(time.Millisecond)
			sent := call(t, w.Node, Call{Args: args("sent"), Timeout: time.Minute})
			time.Sleep(10 * time.Millisecond)
			queued := call(t, w.Node, Call{Args: args("queued"), Timeout: time.Minute})
			time.Sleep(time.Second) // watch has set deadlines
			began := time.Now()
			w.move(to)
			for range 3 {
				wantReplaced(t, "a request", <-ended)
			}
			wantReplaced(t, "what was sent", (<-sent).err)
			if got := <-queued; to != "" && got != (outcome{reply: "queued"}) || to == "" && !errors.Is(got.err, ErrNowhere) {
				t.Errorf("what was queued: %v", got)
			}
			if took := time.Since(began); took != 0 {
				t.Errorf("it took %v", took)
			}
			synctest.Wait()
			if n := w.at[addrA].open(); n != 0 {
				t.Errorf("%d connections to the old place are open", n)
			}
			for _, p := range []*pool{w.calls.pool, w.dedicated.pool} {
				for c := range p.all {
					if c.at.addr != to {
						t.Errorf("a connection to %s is kept", c.at.addr)
					}
				}
			}
			if ran := strings.Join(w.at[addrB].ran(), ","); to != "" && ran != "queued" {
				t.Errorf("the new server ran %q", ran)
			}
		})
	}
}

// Who waits for a connection gets one to the new place, whatever keeps the one that is being made to the old.
func TestMovedWhileConnecting(t *testing.T) {
	for name, hang := range map[string]func(*scriptServer){
		"dialling":   func(s *scriptServer) { s.dialling = time.Hour },
		"logging in": func(s *scriptServer) { s.silent.Store(true) },
	} {
		withPlace(t, func(t *testing.T, w *world) {
			hang(w.at[addrA])
			ended := make(chan error, 1)
			go func() { ended <- w.echo(t, "1") }()
			time.Sleep(time.Second)
			began := time.Now()
			w.move(addrB)
			if err := <-ended; err != nil || time.Since(began) != 0 {
				t.Errorf("%s: %v after %v", name, err, time.Since(began))
			}
			if got := w.place.doubts(); len(got) > 0 {
				t.Errorf("%s: %v is doubted", name, got)
			}
		})
	}
}

// What a Place names for a new connection is a move, unless Moved has come meanwhile: then it is asked again.
func TestWhereIsAMove(t *testing.T) {
	withPlace(t, func(t *testing.T, w *world) {
		_ = w.echo(t, "1")
		w.place.set(addrB) // and nobody tells
		w.Warm()
		synctest.Wait()
		if n := w.at[addrA].open(); n != 0 || w.locator.now.Load().addr != addrB {
			t.Errorf("%d connections to the old place; the server is at %s", n, w.locator.now.Load().addr)
		}
		slow := &slowPlace{place: w.place, answers: make(chan string)}
		w.locator.place = slow
		w.Warm()
		synctest.Wait()
		w.Moved(addrC)
		slow.answers <- addrA // from before that
		slow.answers <- addrC
		synctest.Wait()
		if at := w.locator.now.Load().addr; at != addrC {
			t.Errorf("the server is at %s", at)
		}
		w.locator.place = w.place
	})
}

// slowPlace says where the server is when the test does.
type slowPlace struct {
	*place
	answers chan string
}

func (p *slowPlace) Where(ctx context.Context) (string, error) {
	select {
	case addr := <-p.answers:
		return addr, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// A server that comes back to an address is not where it was: what it was asked there before has no answer.
func TestMovedThereAndBack(t *testing.T) {
	withPlace(t, func(t *testing.T, w *world) {
		_ = w.echo(t, "known")
		at := w.locator.now.Load()
		w.move(addrB)
		w.move(addrA)
		if err := w.locator.accept(t.Context(), at, time.Now(), time.Second); !errors.Is(err, ErrReplaced) {
			t.Errorf("an answer from before: %v", err)
		}
		w.Moved(addrA) // again: no move
		if now := w.locator.now.Load(); now.over.Err() != nil || now == at {
			t.Error("Moved to where it is has ended the location")
		}
	})
}

// The Place hears of what cannot be reached, does not answer, hangs up, or says that it is not the one; and of
// nothing else.
func TestDoubts(t *testing.T) {
	withPlace(t, func(t *testing.T, w *world) {
		_ = w.echo(t, "known")
		a := w.at[addrA]
		for _, tc := range []struct {
			name   string
			fault  func() error
			doubts bool
		}{
			{"an answer", func() error { return nil }, false},
			{"a refusal", func() error { a.says("-NOPERM no\r\n"); return w.echo(t, "x") }, false},
			{"a replica", func() error {
				a.says("-READONLY You can't write against a read only replica.\r\n")
				return w.echo(t, "x")
			}, true},
			{"a replica without a master", func() error { a.says("-MASTERDOWN Link with MASTER is down\r\n"); return w.echo(t, "x") }, true},
			{"it has just started", func() error { a.says("-LOADING Redis is loading the dataset in memory\r\n"); return w.echo(t, "x") }, true},
			{"no Cluster", func() error { a.says("-CLUSTERDOWN The cluster is down\r\n"); return w.echo(t, "x") }, true},
			{"no replicas", func() error { a.says("-NOREPLICAS Not enough good replicas to write.\r\n"); return w.echo(t, "x") }, true},
			{"a call", func() error {
				a.says("-READONLY You can't write against a read only replica.\r\n")
				return (<-call(t, w.Node, Call{Args: args("x")})).err
			}, true},
			{"silence", func() error {
				a.silent.Store(true)
				_, err := w.Eval(t.Context(), time.Second, echoScript, 1, args("x")...)
				a.silent.Store(false)
				return err
			}, true},
			{"a context that ends", func() error {
				a.silent.Store(true)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
				defer cancel()
				_, err := w.Eval(ctx, time.Second, echoScript, 1, args("x")...)
				a.silent.Store(false)
				return err
			}, false},
			{"it hangs up", func() error {
				a.silent.Store(true)
				time.AfterFunc(time.Second/2, func() { a.restart("b2", true); a.silent.Store(false) })
				return w.echo(t, "x")
			}, true},
			{"a string in a reply", func() error {
				err := Replied("READONLY no")
				w.Suspect(err)
				return err
			}, true},
			{"another string in a reply", func() error {
				err := Replied("NOPERM no")
				w.Suspect(err)
				return err
			}, false},
		} {
			_ = w.echo(t, "known")
			time.Sleep(connectTimeout) // what the one before has begun is over
			w.place.doubts()
			err := tc.fault()
			synctest.Wait()
			a.says("")
			if got := w.place.doubts(); slices.Equal(got, []string{addrA}) != tc.doubts || !tc.doubts && len(got) > 0 {
				t.Errorf("%s (%v): %v is doubted", tc.name, err, got)
			}
		}
	})
}
