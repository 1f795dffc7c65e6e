package recipe

import (
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
	// resendInterval is the pause before they are sent again, and leftTogether how many of them at a time.
	resendInterval = 100 * time.Millisecond
	resendBatch    = 64
)

// endQueue are Ends that a node has not answered. They are sent again when the node is fit, for as long as
// it may have the key: an End names its try, so it does no harm to end it twice. Otherwise a
// lost packet would leave a key on a node for a TTL; and with another node away, nobody could get
// the lock for as long.
type endQueue struct {
	mu    sync.Mutex
	nodes [vote.MaxNodes]struct {
		ends  []queuedEnd // oldest first
		armed bool        // a timer will look at them
	}
}

type queuedEnd struct {
	end   wire.Request
	until time.Time
}

// queueEnd records that an End has brought an error. until is when the key has run out.
func (b *Backend) queueEnd(node int, end wire.Request, until time.Time, err error) {
	if errors.Is(err, driver.ErrRefused) && !errors.Is(err, driver.ErrUnavailable) || b.closing.Err() != nil {
		return
	}
	l := &b.endQueue
	l.mu.Lock()
	defer l.mu.Unlock()
	n := &l.nodes[node]
	if len(n.ends) == maxQueuedEnds {
		n.ends = n.ends[1:]
	}
	n.ends = append(n.ends, queuedEnd{end, until})
	if !n.armed {
		n.armed = true
		time.AfterFunc(resendInterval, func() { b.resendEnds(node) })
	}
}

// resendEnds sends what is left for a node.
func (b *Backend) resendEnds(node int) {
	if b.closing.Err() != nil {
		return
	}
	fit := b.nodes[node].Fit() == nil
	var now []queuedEnd
	l := &b.endQueue
	l.mu.Lock()
	n := &l.nodes[node]
	for len(n.ends) > 0 && (time.Now().After(n.ends[0].until) || fit && len(now) < resendBatch) {
		if x := n.ends[0]; !time.Now().After(x.until) {
			now = append(now, x)
		}
		n.ends = n.ends[1:]
	}
	if n.armed = len(n.ends) > 0; n.armed {
		time.AfterFunc(resendInterval, func() { b.resendEnds(node) })
	} else {
		n.ends = nil
	}
	l.mu.Unlock()
	for _, x := range now {
		b.nodes[node].Send(b.closing, x.end, adminTimeout, func(_ any, err error) {
			if err != nil {
				b.queueEnd(node, x.end, x.until, err)
			}
		})
	}
}
