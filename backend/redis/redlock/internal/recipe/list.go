package recipe

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/vote"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

const (
	// pageTimeout bounds a page, and scanTimeout one request of it.
	pageTimeout = 3 * time.Second
	scanTimeout = time.Second
	// scanCount is how many names a node looks at in one step, about, and maxHolders bounds how many keys: longer
	// steps would delay locks. It does not depend on the size of a page, or small pages would take many more steps.
	scanCount  = 256
	maxHolders = 64
)

// ListHeld goes through the names of one node after the other, and asks all nodes about each key that it finds: the key
// is listed if Inspect would say that an attempt holds it. A key that only a minority has is no lock.
//
// Why no lock is missed: a lock is on a majority of the nodes, and a listing is complete only when the scans of a
// majority are. So the two have a node in common. Its scan finds the key, if the node has the key all the while and
// keeps its process: a scan that meets another process begins again. All nodes are scanned that answer, for a lock may
// move from one node to another by a repair.
//
// A node that does not answer is left out, and asked again at the end if the others are no majority.
//
// A key that several nodes have is listed once, as long as this client remembers the listing. It would be
// wrong to list a key only at the first node that has it: that node may have got it, by a repair, after its scan.
func (b *Backend) ListHeld(ctx context.Context, prefix, cursor string, limit int) (driver.Page, error) {
	switch {
	case b.closing.Err() != nil:
		return driver.Page{}, errClosed
	case ctx.Err() != nil:
		return driver.Page{}, context.Cause(ctx)
	}
	c, err := b.listings.cursor(cursor, prefix, len(b.nodes))
	if err != nil {
		return driver.Page{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, pageTimeout, errSlowPage)
	defer cancel()
	p := &page{b: b, cursor: c, prefix: prefix, limit: max(limit, 1), began: time.Now()}
	if len(p.Found) == 0 {
		if err := p.scan(ctx); err != nil {
			return driver.Page{}, err
		}
	}
	listing := b.listings.of(c.Listing)
	locks, err := p.holders(ctx, p.take(listing))
	if err != nil {
		return driver.Page{}, err
	}
	listing.listed(locks, p.Page)
	p.Page++
	return driver.Page{Locks: locks, Next: p.next()}, nil
}

var errSlowPage = fmt.Errorf("%w: the nodes took too long to answer", driver.ErrUnavailable)

// page is a page under way.
type page struct {
	cursor // where the next page begins

	b      *Backend
	prefix string
	limit  int
	began  time.Time
	errs   [vote.MaxNodes]error
	asked  vote.Set // nodes that were asked a second time
}

// complete reports whether enough nodes have been scanned, and no node is left to scan.
func (p *page) complete() bool {
	return p.Done.Len() >= p.b.quorum && p.Done|p.Failed == vote.All(len(p.b.nodes))
}

// scan finds keys on the node whose turn it is. It may find none though there are more.
func (p *page) scan(ctx context.Context) error {
	for !p.complete() {
		node, ok := p.node()
		if !ok {
			return p.noQuorum()
		}
		r, err := p.ask(ctx, node, wire.Scan{Prefix: p.prefix, From: p.From, Count: scanCount})
		switch boot := hash(r.Boot); {
		case p.b.closing.Err() != nil:
			return errClosed
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			p.errs[node] = err
			p.Failed, p.From, p.Boot = p.Failed.With(node), "", 0
			switch slow := time.Since(p.began) >= scanTimeout; {
			case slow && !p.possible():
				return p.noQuorum()
			case slow:
				return nil // the next page goes on
			}
		case p.From != "" && boot != p.Boot: // another process of the server: the position in the scan is worth nothing
			p.From, p.Boot = "", 0
		default:
			slices.Sort(r.Keys)
			p.From, p.Boot, p.Found = r.Next, boot, slices.Compact(r.Keys)
			if p.From == "" {
				p.Done, p.Boot = p.Done.With(node), 0
			}
			return nil
		}
	}
	return nil
}

// possible reports whether the nodes that have not failed are a majority.
func (p *page) possible() bool { return len(p.b.nodes)-p.Failed.Len() >= p.b.quorum }

func (p *page) noQuorum() error {
	return p.b.noQuorum(func(i int) error {
		switch {
		case p.Done.Has(i):
			return nil
		case p.errs[i] != nil:
			return p.errs[i]
		}
		return errUnasked
	})
}

var errUnasked = fmt.Errorf("%w: too many other nodes have failed", wire.ErrNotSent)

// node is the node to be scanned next: the first that has neither ended nor failed. If too many have failed, those are
// asked a second time, once in a page.
func (p *page) node() (node int, ok bool) {
	if !p.possible() {
		again := p.Failed &^ p.asked
		if again == 0 {
			return 0, false
		}
		p.asked |= again
		p.Failed &^= again
	}
	for i := range p.b.nodes {
		if !(p.Done | p.Failed).Has(i) {
			return i, true
		}
	}
	return 0, false
}

// ask asks one node for a part of the keys that it has.
func (p *page) ask(ctx context.Context, node int, ask wire.Scan) (r wire.ScanReply, err error) {
	type answer struct {
		reply any
		err   error
	}
	answers := make(chan answer, 1)
	p.b.nodes[node].Send(ctx, ask, scanTimeout, func(reply any, err error) { answers <- answer{reply, err} })
	select {
	case a := <-answers:
		if a.err != nil {
			return r, a.err
		}
		r, ok := a.reply.(wire.ScanReply)
		if !ok {
			return r, unexpected(a.reply)
		}
		return r, nil
	case <-ctx.Done():
		return r, context.Cause(ctx)
	case <-p.b.closing.Done():
		return r, errClosed
	}
}

// holders tells who holds keys, leaving out those that nobody holds. A key on whose token the nodes do not agree yet is
// asked about again, as Inspect does.
func (p *page) holders(ctx context.Context, keys []string) (locks []driver.Status, err error) {
	b := p.b
	for n := 1; len(keys) > 0; n++ {
		var differ []string
		for from := 0; from < len(keys); from += maxHolders {
			part := keys[from:min(from+maxHolders, len(keys))]
			views, err := b.survey(ctx, wire.Holders{Keys: part}, len(part), scanTimeout)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if err != nil {
				return nil, err
			}
			for i, v := range views {
				switch {
				case v.holder.ID.AttemptID == "":
				case v.differ && !b.info.Tokenless && n < maxLooks && time.Since(p.began) < pageTimeout/2:
					differ = append(differ, part[i])
				default:
					locks = append(locks, driver.Status{Key: part[i], Holders: []driver.Holder{b.holder(v.holder)}, Waiters: -1})
				}
			}
		}
		if keys = differ; len(keys) == 0 {
			break
		}
		select {
		case <-time.After(lookInterval):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-b.closing.Done():
			return nil, errClosed
		}
	}
	return locks, nil
}
