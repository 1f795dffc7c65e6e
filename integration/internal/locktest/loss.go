package locktest

import "github.com/fencelock/fencelock/integration/internal/proxy"

// Loss is how a message gets lost, with its connection: the request, so that
// nothing is carried out; or the reply, so that all is, and nobody knows.
type Loss struct {
	Name string
	of   func(p *proxy.Proxy, match func([]byte) bool, n int) *proxy.Fault
}

// The losses there are.
var (
	LostRequest = Loss{"request", (*proxy.Proxy).LoseRequest}
	LostReply   = Loss{"reply", (*proxy.Proxy).LoseReplyTo}
)
