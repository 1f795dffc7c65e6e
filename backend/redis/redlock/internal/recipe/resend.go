package recipe

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/vote"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

const (
	// maxQueuedEnds is how many Ends are kept for a node that does not take them. What is left out ends with its
	// TTL, as all would.
	maxQueuedEnds = 4096
	// resendInterval is the pause before they are sent again, and resendBatch how many of them at a time.
	resendInterval = 100 * time.Millisecond
	resendBatch    = 64
)

// endQueue are Ends that a node has not answered. They are sent again when the node is fit, for as long as
// it may have the key: an End names its try, so it does no harm to end it twice. Otherwise a
// lost packet would leave a key on a node for a TTL; and with another node away, nobody could get
// the lock for as long.
type endQueue struct {
	nodes   []wire.Node
	closing context.Context // that of the client

	mu      sync.Mutex
	waiting [vote.MaxNodes]struct { // by node
		ends  []queuedEnd // oldest first
		armed bool        // a timer will look at them
	}
}

type queuedEnd struct {
	end   wire.Request
	until time.Time
}

// add records that an End has brought an error. until is when the key has run out.
func (q *endQueue) add(node int, end wire.Request, until time.Time, err error) {
	if errors.Is(err, driver.ErrRefused) && !errors.Is(err, driver.ErrUnavailable) || q.closing.Err() != nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	n := &q.waiting[node]
	if len(n.ends) == maxQueuedEnds {
		n.ends = n.ends[1:]
	}
	n.ends = append(n.ends, queuedEnd{end, until})
	if !n.armed {
		n.armed = true
		time.AfterFunc(resendInterval, func() { q.resend(node) })
	}
}

// resend sends what is left for a node.
func (q *endQueue) resend(node int) {
	if q.closing.Err() != nil {
		return
	}
	fit := q.nodes[node].Fit() == nil
	var now []queuedEnd
	q.mu.Lock()
	n := &q.waiting[node]
	for len(n.ends) > 0 && (time.Now().After(n.ends[0].until) || fit && len(now) < resendBatch) {
		if x := n.ends[0]; !time.Now().After(x.until) {
			now = append(now, x)
		}
		n.ends = n.ends[1:]
	}
	if n.armed = len(n.ends) > 0; n.armed {
		time.AfterFunc(resendInterval, func() { q.resend(node) })
	} else {
		n.ends = nil
	}
	q.mu.Unlock()
	for _, x := range now {
		q.nodes[node].Send(q.closing, x.end, adminTimeout, func(_ any, err error) {
			if err != nil {
				q.add(node, x.end, x.until, err)
			}
		})
	}
}
