package fencelock

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
	"github.com/fencelock/fencelock/internal/both"
	"github.com/fencelock/fencelock/internal/suspend"
)

// OpenBoth is [Open] for the time of a move from one server to another: each lock of the
// client is the lock on the old server and, under that, the lock on the new one. So
// programs that lock on the old one only, those that lock on both, and later those that
// lock on the new one only, keep each other out. Roll out first OpenBoth everywhere, then
// Open with newURL.
//
// A lease ends when either of its locks does, and promises the lesser of the two. It
// costs the round trips of both to lock, and those of the slower one to renew and unlock.
// Every program must have the two in the same order, or two of them can wait for each
// other until a context ends.
//
// The token is the new server's, with the base of newURL or opts. It must be greater than the
// token that the old server has given for the same lock; otherwise a resource would take the
// holder for an older one, and Lock returns ErrInvalid, which tells how to set the base.
// docs/coming-from tells the order of steps, and what a resource that compares tokens sees
// meanwhile.
//
// opts hold for both servers; errors are those of Open.
func OpenBoth(ctx context.Context, oldURL, newURL string, opts *Options) (*Client, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if sameServer(oldURL, newURL) {
		return nil, &Error{Op: "open", Kind: ErrInvalid, Err: errors.New("both URLs name the same server and namespace: use Open")}
	}
	inner := o
	inner.Observer = nil
	ofOld := inner
	ofOld.TokenBase = 0 // the URL may have one
	older, err := Open(ctx, oldURL, &ofOld)
	if err != nil {
		return nil, fmt.Errorf("the old server: %w", err)
	}
	newer, err := Open(ctx, newURL, &inner)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the new server: %w", err), older.Close())
	}
	if newer.info.Tokenless {
		return nil, errors.Join(&Error{Op: "open", Kind: ErrUnsupported, Err: errors.New("the new URL has switched tokens off (token=false), " +
			"and who compares tokens would refuse every write from then on")}, newer.Close(), older.Close())
	}
	o.Namespace, o.TokenBase = "", newer.base
	log, lines := newLog(o.Logger)
	pair := both.New(inClient{older.backend, older}, inClient{newer.backend, newer}, newer.base-older.base, rising(older.base, newer.base))
	c, err := newClient(pair, &o, log, lines, suspend.Process) //nolint:contextcheck // ctx bounds the opening
	if err != nil {
		return nil, errors.Join(err, pair.Close())
	}
	c.info.Warnings = slices.Concat(older.info.Warnings, newer.info.Warnings) // which are in the log already
	return c, nil
}

// sameServer reports whether two URLs differ in their token base at most. It does not know that
// two names are of one server: then each Unlock tells of a loss, since the second release finds
// nothing.
func sameServer(one, other string) bool {
	a, errA := parseURL(one)
	b, errB := parseURL(other)
	if errA != nil || errB != nil {
		return false // Open says so
	}
	for _, u := range []*url.URL{a, b} {
		q := u.Query()
		q.Del("token_base")
		u.RawQuery = q.Encode()
	}
	return a.String() == b.String()
}

// inClient is the backend of a client that serves to open and to close it.
type inClient struct {
	driver.Backend
	client *Client
}

func (b inClient) Close() error { return b.client.Close() }

// rising refuses a new token that is not above the old one.
func rising(oldBase, newBase fencing.Token) func(old, new fencing.Token) error {
	return func(old, new fencing.Token) error {
		was, is := oldBase+old, newBase+new
		if is > was {
			return nil
		}
		return fmt.Errorf("%w: the new server's token %v is not above the old one's, %v: set token_base= in the new URL to %v. "+
			"It leaves room for what the old server grants until all programs have it", ErrInvalid, is, was, roomAbove(was))
	}
}

// roomAbove is a number for people to copy, with two digits and zeros: the old server goes on
// granting while programs roll, and Redis' tokens, which follow the clock, grow by 0.15 % a month.
func roomAbove(t fencing.Token) fencing.Token {
	t += t/50 + 1
	unit := fencing.Token(1)
	for t/unit >= 100 {
		unit *= 10
	}
	return min((t+unit-1)/unit*unit, maxTokenBase)
}
