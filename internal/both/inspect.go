package both

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/fencelock/fencelock/driver"
)

// Inspect tells of the holder of the new lock or, if there is none, of the old one's.
func (p *Pair) Inspect(ctx context.Context, key string) (driver.Status, error) {
	var old, fresh driver.Status
	o := together(func(s side) error {
		st, err := s.Inspect(ctx, key)
		if s.isNew {
			fresh = st
		} else {
			old = st
		}
		return s.blame(err)
	}, p)
	if err := o.join(); err != nil {
		return driver.Status{}, err
	}
	waiters := old.Waiters + fresh.Waiters
	if old.Waiters < 0 || fresh.Waiters < 0 {
		waiters = -1
	}
	s := fresh
	switch {
	case !fresh.Held() && old.Held():
		s = p.ofOld(old)
	case fresh.Held() && old.Held() && fresh.Holders[0].AttemptID == old.Holders[0].AttemptID:
		s.Holders[0].Left = min(old.Holders[0].Left, fresh.Holders[0].Left)
	}
	s.Waiters = waiters
	return s, nil
}

// ofOld is the status of a lock that only the old server knows to be held. Its tokens wrap below
// zero, and back when the core adds the base of the new server.
func (p *Pair) ofOld(s driver.Status) driver.Status {
	s.Holders = slices.Clone(s.Holders)
	for i := range s.Holders {
		s.Holders[i].Token -= p.ahead
	}
	return s
}

// The cursors of ListHeld: which server the next page is of, and that server's own cursor.
const (
	newCursor = "n"
	oldCursor = "o"
)

// ListHeld lists what the new server has, and then what only the old one has. For the latter it
// asks the new server about each lock of the old one's page: a lock that the same attempt holds
// on both has been listed already. For the former it asks the old server what is left of the lease
// there.
//
// None is missed. A lock of a pair that is held all the time is on the new server all the time.
// One that a program holds on the old server only is listed with the old one's. An attempt that
// has the old lock and waits for the new one is no holder yet, though it is shown as long as
// nobody has the new lock: it may get that between the two parts, and then is not listed.
func (p *Pair) ListHeld(ctx context.Context, prefix, cursor string, limit int) (driver.Page, error) {
	switch {
	case cursor == "":
		cursor = newCursor
	case cursor[:1] != newCursor && cursor[:1] != oldCursor:
		return driver.Page{}, fmt.Errorf("%w: no page has had this cursor", driver.ErrInvalid)
	}
	if cursor[:1] == newCursor {
		page, err := p.new.ListHeld(ctx, prefix, cursor[1:], limit)
		if err != nil {
			return driver.Page{}, p.new.blame(err)
		}
		if err := p.withLeft(ctx, page.Locks); err != nil {
			return driver.Page{}, p.old.blame(err)
		}
		if page.Next == "" {
			page.Next = oldCursor
		} else {
			page.Next = newCursor + page.Next
		}
		return page, nil
	}
	page, err := p.old.ListHeld(ctx, prefix, cursor[1:], limit)
	if err != nil {
		return driver.Page{}, p.old.blame(err)
	}
	if page.Locks, err = p.onlyOld(ctx, page.Locks); err != nil {
		return driver.Page{}, p.new.blame(err)
	}
	if page.Next != "" {
		page.Next = oldCursor + page.Next
	}
	return page, nil
}

// listLooks is how many locks of a page are looked up at a time on the other server.
const listLooks = 16

// lookUp inspects on one server the locks that a page of the other lists.
func lookUp(ctx context.Context, on driver.Backend, page []driver.Status) ([]driver.Status, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	found := make([]driver.Status, len(page))
	next := make(chan int, len(page))
	for i := range page {
		next <- i
	}
	close(next)
	var looking sync.WaitGroup
	for range min(listLooks, len(page)) {
		looking.Go(func() {
			for i := range next {
				s, err := on.Inspect(ctx, page[i].Key)
				if err != nil {
					cancel(err)
					return
				}
				found[i] = s
			}
		})
	}
	looking.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return found, nil
}

// withLeft has each lock of the new server's page say what is left of the shorter of its two leases, as
// Inspect does.
func (p *Pair) withLeft(ctx context.Context, news []driver.Status) error {
	olds, err := lookUp(ctx, p.old, news)
	if err != nil {
		return err
	}
	for i, old := range olds {
		if h := news[i].Holders; old.Held() && len(h) > 0 && h[0].AttemptID == old.Holders[0].AttemptID {
			h[0].Left = min(h[0].Left, old.Holders[0].Left)
		}
	}
	return nil
}

// onlyOld leaves out the locks that the same attempt holds on the new server, too. A lock that
// another attempt holds there is shown as the new server has it, as by Inspect.
func (p *Pair) onlyOld(ctx context.Context, olds []driver.Status) ([]driver.Status, error) {
	news, err := lookUp(ctx, p.new, olds)
	if err != nil {
		return nil, err
	}
	only := make([]driver.Status, 0, len(olds))
	for i, old := range olds {
		switch {
		case !old.Held():
		case !news[i].Held():
			only = append(only, p.ofOld(old))
		case news[i].Holders[0].AttemptID != old.Holders[0].AttemptID:
			news[i].Waiters = -1
			only = append(only, news[i])
		}
	}
	return only, nil
}
