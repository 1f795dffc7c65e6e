package locktest

import "github.com/fencelock/fencelock/integration/internal/proxy"

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
