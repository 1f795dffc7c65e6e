package session

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

// TestOneStream: a session is kept alive on one stream.
func TestOneStream(t *testing.T) {
	f := serve(t)
	s := f.unkept(t, time.Minute)
	for range 5 {
		if _, err := s.keepAlive(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.counted(); n != 1+1 { // to look for a proxy took one
		t.Errorf("%d streams for one session", n)
	}
}

// TestProxy: one that keeps leases alive in its own time, and shows it by an answer that no etcd
// gives, is asked on a stream of its own each time, and for no short leases.
func TestProxy(t *testing.T) {
	f := serve(t)
	f.proxy = true
	s := f.unkept(t, time.Second)
	if s.TTL != ProxiedTTL {
		t.Errorf("a lease of %v behind a proxy", s.TTL)
	}
	before := f.counted()
	const times = 4
	for range times {
		if _, err := s.keepAlive(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.counted() - before; n != times {
		t.Errorf("%d streams for %d keep-alives", n, times)
	}
}

// TestLateAnswer: the answer to a keep-alive that was given up does not count for the next, which
// was sent later: the lease would be trusted for longer than it lives.
func TestLateAnswer(t *testing.T) {
	f := serve(t)
	s := f.unkept(t, 3*time.Second)
	if _, err := s.keepAlive(t.Context()); err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	var asked atomic.Int64
	f.set(func() {
		f.alive = func() int64 {
			if asked.Add(1) == 1 {
				<-release
				return 30 // not what the next one gets
			}
			return 60
		}
	})
	if _, err := s.sendKeepAlive(t.Context()); err == nil {
		t.Fatal("an answer that does not come in time was taken")
	}
	close(release)
	sent := time.Now()
	e, err := s.sendKeepAlive(t.Context())
	if err != nil || e.start.Before(sent) || e.left != time.Minute {
		t.Errorf("the next: %+v, %v, counted from before it was sent: %v", e, err, e.start.Before(sent))
	}
	if n := f.counted(); n != 1+2 {
		t.Errorf("%d streams, want another after the late answer", n)
	}
}

// TestPartOfATTL: an answer that tells what is left of a lease, and not all of its TTL, counts from
// so much earlier.
func TestPartOfATTL(t *testing.T) {
	for name, proxy := range map[string]bool{"etcd": false, "proxy": true} {
		t.Run(name, func(t *testing.T) {
			f := serve(t)
			f.proxy = proxy
			const ttl, left = 20 * time.Second, 17 * time.Second
			s := f.unkept(t, ttl)
			f.set(func() {
				f.left = int64(left / time.Second)
				if !proxy { // its own answers, to which nobody listens there, tell all of it
					f.alive = func() int64 { return f.left }
				}
			})
			before := time.Now()
			start, err := s.keepAlive(t.Context())
			if early := left - ttl; err != nil || start.Before(before.Add(early)) || start.After(time.Now().Add(early)) {
				t.Errorf("keepAlive = %v from now, %v; want about %v", time.Until(start), err, early)
			}
		})
	}
}

// TestGone: a server that says that a lease is gone is believed.
func TestGone(t *testing.T) {
	f := serve(t)
	s := f.unkept(t, time.Minute)
	f.set(func() { f.alive = func() int64 { return 0 } })
	if _, err := s.keepAlive(t.Context()); !errors.Is(err, ErrGone) {
		t.Errorf("keepAlive = %v, want that it is gone", err)
	}
}
