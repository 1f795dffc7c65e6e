package zookeeper

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/zookeeper/internal/session"
	"github.com/fencelock/fencelock/driver"
)

const (
	// listTime bounds a page of ListHeld: when it is over, the page ends with what has been
	// looked at, which is maxListReaders locks at least. All requests of a page together have
	// adminTimeout.
	listTime = time.Second

	// maxListReaders bounds the locks that a page looks at side by side. The reads share the
	// connection with the requests of locks, so there are few.
	maxListReaders = 32
)

// ListHeld lists the children of the namespace's node, and then looks at one key after the
// other, in the order of the keys. The cursor is the last key that was looked at.
//
// What is held throughout is listed: each page begins with a sync, so its list of keys is as new
// as the call, and a lock's node has a child, and so stays, while the lock is held. The pages
// cover the keys in one order without a gap, whatever comes and goes between them. Only a leader
// that has been cut off may answer a sync, for a while, from what it knew before
// (ZOOKEEPER-1675); Inspect has the same limit.
func (b *backend) ListHeld(ctx context.Context, prefix, cursor string, limit int) (driver.Page, error) {
	if cursor != "" && !strings.HasPrefix(cursor, prefix) {
		return driver.Page{}, fmt.Errorf("%w: the cursor is not from a list of this prefix", driver.ErrInvalid)
	}
	s, err := b.pool.Some(ctx, b.info.MaxTTL)
	if err != nil {
		return driver.Page{}, session.Classify(ctx, err)
	}
	page, err := b.listPage(ctx, s, prefix, cursor, limit)
	if err != nil {
		return driver.Page{}, session.Classify(ctx, err)
	}
	return page, nil
}

func (b *backend) listPage(ctx context.Context, s *session.Session, prefix, cursor string, limit int) (page driver.Page, err error) {
	began := time.Now()
	left := func() time.Duration { return adminTimeout - time.Since(began) }
	if err := s.CatchUp(ctx, left()); err != nil {
		return page, err
	}
	nodes, err := session.Ask(ctx, s, left(), func() ([]string, error) { return session.List(s, b.root) })
	if err != nil {
		return page, err
	}
	keys := keysAfter(nodes, prefix, cursor)
	for len(keys) > 0 && len(page.Locks) < limit && (page.Next == "" || time.Since(began) < listTime) {
		some := keys[:min(len(keys), maxListReaders, limit-len(page.Locks))]
		held, err := session.Ask(ctx, s, left(), func() ([]driver.Status, error) { return b.heldAmong(s, some) })
		if err != nil {
			return page, err
		}
		page.Locks = append(page.Locks, held...)
		page.Next, keys = some[len(some)-1], keys[len(some):]
	}
	if len(keys) == 0 {
		page.Next = ""
	}
	return page, nil
}

// keysAfter returns the keys with a prefix that have a node and come after the cursor, in order.
func keysAfter(nodes []string, prefix, cursor string) (keys []string) {
	for _, node := range nodes {
		if key, ok := unescape(node); ok && key > cursor && strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// heldAmong looks at locks side by side, and returns those that are held, without the number of
// their waiters.
func (b *backend) heldAmong(s *session.Session, keys []string) (held []driver.Status, err error) {
	holders, errs := make([]driver.Holder, len(keys)), make([]error, len(keys))
	var looking sync.WaitGroup
	for i, key := range keys {
		looking.Go(func() {
			q := b.queueOf(s, key)
			if holders[i], _, _, errs[i] = q.holder(); errs[i] != nil {
				errs[i] = fmt.Errorf("the node %s: %w", q.path, errs[i])
			}
		})
	}
	looking.Wait()
	for i, h := range holders {
		err = cmp.Or(err, errs[i])
		if h.AttemptID != "" {
			held = append(held, driver.Status{Key: keys[i], Waiters: -1, Holders: []driver.Holder{h}})
		}
	}
	return held, err
}
