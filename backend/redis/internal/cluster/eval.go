package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
)

// maxHops is how many redirections are followed one after the other, at once. Nodes that disagree may send a request
// in circles until they have heard of each other.
const maxHops = 5

// The pauses before a request is sent again that a node has not taken.
const (
	leastPause = 2 * time.Millisecond
	mostPause  = 100 * time.Millisecond
)

// Eval runs a script about one key at the master that has the key's slot; args are the script's arguments. It returns
// a time that was read before the request was sent that was answered.
//
// What a node has not taken, as its slot is elsewhere, on its way, or without a master, is sent again, until timeout
// is over or ctx ends: nothing was done. So is what could not be sent, since nobody was there. A request whose answer
// was lost, or does not count, is not sent again. Each request has timeout for itself, and may have waited as long for a
// connection.
//
// The error is raw: see node.Classify. If ctx ends first, the outcome is not known.
func (c *Cluster) Eval(ctx context.Context, timeout time.Duration, s *node.Script, key string, args ...any) (reply any, sent time.Time, err error) {
	return c.EvalThen(ctx, timeout, nil, s, key, args...)
}

// EvalThen is Eval, and sends another call right after the script, wherever it goes, unless that is nil; see
// node.EvalThen. What then is told last is about the request that was answered.
func (c *Cluster) EvalThen(ctx context.Context, timeout time.Duration, then *node.Call, s *node.Script, key string, args ...any) (reply any, sent time.Time, err error) {
	slot, words := Slot(key), make([]any, 0, 1+len(args))
	words = append(append(words, key), args...)
	until := time.Now().Add(timeout)
	var to hop
	hops, pause := 0, leastPause
	for {
		m := c.slots.Load()
		at := to
		if at.addr == "" {
			x, ok := m.owner(slot)
			if !ok {
				err = &undone{fmt.Errorf("no node of the Cluster serves the slot %d", slot)}
			}
			at.addr = x.Addr
		}
		if at.addr != "" {
			sent = time.Now()
			if reply, err = at.run(ctx, c, timeout, then, s, words); err == nil {
				return reply, sent, nil
			}
		}
		var again, now bool
		if to, again, now = at.after(err, c, slot); !again {
			return nil, sent, err
		}
		if hops++; now && hops <= maxHops {
			continue
		}
		if hops = 0; now {
			m = nil // it has changed with each redirection
		}
		if !c.pause(ctx, m, min(jitter(pause), time.Until(until))) || !time.Now().Before(until) {
			return nil, sent, asUndone(err)
		}
		pause = min(2*pause, mostPause)
	}
}

// hop is where a request goes: to the master of its slot, if addr is empty.
type hop struct {
	addr   string
	asking bool // as an ASK has told
}

// run runs a script at a node, and then the call then, if it is not nil. words are its key and its arguments.
func (h hop) run(ctx context.Context, c *Cluster, timeout time.Duration, then *node.Call, s *node.Script, words []any) (reply any, err error) {
	err = c.With(h.addr, func(n *node.Node) error {
		switch {
		case then != nil:
			reply, err = n.EvalThen(ctx, then, &node.Call{Timeout: timeout, Script: s, Keys: 1, Args: words, Asking: h.asking})
		case h.asking:
			reply, err = n.EvalAsking(ctx, timeout, s, 1, words...)
		default:
			reply, err = n.Eval(ctx, timeout, s, 1, words...)
		}
		return err
	})
	return reply, err
}

// after reports whether a request that had an error is to be sent again, where to, and whether at once. It notes what the
// error tells of the Cluster.
func (h hop) after(err error, c *Cluster, slot int) (to hop, again, now bool) {
	if addr, moved, ask, ok := node.Redirect(err); ok && moved == slot {
		if host, port, bad := net.SplitHostPort(addr); bad == nil {
			addr = complete(host, port, h.addr)
		}
		switch {
		case addr == "": // the map may know
			c.want()
			return hop{}, true, false
		case ask:
			return hop{addr, true}, true, true
		}
		c.learn(slot, h.addr, addr)
		return hop{addr: addr}, true, true
	}
	var op *net.OpError
	switch {
	case isUndone(err): // nobody has the slot
		c.want()
	case errors.Is(err, node.ErrNowhere): // it waited for a connection while the map changed
	case goredis.HasErrorPrefix(err, "TRYAGAIN "), goredis.HasErrorPrefix(err, "LOADING "):
	case goredis.HasErrorPrefix(err, "CLUSTERDOWN "), goredis.HasErrorPrefix(err, "MASTERDOWN "), goredis.HasErrorPrefix(err, "READONLY "),
		errors.As(err, &op) && op.Op == "dial" && !errors.Is(err, node.ErrReplaced):
		c.Doubt(h.addr)
	default:
		if errors.Is(err, node.ErrNoAnswer) {
			c.Doubt(h.addr)
		}
		return hop{}, false, false
	}
	return hop{}, true, false
}

// learn puts a slot that is not at one address into the map, at another. If the map says otherwise already, somebody
// has learned more meanwhile.
func (c *Cluster) learn(slot int, from, to string) {
	c.renew() // more slots may have moved
	for {
		m := c.slots.Load()
		if x, ok := m.owner(slot); ok && x.Addr != from || c.adopt(m, m.with(slot, to)) {
			return
		}
	}
}

// pause waits for some time, or until there is another map than m, which may be nil. It returns false if ctx ends first,
// or Close begins.
func (c *Cluster) pause(ctx context.Context, m *slotMap, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	var changed <-chan struct{}
	if m != nil {
		changed = c.awaitChange(m)
	}
	select {
	case <-timer.C:
	case <-changed:
	case <-ctx.Done():
		return false
	case <-c.closing.Done():
		return false
	}
	return true
}

// undone is the error of a request that no node has taken, nor will: asking again may help.
type undone struct{ why error }

func (e *undone) Error() string { return e.why.Error() }

// Is reports whether target is driver.ErrRefused. It has no error of a node in it: a redirection by itself says that asking
// again is of no use.
func (e *undone) Is(target error) bool { return target == driver.ErrRefused }

func isUndone(err error) bool {
	var e *undone
	return errors.As(err, &e)
}

// asUndone is an error after which a request is sent again, when there is no time for that any more.
func asUndone(err error) error {
	var reply goredis.Error
	if errors.As(err, &reply) {
		return &undone{err}
	}
	return err
}
