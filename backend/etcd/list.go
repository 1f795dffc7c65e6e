package etcd

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	mvccpb "go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/backend/etcd/internal/cluster"
	"github.com/fencelock/fencelock/driver"
)

const (
	// maxPage is how many claims one page of ListHeld reads at the most. Each may have a
	// lease of its own, whose time the page has to ask for.
	maxPage = 128
	// maxLeasesAsked is how many leases a page asks for at the same time.
	maxLeasesAsked = 8
)

// ListHeld tells which locks are held whose keys begin with prefix. It reads the claims in the order of
// their names, in one request: limit of them, or maxPage if that is less.
//
// The claims of a lock follow each other, and the claim with the lowest revision holds the lock. A page that ends within the claims of a lock does not show that lock: the next
// page begins with it. If there is no other lock in the page, the server is asked for the
// first claim of that lock alone, however many there are.
//
// The cursor is what follows NAMESPACE/locks/ in the name with which the next page begins.
//
// Each page is one read that a quorum confirms, so a lock that is held at that moment has
// its claims there. A member that answers by itself may be behind, and not know the lock yet.
func (l *lister) ListHeld(ctx context.Context, prefix, cursor string, limit int) (driver.Page, error) {
	begin := url.PathEscape(prefix) // byte by byte: a prefix of a key stays one
	if !strings.HasPrefix(cursor, begin) && cursor != "" {
		return driver.Page{}, fmt.Errorf("%w: etcd: no page of the prefix %q had the cursor %q", driver.ErrInvalid, prefix, cursor)
	}
	bounded := l.conn.Bound(ctx, adminTimeout)
	defer bounded.End()
	locks := l.ns.locks()
	from := max(locks+begin, locks+cursor)
	answer, err := l.conn.Client.Get(bounded, from,
		clientv3.WithRange(clientv3.GetPrefixRangeEnd(locks+begin)), clientv3.WithLimit(int64(max(1, min(limit, maxPage)))))
	if err != nil {
		return driver.Page{}, l.conn.RequestError(ctx, err)
	}
	holders, last := l.firstClaims(answer.Kvs)
	var page driver.Page
	if answer.More {
		if last != l.ns.directoryOf(answer.Kvs[0]) {
			delete(holders, last)
			page.Next = strings.TrimPrefix(last, locks)
		} else {
			page.Next = strings.TrimPrefix(clientv3.GetPrefixRangeEnd(last), locks)
			first, err := l.firstClaim(bounded, last)
			if err != nil {
				return driver.Page{}, l.conn.RequestError(ctx, err)
			}
			delete(holders, last)
			if first != nil {
				holders[last] = first
			}
		}
	}
	left, err := l.leasesLeft(bounded, holders)
	if err != nil {
		return driver.Page{}, l.conn.RequestError(ctx, err)
	}
	for _, directory := range slices.Sorted(maps.Keys(holders)) {
		kv := holders[directory]
		name := strings.TrimSuffix(strings.TrimPrefix(directory, locks), "/")
		key, err := url.PathUnescape(name)
		if err != nil || url.PathEscape(key) != name {
			continue // not ours: there is one way to escape a key
		}
		status := driver.Status{Key: key, Holders: []driver.Holder{holderOf(kv, left[kv.Lease])}}
		if left[kv.Lease] < 0 {
			// The lease ended in between, and another may hold the lock now.
			if status, err = l.inspect(bounded, key); err != nil {
				return driver.Page{}, l.conn.RequestError(ctx, err)
			}
		}
		if status.Held() {
			status.Waiters = -1
			page.Locks = append(page.Locks, status)
		}
	}
	return page, nil
}

// firstClaims returns the claim with the lowest revision of each lock, by the directory of
// the lock, and the directory in which the last claim is.
//
// A namespace may lie within this one's: "a/locks/b" within "a". Its names are no claims, see
// isNested.
func (l *lister) firstClaims(kvs []*mvccpb.KeyValue) (first map[string]*mvccpb.KeyValue, last string) {
	first = make(map[string]*mvccpb.KeyValue)
	for _, kv := range kvs {
		last = l.ns.directoryOf(kv)
		if !isClaim(kv, last) {
			continue
		}
		if other := first[last]; other == nil || kv.CreateRevision < other.CreateRevision {
			first[last] = kv
		}
	}
	return first, last
}

// isClaim reports whether a name is that of a claim: LEASE or LEASE.N in the directory. A name there
// that has no lease counts as one: whoever has put it there, it keeps all others out.
func isClaim(kv *mvccpb.KeyValue, directory string) bool {
	name, ok := strings.CutPrefix(string(kv.Key), directory)
	lease, _, _ := strings.Cut(name, ".")
	return ok && !isNested(kv, directory) && (kv.Lease == 0 || lease == leaseName(clientv3.LeaseID(kv.Lease)))
}

// isNested reports whether a name in the directory of a lock is of a namespace that lies within this
// one's. It has more slashes than a claim's. Or it is of a session, as "a/locks/leases/LEASE" of the
// namespace "a/locks" is for the lock "leases" of "a": a claim's value has a space, and
// that of a session has none.
func isNested(kv *mvccpb.KeyValue, directory string) bool {
	name := strings.TrimPrefix(string(kv.Key), directory)
	return strings.Contains(name, "/") ||
		kv.Lease != 0 && name == leaseName(clientv3.LeaseID(kv.Lease)) && !strings.Contains(string(kv.Value), " ")
}

// firstClaim asks for the claim of a lock with the lowest revision; nil if there is none. It
// asks only for names that begin with a digit of a lease.
func (l *lister) firstClaim(ctx context.Context, directory string) (*mvccpb.KeyValue, error) {
	answer, err := l.conn.Client.Get(ctx, directory+"0", clientv3.WithRange(directory+"g"),
		clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend), clientv3.WithLimit(1))
	if err != nil || len(answer.Kvs) == 0 || !isClaim(answer.Kvs[0], directory) {
		return nil, err
	}
	return answer.Kvs[0], nil
}

// leasesLeft asks how much is left of each lease that the claims have; negative if it has
// ended. The server tells that for one lease at a time.
func (l *lister) leasesLeft(ctx context.Context, claims map[string]*mvccpb.KeyValue) (map[int64]time.Duration, error) {
	left := make(map[int64]time.Duration)
	for _, kv := range claims {
		left[kv.Lease] = 0
	}
	ids := make(chan int64, len(left))
	for id := range left {
		ids <- id
	}
	close(ids)
	var mu sync.Mutex
	var failed error
	var asking sync.WaitGroup
	for range min(len(left), maxLeasesAsked) {
		asking.Go(func() {
			for id := range ids {
				some, err := l.leaseLeft(ctx, clientv3.LeaseID(id))
				mu.Lock()
				left[id] = some
				if err != nil {
					failed = err
				}
				stop := failed != nil
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	asking.Wait()
	return left, failed
}

// leaseLeft asks how much is left of a lease; negative if it has ended. The server tells
// whole seconds, cut.
func (l *lister) leaseLeft(ctx context.Context, id clientv3.LeaseID) (time.Duration, error) {
	lease, err := l.conn.Client.TimeToLive(ctx, id)
	switch {
	case cluster.LeaseGone(err) || err == nil && lease.TTL < 0:
		return -1, nil
	case err != nil:
		return 0, err
	}
	return time.Duration(lease.TTL+1) * time.Second, nil
}
