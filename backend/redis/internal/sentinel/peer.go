package sentinel

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
)

// peer is a Sentinel by one of its addresses.
type peer struct {
	addr string
	id   string // of the Sentinel that is meant, if others have told of it; "" for an address of the configuration
	node *node.Node
	stop context.CancelFunc // of listen

	// Guarded by Watch.mu:

	heard  string // the id of the Sentinel that answered last, if it watches the master
	asking bool   // a question is under way

	// Of those of which others tell, some cannot be reached from here (NAT, containers): each failure doubles the
	// time until it is asked again.
	rest  time.Duration
	until time.Time
}

// longestRest is how long a Sentinel that cannot be reached is left alone, at the most.
const longestRest = 30 * time.Second

// newPeer begins to listen to a Sentinel, which is to be at addr. It is called with w.mu held, before Close.
func (w *Watch) newPeer(addr, id string) *peer {
	conf := w.conf.Options
	conf.Network, conf.Addr = "tcp", addr
	p := &peer{addr: addr, id: id, node: node.New(w.closing, node.Config{Options: conf})}
	listening, stop := context.WithCancel(w.closing)
	p.stop = stop
	w.running.Go(func() { w.listen(listening, p) })
	return p
}

// ask asks the Sentinel about the master. An answer of another Sentinel than the one that is meant counts for
// nothing: an address of which others tell may mean something else on this machine, such as another
// installation with a master of the same name.
func (p *peer) ask(name string, others bool) answer {
	a := ask(p.node, p.addr, name, others)
	if a.err == nil && p.id != "" && a.id != p.id {
		return answer{from: p.addr, err: errAnother}
	}
	return a
}

// note notes what came of a question. It is called with Watch.mu held.
func (p *peer) note(a answer) {
	p.asking = false
	switch {
	case a.err == nil:
		p.rest, p.until = 0, time.Time{}
		if a.master != "" {
			p.heard = a.id
		}
	case p.id != "":
		p.rest = min(max(2*p.rest, time.Second), longestRest)
		p.until = time.Now().Add(jitter(p.rest))
	}
}

// listen hears what the Sentinel says of new masters. Once it has subscribed, it leaves that to the node; it also
// ends with ctx. The watch is told, too, when something may have been missed.
func (w *Watch) listen(ctx context.Context, p *peer) {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, longestRest) {
		if p.node.Subscribe(ctx, "+switch-master", w.hear, w.missed) == nil {
			w.missed()
			return
		}
		if !sleep(ctx, jitter(pause)) {
			return
		}
	}
}

// close ends the connections to the Sentinel, and waits for questions under way.
func (p *peer) close() {
	p.stop()
	p.node.Close()
}

// jitter is about d, so that many clients do not ask at the same time.
func jitter(d time.Duration) time.Duration { return d*3/4 + rand.N(d/2+1) }

// sleep reports whether ctx has not ended meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
