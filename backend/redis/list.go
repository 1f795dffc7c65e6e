package redis

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
)

// scanCount is how many names of the database one SCAN looks at, about: so few that it keeps the server
// from others for a tenth of a millisecond at the most. It does not depend on the size of a page, or small
// pages would take as many requests as the database has names.
const scanCount = 256

var errSlotsMoved = fmt.Errorf("%w: slots of the Cluster have got another master in the course of the listing: begin again with the first page", driver.ErrUnavailable)

// ListHeld looks at a part of the database with SCAN, and asks about the locks among its names. SCAN promises to return each name that is there from its first
// call to its last, whatever is added and removed meanwhile, and a lock that is held has its name
// throughout: a hand-off sets it again without deleting it.
//
// A SCAN may return more names than a page has room for, and they cannot be asked for again one by one. So
// the cursor has, besides the server's, the keys that were found and had no room on the page.
//
// On a Cluster it looks at one master after the other. A lock whose slot moves meanwhile may come to a master that was looked at
// before it. So the listing fails if in the end slots are elsewhere than in the beginning.
func (b *backend) ListHeld(ctx context.Context, prefix, cursor string, limit int) (driver.Page, error) {
	c, err := parseCursor(prefix, cursor)
	if err != nil {
		return driver.Page{}, err
	}
	limit = max(limit, 1)
	ctx, cancel := context.WithTimeoutCause(ctx, adminTimeout, errNotListed)
	defer cancel()
	if len(c.found) == 0 {
		if c, err = b.scan(ctx, prefix, c); err != nil {
			return driver.Page{}, err
		}
	}
	n := min(limit, len(c.found))
	locks, err := b.holders(ctx, c.found[:n])
	if err != nil {
		return driver.Page{}, err
	}
	c.found = c.found[n:]
	return driver.Page{Locks: locks, Next: c.String()}, nil
}

// scan does one SCAN, from where a listing has come to, and returns where it has come to then. The pattern is wider than
// what is looked for, and each name is compared.
func (b *backend) scan(ctx context.Context, prefix string, from scanCursor) (scanCursor, error) {
	nodes, stamp, err := b.store.nodes(ctx, false)
	c := scanCursor{stamp: cmp.Or(from.stamp, stamp), node: from.node}
	switch {
	case err != nil:
		return scanCursor{}, node.Classify(ctx, err)
	case c.stamp != stamp, c.node >= len(nodes):
		return scanCursor{}, errSlotsMoved
	}
	reply, err := nodes[c.node].Do(ctx, adminTimeout,
		"scan", strconv.FormatUint(from.server, 10), "match", b.pattern(prefix), "count", scanCount)
	if goredis.HasErrorPrefix(err, "NOPERM") {
		err = fmt.Errorf("%w (to list locks, allow +scan)", err)
	}
	if err != nil {
		return scanCursor{}, node.Classify(ctx, err)
	}
	r, ok := reply.([]any)
	if !ok || len(r) != 2 {
		return scanCursor{}, unexpected("SCAN", reply)
	}
	next, _ := r[0].(string)
	names, ok := r[1].([]any)
	if c.server, err = strconv.ParseUint(next, 10, 64); err != nil || !ok {
		return scanCursor{}, unexpected("SCAN", reply)
	}
	for _, name := range names {
		name, _ := name.(string)
		if key, ok := b.keyOf(name); ok && strings.HasPrefix(key, prefix) {
			c.found = append(c.found, key)
		}
	}
	if c.server != 0 {
		return c, nil
	}
	if c.node++; c.node == len(nodes) {
		if _, now, err := b.store.nodes(ctx, true); err != nil {
			return scanCursor{}, node.Classify(ctx, err)
		} else if now != stamp {
			return scanCursor{}, errSlotsMoved
		}
		c.stamp, c.node = "", 0
	}
	return c, nil
}

// holders asks who holds keys, and leaves out those that nobody holds.
func (b *backend) holders(ctx context.Context, keys []string) ([]driver.Status, error) {
	var held []driver.Status
	for some := range slices.Chunk(keys, keysPerScript) {
		locks := make([]any, len(some))
		for i, key := range some {
			locks[i] = b.lockKey(key)
		}
		answers, err := b.store.holders(ctx, locks)
		if err != nil {
			return nil, node.Classify(ctx, err)
		}
		for i, key := range some {
			if answers[i] == int64(0) {
				continue
			}
			fields, _ := answers[i].([]any)
			h, ok := parseHolder(fields)
			if !ok {
				return nil, unexpected("list", answers[i])
			}
			held = append(held, driver.Status{Key: key, Holders: []driver.Holder{h}, Waiters: -1})
		}
	}
	return held, nil
}

// glob makes the part of a pattern that a prefix stands for. What means something in a pattern becomes
// a ?, any byte, since servers, and libraries that act as one, differ in what may be escaped. For the
// same reason it ends before the first byte that is not UTF-8, as in a prefix that ends inside a
// character. It so matches more than the prefix, and never less.
func glob(prefix string) string {
	for i, r := range prefix {
		if _, n := utf8.DecodeRuneInString(prefix[i:]); r == utf8.RuneError && n == 1 {
			prefix = prefix[:i]
			break
		}
	}
	return strings.NewReplacer("*", "?", "[", "?", "]", "?", `\`, "?").Replace(prefix)
}

// scanCursor is where a listing has come to. After the last SCAN it has at most keys.
type scanCursor struct {
	stamp  string   // of the servers, where there are several: see store.nodes
	node   int      // which of them is next
	server uint64   // SCAN's own cursor; 0 before its first call at a server, and after the last
	found  []string // keys with the prefix that no page has had yet
}

// String is empty after the last page.
func (c scanCursor) String() string {
	text := strconv.FormatUint(c.server, 10)
	switch {
	case c.stamp != "":
		text = c.stamp + "." + strconv.Itoa(c.node) + "." + text
	case c.server == 0 && len(c.found) == 0:
		return ""
	}
	for _, key := range c.found {
		text += "," + base64.RawURLEncoding.EncodeToString([]byte(key))
	}
	return text
}

func parseCursor(prefix, text string) (c scanCursor, err error) {
	if text == "" {
		return c, nil
	}
	for i, part := range strings.Split(text, ",") {
		var key []byte
		if i == 0 {
			err = c.parseHead(part)
		} else if key, err = base64.RawURLEncoding.DecodeString(part); err == nil {
			c.found = append(c.found, string(key))
		}
		if err != nil || i > 0 && (len(key) == 0 || len(key) > driver.MaxKeyLen || !strings.HasPrefix(string(key), prefix)) {
			return c, fmt.Errorf("%w: no page of this prefix has had the cursor %.40q", driver.ErrInvalid, text)
		}
	}
	if c.String() != text {
		return c, fmt.Errorf("%w: no page has had the cursor %.40q", driver.ErrInvalid, text)
	}
	return c, nil
}

// parseHead parses the part of a cursor before the keys.
func (c *scanCursor) parseHead(text string) (err error) {
	if parts := strings.Split(text, "."); len(parts) == 3 {
		c.stamp, text = parts[0], parts[2]
		if c.node, err = strconv.Atoi(parts[1]); err != nil || c.node < 0 {
			return strconv.ErrRange
		}
	}
	c.server, err = strconv.ParseUint(text, 10, 64)
	return err
}
