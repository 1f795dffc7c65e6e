package process_test

import (
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// target is what is tested against.
type target struct {
	name    string
	scheme  string
	kind    servers.Kind
	members int

	// freed is how long after the last sign of life of a dead holder, or of a dead
	// waiter whose turn it is, the lock goes to the next, at most.
	freed func(ttl time.Duration) time.Duration

	session  proxy.Protocol
	releases func(request []byte) bool // matches what Unlock sends
}

var targets = []target{
	{"redis", "redis", servers.Redis, 1, redisFrees, proxy.RESP, locktest.RedisRequest("release")},
	{"redlock of three", "redlock", servers.Redis, 3, redlockFrees, proxy.RESP, locktest.RedlockRequest("end")},
	{"etcd", "etcd", servers.Etcd, 1, etcdFrees, proxy.GRPC, etcdReleases},
	{"etcd of three", "etcd", servers.Etcd, 3, etcdFrees, proxy.GRPC, etcdReleases},
	{"zookeeper", "zookeeper", servers.ZooKeeper, 1, zooKeeperFrees, proxy.ZooKeeper, zooKeeperReleases},
	{"zookeeper of three", "zookeeper", servers.ZooKeeper, 3, zooKeeperFrees, proxy.ZooKeeper, zooKeeperReleases},
	{"raft", "raft", servers.Raft, 1, raftFrees, proxy.Raft, proxy.RaftOp("release")},
	{"raft of three", "raft", servers.Raft, 3, raftFrees, proxy.Raft, proxy.RaftOp("release")},
}

// redisFrees: the waiter knows when the lease of the holder ends, and asks then.
func redisFrees(ttl time.Duration) time.Duration { return ttl }

// redlockFrees: so does the first waiter; one behind a waiter that has died asks once in 3 s.
func redlockFrees(ttl time.Duration) time.Duration { return max(ttl, 3*time.Second) }

// etcdFrees: leases are whole seconds, and it looks for those that have ended twice a
// second, and has its members agree.
func etcdFrees(ttl time.Duration) time.Duration { return wholeSeconds(ttl) + 1500*time.Millisecond }

// zooKeeperFrees: a session is a second longer than its leases, and ends on a tick, of
// 200 ms here.
func zooKeeperFrees(ttl time.Duration) time.Duration {
	return wholeSeconds(ttl) + time.Second + 2*200*time.Millisecond
}

// raftFrees: the leader looks at each tick, of 50 ms, whether a lease has ended.
func raftFrees(ttl time.Duration) time.Duration { return ttl + 50*time.Millisecond }

func wholeSeconds(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}

// etcdReleases matches a transaction that deletes.
func etcdReleases(request []byte) bool {
	var txn pb.TxnRequest
	if proxy.MethodOf(request) != "/etcdserverpb.KV/Txn" || proto.Unmarshal(proxy.Payload(request), &txn) != nil {
		return false
	}
	for _, op := range txn.Success {
		if op.GetRequestDeleteRange() != nil {
			return true
		}
	}
	return false
}

// zooKeeperReleases matches the deletion of a claim's node, by itself or with more.
func zooKeeperReleases(request []byte) bool {
	switch proxy.ZKOpOf(request) {
	case "delete", "multi":
		return strings.Contains(proxy.ZKPath(request), "/"+key+"/")
	}
	return false
}

// cluster is a target that runs.
type cluster struct {
	target
	addrs []string
	dir   string // that the processes share, in place of servers
}

// run starts the servers.
func (g target) run(t *testing.T, opts ...servers.Option) *cluster {
	t.Helper()
	if g.members == 1 {
		return &cluster{target: g, addrs: []string{servers.Start(t, g.kind, opts...).Addr()}}
	}
	if g.scheme == "redlock" { // servers that know nothing of each other, of several kinds
		c := &cluster{target: g}
		opts = append(opts, servers.Args("--appendonly", "yes", "--appendfsync", "always"))
		for _, s := range servers.StartMasters(t, servers.AllRedises()[:g.members], opts...) {
			c.addrs = append(c.addrs, s.Addr())
		}
		return c
	}
	return &cluster{target: g, addrs: servers.StartCluster(t, g.kind, g.members, opts...).Addrs()}
}

// url names the servers and a namespace, as the user of a program does.
func (c *cluster) url(addrs []string, ns string) string {
	switch {
	case c.dir != "":
		return "raft://" + c.dir + "?namespace=" + ns
	case c.scheme == "raft":
		return servers.RaftURL(addrs, ns)
	}
	return c.scheme + "://" + strings.Join(addrs, ",") + "?namespace=" + ns
}

// through puts a proxy in front of each member.
func (c *cluster) through(t *testing.T) (proxies []*proxy.Proxy, addrs []string) {
	t.Helper()
	if c.scheme == "raft" {
		for _, p := range locktest.ThroughMembers(t, c.addrs) {
			proxies, addrs = append(proxies, p), append(addrs, p.Addr())
		}
		return proxies, addrs
	}
	for _, addr := range c.addrs {
		p := proxy.Start(t, addr, c.session)
		proxies, addrs = append(proxies, p), append(addrs, p.Addr())
	}
	return proxies, addrs
}
