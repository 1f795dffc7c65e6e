package zookeeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

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
	s, err := b.adminSession(ctx)
	if err != nil {
		return driver.Page{}, classify(ctx, err)
	}
	page, err := b.listPage(ctx, s, prefix, cursor, limit)
	if err != nil {
		return driver.Page{}, classify(ctx, err)
	}
	return page, nil
}

func (b *backend) listPage(ctx context.Context, s *session, prefix, cursor string, limit int) (page driver.Page, err error) {
	began := time.Now()
	left := func() time.Duration { return adminTimeout - time.Since(began) }
	if err := b.catchUp(ctx, s, left()); err != nil {
		return page, err
	}
	nodes, err := ask(ctx, s, left(), func() ([]string, error) { return list(s.conn, b.root) })
	if err != nil {
		return page, err
	}
	keys := keysAfter(nodes, prefix, cursor)
	for len(keys) > 0 && len(page.Locks) < limit && (page.Next == "" || time.Since(began) < listTime) {
		some := keys[:min(len(keys), maxListReaders, limit-len(page.Locks))]
		held, err := ask(ctx, s, left(), func() ([]driver.Status, error) { return b.heldAmong(s.conn, some) })
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

// heldAmong looks at locks side by side, and returns those that are held.
func (b *backend) heldAmong(c conn, keys []string) (held []driver.Status, err error) {
	statuses, errs := make([]driver.Status, len(keys)), make([]error, len(keys))
	var looking sync.WaitGroup
	for i, key := range keys {
		looking.Go(func() { statuses[i], errs[i] = b.holderOf(c, key) })
	}
	looking.Wait()
	for i, st := range statuses {
		err = cmp.Or(err, errs[i])
		if st.Held() {
			held = append(held, st)
		}
	}
	return held, err
}

// holderOf reads who holds a lock, without waiting for a caller. The number of waiters is not
// told. If the first claim is gone each time that it is to be read, as in a lock that goes from
// hand to hand, only its attempt's ID is known.
func (b *backend) holderOf(c conn, key string) (st driver.Status, err error) {
	st = driver.Status{Key: key, Waiters: -1}
	parent := b.parentOf(key)
	var last nodeName
	for range maxLooks {
		children, err := list(c, parent)
		if err != nil {
			return st, fmt.Errorf("the node %s: %w", parent, err)
		}
		f, err := frontOf(c, parent, parseAll(children))
		if err != nil {
			return st, fmt.Errorf("the node %s: %w", parent, err)
		}
		if f.count == 0 {
			return st, nil
		}
		if f.head.text == "" {
			continue
		}
		h, err := describe(c, parent, f.head)
		switch {
		case err == nil:
			st.Holders = []driver.Holder{h}
			return st, nil
		case !errors.Is(err, zk.ErrNoNode):
			return st, fmt.Errorf("the node %s: %w", parent, err)
		}
		last = f.head
	}
	if last.text != "" {
		st.Holders = []driver.Holder{{AttemptID: last.attemptID}}
	}
	return st, nil
}
