package sentinel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
)

// Start connects to the Sentinels, and returns when a majority has named a master, or when it is certain that none
// will, at the latest when ctx ends. It returns a sentence for each thing about the Sentinels that weakens what
// they are for. The error has been through node.Classify, and says what the Sentinels have said. Start is called once.
func (w *Watch) Start(ctx context.Context) (warnings []string, err error) {
	w.mu.Lock()
	if !w.closed {
		for _, addr := range w.conf.Addrs {
			w.peers = append(w.peers, w.newPeer(addr, ""))
		}
	}
	w.mu.Unlock()
	for pause := firstPause; ; pause = nextPause(pause) {
		r, err := w.askedAfter(ctx, w.begun())
		if err != nil {
			return nil, node.Classify(ctx, err)
		}
		if r.found {
			w.running.Go(w.run)
			return r.warnings(), nil
		}
		if r.more {
			continue
		}
		if heard(r.answers) <= r.total/2 || !r.differ() {
			return nil, w.explain(ctx, r)
		}
		// A majority is there, and does not agree: a fail-over is under way.
		if !sleep(ctx, jitter(pause)) {
			return nil, node.Classify(background, r.undecided())
		}
	}
}

// differ reports whether two Sentinels name different masters.
func (r *round) differ() bool {
	named := make(map[string]struct{})
	for _, a := range r.answers {
		if a.master != "" {
			named[a.master] = struct{}{}
		}
	}
	return len(named) > 1
}

// warnings says what about the Sentinels makes a fail-over less likely to work.
func (r *round) warnings() (w []string) {
	if r.total < 3 {
		w = append(w, fmt.Sprintf("there are fewer than 3 Sentinels (%d): if one fails, or the network between them, "+
			"no other server becomes the master; run 3 on machines of their own", r.total))
	}
	for _, a := range r.answers {
		switch {
		case a.err != nil:
			w = append(w, fmt.Sprintf("of the Sentinels, %s does not answer: %s", a.from, plain(a.err)))
		case a.master == "":
			w = append(w, fmt.Sprintf("of the Sentinels, %s watches no master of this name", a.from))
		case a.quorum > r.total:
			w = append(w, fmt.Sprintf("the quorum is %d, and there are %d Sentinels: they never call the master down", a.quorum, r.total))
		default:
			continue
		}
		return w // one is enough
	}
	return w
}

// explain makes the error of a round in which no majority has named a master, with the reason for each Sentinel. It
// is not called unavailable if all will say the same next time.
func (w *Watch) explain(ctx context.Context, r *round) error {
	why := round{answers: slices.Clone(r.answers), total: max(r.total, len(w.conf.Addrs))}
	var asking sync.WaitGroup
	for i := range why.answers {
		if a := &why.answers[i]; a.err != nil {
			asking.Go(func() { a.err = w.reason(ctx, a.from, a.err) })
		}
	}
	asking.Wait()
	var final []error
	for _, a := range why.answers {
		switch {
		case a.master != "":
		case a.err == nil:
			final = append(final, w.unknown(a.from))
		case !errors.Is(a.err, driver.ErrUnavailable):
			final = append(final, fmt.Errorf("%w (asking the Sentinel at %s)", a.err, a.from))
		}
	}
	if len(final) > 0 && len(final) == len(why.answers) {
		return final[0]
	}
	return node.Classify(ctx, why.undecided())
}

// unknown is the error of a name of which a Sentinel knows no master.
func (w *Watch) unknown(addr string) error {
	var list []any
	var err error
	if p := w.peerAt(addr); p != nil {
		var reply any
		reply, err = p.node.Do(background, askTimeout, "sentinel", "masters")
		list, _ = reply.([]any)
	}
	names := make([]string, 0, len(list))
	for _, one := range list {
		names = append(names, fields(one)["name"])
	}
	slices.Sort(names)
	switch {
	case err != nil:
		return address.Invalid("the Sentinel at %s watches no master %q", addr, w.conf.Name)
	case len(names) == 0:
		return address.Invalid("the Sentinel at %s watches no master at all", addr)
	}
	return address.Invalid("the Sentinel at %s watches no master %q, but %s", addr, w.conf.Name, strings.Join(names, ", "))
}

// reason says more of why the Sentinel at an address could not be asked.
func (w *Watch) reason(ctx context.Context, addr string, err error) error {
	p := w.peerAt(addr)
	switch {
	case p == nil:
	case errors.Is(err, errNoSentinel):
		switch found, looked := p.node.Look(ctx); {
		case looked != nil:
			return err
		case found.Mode() == "cluster":
			return address.Invalid("%s is a member of a Redis Cluster and no Sentinel: write redis+cluster://", addr)
		default:
			return address.Invalid("%s is a Redis server and no Sentinel: write redis:// for that server alone, or the addresses of its Sentinels (port 26379)", addr)
		}
	case strings.Contains(err.Error(), "NOAUTH"), strings.Contains(err.Error(), "WRONGPASS"):
		return fmt.Errorf("%w (user and password of the Sentinels are sentinel_user= and sentinel_password_file= of the URL, "+
			"or SentinelUsername and SentinelPassword; those before the @ are the servers')", err)
	case strings.Contains(err.Error(), "NOPERM"):
		return fmt.Errorf("%w (allow +sentinel|get-master-addr-by-name +sentinel|master +sentinel|sentinels +sentinel|myid +subscribe &+switch-master)", err)
	case w.conf.Explain != nil:
		return w.conf.Explain(ctx, addr, err)
	}
	return err
}

// peerAt returns the peer at an address; nil if there is none any more.
func (w *Watch) peerAt(addr string) *peer {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.peers {
		if p.addr == addr {
			return p
		}
	}
	return nil
}
