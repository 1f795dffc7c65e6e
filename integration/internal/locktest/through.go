package locktest

import (
	"context"
	"runtime/pprof"

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
