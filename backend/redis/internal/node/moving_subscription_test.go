package node

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// voices is servers that send messages and answer requests, by their addresses, and a node that goes to the one that
// its Place says.
type voices struct {
	*Node
	place  *place
	at     map[string]*speaker
	heard  heard
	sure   []bool // of each message
	before func() // is called when a message has come
}

func withVoices(t *testing.T, test func(t *testing.T, v *voices)) {
	synctest.Test(t, func(t *testing.T) {
		v := &voices{
			place: &place{addr: addrA, silence: testSilence}, before: func() {},
			at: map[string]*speaker{addrA: newSpeaker(), addrB: newSpeaker()},
		}
		conf := BaseOptions()
		conf.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			s := v.at[addr]
			if s == nil {
				return nil, fmt.Errorf("nobody is at %q", addr)
			}
			return s.dial(ctx, network, addr)
		}
		v.Node = New(t.Context(), Config{Options: conf, Place: v.place, DirectLimit: 8})
		defer v.at[addrA].resume()
		defer v.Close()
		onMessage := func(text string) {
			v.before()
			v.sure = append(v.sure, v.Sure())
			v.heard.take(text)
		}
		if err := v.Subscribe(t.Context(), "mine", onMessage, v.heard.again); err != nil {
			t.Fatal(err)
		}
		test(t, v)
	})
}

func (v *voices) move(addr string) {
	v.place.set(addr)
	v.Moved(addr)
}

func (v *voices) ask(t *testing.T) {
	t.Helper()
	if _, err := v.Do(t.Context(), time.Second, "echo", "x"); err != nil {
		t.Error(err)
	}
}

// When the server moves, the subscription does so at once, and tells of it.
func TestSubscriptionMoves(t *testing.T) {
	withVoices(t, func(t *testing.T, v *voices) {
		v.at[addrA].say("mine", "one")
		v.heard.want(t, "one")
		began := time.Now()
		v.move(addrB)
		v.heard.want(t, "one", "again")
		v.at[addrB].say("mine", "two")
		v.heard.want(t, "one", "again", "two")
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
		v.move("")
		time.Sleep(time.Minute)
		v.heard.want(t, "one", "again", "two")
		began = time.Now()
		v.move(addrA)
		v.heard.want(t, "one", "again", "two", "again")
		if took := time.Since(began); took != 0 {
			t.Errorf("from nowhere it took %v", took)
		}
	})
}

// It does so whatever it was about to do at the old place.
func TestSubscriptionMovesFromADeadServer(t *testing.T) {
	for name, dies := range map[string]func(*speaker){
		"hangs up":                                func(s *speaker) { s.hangUp() },
		"is not reached any more":                 func(s *speaker) { s.dialling = time.Hour; s.hangUp() },
		"is stopped, and connections are open":    func(s *speaker) { s.stop() },
		"is stopped, and connections were closed": func(s *speaker) { s.stop(); s.hangUp() },
		"has gone": func(s *speaker) {
			s.gone.Store(true)
			s.hangUp()
		},
	} {
		for _, after := range []time.Duration{0, 50 * time.Millisecond, 150 * time.Millisecond, 12345 * time.Millisecond} {
			withVoices(t, func(t *testing.T, v *voices) {
				dies(v.at[addrA])
				time.Sleep(after)
				v.heard.mu.Lock()
				v.heard.said = nil
				v.heard.mu.Unlock()
				v.move(addrB)
				v.heard.want(t, "again")
				v.at[addrB].say("mine", "two")
				v.heard.want(t, "again", "two")
			})
			if t.Failed() {
				t.Fatalf("where the server %s, and moves %v later", name, after)
			}
		}
	}
}

// A message is sure if it comes from where the server is, and that has not been silent. Otherwise it is a hint.
func TestSure(t *testing.T) {
	withVoices(t, func(t *testing.T, v *voices) {
		say := func(step, addr string, sure bool) {
			t.Helper()
			v.sure = nil
			v.at[addr].say("mine", step)
			synctest.Wait()
			if !slices.Equal(v.sure, []bool{sure}) {
				t.Errorf("%s: %v, want %v", step, v.sure, sure)
			}
		}
		say("before the first answer", addrA, false)
		v.ask(t)
		say("after an answer", addrA, true)
		time.Sleep(testSilence)
		say("just so long after it", addrA, true)
		time.Sleep(time.Nanosecond)
		say("longer after it", addrA, false)
		v.ask(t)
		say("after the next answer", addrA, true)
		v.move(addrB)
		synctest.Wait()
		say("from the next server, before its first answer", addrB, false)
		v.ask(t)
		say("from the next server", addrB, true)

		v.before = func() { v.move(addrA) }
		say("that had come before a move", addrB, false)
		v.before = func() {}
		v.ask(t)
		say("from the one before, again", addrA, true)
		v.before = func() { v.move(addrB); v.ask(t) }
		say("that had come before a move, and the new server has answered", addrA, false)
	})
	withSpeaker(t, func(t *testing.T, s *speaker, n *Node) {
		if !n.Sure() {
			t.Error("without a Place something is not sure")
		}
	})
}

// A subscription on which nothing comes asks for a sign of life. Without one the Place hears of it, and after some
// time another connection is made.
func TestSubscriptionNoticesSilence(t *testing.T) {
	withVoices(t, func(t *testing.T, v *voices) {
		time.Sleep(time.Hour)
		if got := v.place.doubts(); len(got) > 0 || v.at[addrA].dials.Load() != 1 {
			t.Errorf("a server that answers: %v is doubted, and %d connections were made", got, v.at[addrA].dials.Load())
		}
		v.at[addrA].stop()
		began := time.Now()
		for len(v.place.doubts()) == 0 {
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(began); took > 3*testSilence {
			t.Errorf("it is doubted after %v", took)
		}
		v.heard.want(t)
		v.at[addrA].resume()
		time.Sleep(time.Minute)
		v.heard.want(t) // it was silent for less than it may
		v.at[addrA].stop()
		time.Sleep(connectTimeout + 3*testSilence)
		v.at[addrA].resume()
		time.Sleep(connectTimeout + time.Second)
		v.heard.want(t, "again")
	})
}

// A server that takes the connection and refuses to subscribe is asked again and again, until it does not.
func TestSubscriptionIsRefusedForSomeTime(t *testing.T) {
	withSpeaker(t, func(t *testing.T, s *speaker, n *Node) {
		var h heard
		if err := n.Subscribe(t.Context(), "mine", h.take, h.again); err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		s.refuses = true
		s.mu.Unlock()
		s.hangUp()
		time.Sleep(time.Minute)
		if n := s.dials.Load(); n < 100 || n > 2000 {
			t.Errorf("it was asked %d times in a minute", n)
		}
		h.want(t)
		s.mu.Lock()
		s.refuses = false
		s.mu.Unlock()
		time.Sleep(time.Second)
		h.want(t, "again")
		s.say("mine", "one")
		h.want(t, "again", "one")
	})
}
