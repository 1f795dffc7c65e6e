package locktest

import (
	"context"
	"runtime/pprof"
	"sync/atomic"

	"github.com/fencelock/fencelock/integration/internal/proxy"
)

// Through puts a proxy in front of the server at addr. Its goroutines are not taken for
// those of a backend.
func Through(t T, addr string, protocol proxy.Protocol) *proxy.Proxy {
	t.Helper()
	var p *proxy.Proxy
	var err error
	Unlabelled(func() { p, err = proxy.New(addr, protocol) })
	if err != nil {
		t.Fatalf("proxy: %v", err)
	}
	t.Cleanup(p.Close)
	return p
}

// Unlabelled runs f on a goroutine without the labels by which the suite finds those
// that a backend leaks: a goroutine inherits its maker's.
func Unlabelled(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		pprof.SetGoroutineLabels(context.Background())
		f()
	}()
	<-done
}

// Deliver lets a request go on whose client is gone, or was cut off meanwhile, by
// Release or ReleaseAlone. It returns when the server has carried it out: it has closed
// the connection, whose end, on the client's side, followed.
func Deliver(t T, p *proxy.Proxy, late proxy.Held, release func(proxy.Held)) {
	t.Helper()
	open := p.Counts().Open
	release(late)
	Await(t, Soon, "the late request is delivered", late.Delivered())
	Eventually(t, Soon, "the server has seen the end of its connection", func() bool { return p.Counts().Open < open })
}

// Tally counts the requests that pass a proxy from now on and match. (Counts has
// all, those among them that a client sends by itself.)
func Tally(p *proxy.Proxy, match func(request []byte) bool) *atomic.Int64 {
	n := new(atomic.Int64)
	p.LoseRequest(func(request []byte) bool {
		if match(request) {
			n.Add(1)
		}
		return false
	}, 1)
	return n
}

// Ways are those of one client to whatever servers it is told of: its options have their Dial as Dialer.
func Ways(t T, protocol proxy.Protocol) *proxy.Ways {
	t.Helper()
	w := proxy.NewWays(protocol)
	t.Cleanup(w.Close)
	return w
}
