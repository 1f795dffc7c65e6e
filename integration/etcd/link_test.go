package etcd_test

import (
	"bytes"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
)

// link is the way of one client to the members of a cluster: a proxy to each.
type link struct {
	proxies []*proxy.Proxy

	mu   sync.Mutex
	seen map[clientv3.LeaseID]bool
}

// connect makes a link. It notes the leases of the sessions that the client has.
func connect(t locktest.T, addrs []string, ns string) *link {
	t.Helper()
	l := &link{seen: make(map[clientv3.LeaseID]bool)}
	for _, addr := range addrs {
		p := through(t, addr)
		p.LoseReplyTo(l.overhear(ns), 1)
		l.proxies = append(l.proxies, p)
	}
	return l
}

func (l *link) addrs() string {
	addrs := make([]string, len(l.proxies))
	for i, p := range l.proxies {
		addrs[i] = p.Addr()
	}
	return strings.Join(addrs, ",")
}

func (l *link) each(do func(*proxy.Proxy)) {
	for _, p := range l.proxies {
		do(p)
	}
}

// overhear notes leases by the keys that requests name. It matches no request.
func (l *link) overhear(ns string) func(request []byte) bool {
	epochKey := regexp.MustCompile(regexp.QuoteMeta(ns) + "/leases/([0-9a-f]+)")
	return func(request []byte) bool {
		for _, m := range epochKey.FindAllSubmatch(request, -1) {
			if id, err := strconv.ParseInt(string(m[1]), 16, 64); err == nil {
				l.mu.Lock()
				l.seen[clientv3.LeaseID(id)] = true
				l.mu.Unlock()
			}
		}
		return false
	}
}

func (l *link) leases() []clientv3.LeaseID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.seen))
}

// What the backend asks for, by kind, for the proxy to lose or hold: claims make a
// claim, looks ask where it stands, checks whether grants are still there, watches
// begin to watch a claim, leases make a session.
var (
	claims = txn(func(r *pb.TxnRequest) bool {
		for _, op := range r.Success {
			if bytes.Contains(op.GetRequestPut().GetKey(), []byte("/locks/")) {
				return true
			}
		}
		return false
	})
	checks = txn(func(r *pb.TxnRequest) bool {
		return len(r.Compare) == 0 && len(r.Success) > 0 &&
			bytes.Contains(r.Success[0].GetRequestRange().GetKey(), []byte("/locks/"))
	})
	releases = txn(func(r *pb.TxnRequest) bool {
		for _, op := range r.Success {
			if op.GetRequestDeleteRange() != nil {
				return true
			}
		}
		return false
	})
	looks   = proxy.Method("/etcdserverpb.KV/Range", "/locks/")
	watches = proxy.Method("/etcdserverpb.Watch/Watch", "/locks/")
	leases  = proxy.Method("/etcdserverpb.Lease/LeaseGrant")
)

func txn(match func(*pb.TxnRequest) bool) func(request []byte) bool {
	return func(request []byte) bool {
		if proxy.MethodOf(request) != "/etcdserverpb.KV/Txn" {
			return false
		}
		var r pb.TxnRequest
		return proto.Unmarshal(proxy.Payload(request), &r) == nil && match(&r)
	}
}
