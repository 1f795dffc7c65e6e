package locktest

import (
	"sync/atomic"

	"github.com/fencelock/fencelock/integration/internal/proxy"
)

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
