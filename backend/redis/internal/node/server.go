package node

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/driver"
)

// Server is what a server tells of itself.
type Server struct {
	info                          map[string]string
	name                          string // where INFO tells little
	appendfsync, noFsyncOnRewrite string
	fsyncKnown, rewriteKnown      bool // CONFIG GET may be forbidden
}

// miniredis is the name of a library for unit tests that acts as a server.
const miniredis = "miniredis"

// Look asks the server about itself: INFO, HELLO where INFO tells too little, and CONFIG GET where
// the server is usable. The error has been through Classify.
func (n *Node) Look(ctx context.Context) (s Server, err error) {
	err = n.withConn(ctx, func(client *goredis.Client) error {
		text, err := client.Info(ctx).Result()
		if err != nil {
			return fmt.Errorf("asking the server about itself (INFO): %w", Classify(ctx, err))
		}
		s = Server{info: parseInfo(text)}
		if s.Version() == "" || s.Mode() == "" || s.Role() == "" && s.Mode() != "sentinel" { // some services cut INFO short
			s.name = hello(ctx, client, s.info)
		}
		if (s.Usable() == nil || s.UsableInCluster() == nil) && s.name != miniredis {
			s.appendfsync, s.fsyncKnown = configGet(ctx, client, "appendfsync")
			s.noFsyncOnRewrite, s.rewriteKnown = configGet(ctx, client, "no-appendfsync-on-rewrite")
		}
		return nil
	})
	return s, err
}

// RunID is random, and another one for each process of the server. Empty where it does not tell.
func (s Server) RunID() string { return s.info["run_id"] }

// Version is that of Redis; Valkey tells the Redis version that it speaks.
func (s Server) Version() string { return s.info["redis_version"] }

// Role is "master" or "slave".
func (s Server) Role() string { return s.info["role"] }

// Mode is "standalone", "sentinel" or "cluster". Valkey and redict tell their mode, unlike
// their version, by names of their own only.
func (s Server) Mode() string {
	return cmp.Or(s.info["redis_mode"], s.info["server_mode"], s.info["redict_mode"])
}

// Replicas are the addresses of the replicas that are connected, as the master sees them, with what INFO tells of
// each: "state" and "lag" among others.
func (s Server) Replicas() map[string]map[string]string {
	found := make(map[string]map[string]string)
	for i := 0; ; i++ {
		line, ok := s.info["slave"+strconv.Itoa(i)]
		if !ok {
			return found
		}
		fields := make(map[string]string)
		for field := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(field, "=")
			fields[name] = value
		}
		found[net.JoinHostPort(fields["ip"], fields["port"])] = fields
	}
}

// NeedsReplicas reports whether the server refuses writes while too few replicas listen to it
// (min-replicas-to-write): INFO tells.
func (s Server) NeedsReplicas() bool {
	_, ok := s.info["min_slaves_good_slaves"]
	return ok
}

// Usable says why this single server cannot keep locks, as an error of kind
// driver.ErrUnsupported: it is a replica, a Sentinel, a member of a Cluster, too old, or does not tell.
func (s Server) Usable() error {
	if s.Mode() == "cluster" && s.tooOld() == nil {
		return fmt.Errorf("%w: the server is part of a Cluster: write redis+cluster:// (or rediss+cluster://), with some of its members as hosts", driver.ErrUnsupported)
	}
	return s.usable()
}

// UsableInCluster is Usable for a server that is to be a master of a Cluster.
func (s Server) UsableInCluster() error {
	if mode := s.Mode(); mode != "cluster" && mode != "sentinel" && s.tooOld() == nil {
		return fmt.Errorf("%w: the server is not part of a Cluster: write redis:// (or rediss://)", driver.ErrUnsupported)
	}
	return s.usable()
}

// usable says why a server, by itself or in a Cluster, cannot keep locks.
func (s Server) usable() error {
	role := s.Role()
	switch old := s.tooOld(); {
	case s.Mode() == "sentinel":
		return fmt.Errorf("%w: the server is a Sentinel, which keeps no data: write redis+sentinel:// (or rediss+sentinel://), "+
			"with the Sentinels as hosts and the name of the master that they watch after a slash", driver.ErrUnsupported)
	case old != nil:
		return old
	case role == "":
		return fmt.Errorf("%w: the server does not tell, by INFO or HELLO, whether it is a master", driver.ErrUnsupported)
	case role != "master":
		role = strings.Replace(role, "slave", "replica", 1) // what it says is the older word
		return fmt.Errorf("%w: the server is a %s, and takes no writes; connect to its master", driver.ErrUnsupported, role)
	}
	return nil
}

func (s Server) tooOld() error {
	version := s.Version()
	major, _ := strconv.Atoi(strings.SplitN(version, ".", 2)[0])
	switch {
	case version == "":
		return fmt.Errorf("%w: the server does not tell its version, by INFO or HELLO; is it Redis 7.0 or later, or Valkey?", driver.ErrUnsupported)
	case major < 7:
		return fmt.Errorf("%w: the server is Redis %s; 7.0 is the oldest that works", driver.ErrUnsupported, version)
	}
	return nil
}

// NotDurable says what keeps the server from keeping all that it has answered through a crash, with
// what to set; "" if nothing does.
func (s Server) NotDurable() string {
	switch {
	case s.name == miniredis:
		return "miniredis keeps nothing"
	case s.info["aof_enabled"] != "1":
		return "the server keeps no append-only file: set appendonly yes"
	case !s.fsyncKnown || !s.rewriteKnown:
		return "the server does not tell its settings: allow CONFIG GET"
	case s.appendfsync != "always":
		return "the server may lose what it has answered: set appendfsync always, it is " + s.appendfsync
	case s.noFsyncOnRewrite != "no":
		return "the server does not sync while it rewrites its file: set no-appendfsync-on-rewrite no"
	case s.evicts():
		return "the server deletes locks when memory is short: set maxmemory-policy noeviction, it is " + s.info["maxmemory_policy"]
	}
	return ""
}

// Warnings has a sentence for each setting that weakens what a lock on this server alone promises.
func (s Server) Warnings() (w []string) {
	if s.name == miniredis {
		return []string{"the server is miniredis, which is for unit tests: it keeps nothing, and a lease or a tombstone " +
			"ends only when FastForward is called"}
	}
	if s.evicts() {
		w = append(w, "the server deletes keys, locks among them, when memory is short (maxmemory-policy "+
			s.info["maxmemory_policy"]+"); set noeviction")
	}
	switch aof, told := s.info["aof_enabled"]; {
	case !told:
		w = append(w, "the server does not tell whether it keeps an append-only file; without one, a restart frees every lock")
	case aof != "1":
		w = append(w, "the server keeps no append-only file, so a restart frees every lock; holders are told, "+
			"tokens keep rising, but two holders may overlap until then")
	case !s.fsyncKnown:
		w = append(w, "the server does not tell its appendfsync (CONFIG GET is not allowed); "+
			"unless it is always, a crash may free locks of the last second")
	case s.appendfsync != "always":
		w = append(w, "the server syncs its file now and then (appendfsync "+s.appendfsync+
			"), so a crash may free locks of the last second")
	}
	if n, _ := strconv.Atoi(s.info["connected_slaves"]); n > 0 {
		w = append(w, "the server has replicas; a fail-over to one of them may lose locks, as replication is asynchronous")
	}
	return w
}

func (s Server) evicts() bool {
	policy := s.info["maxmemory_policy"]
	return policy != "" && policy != "noeviction" && s.info["maxmemory"] != "0"
}

// hello asks for what INFO did not tell, in the protocol that is spoken, so that
// nothing changes. It returns the name of the server, "" if it does not answer.
func hello(ctx context.Context, client *goredis.Client, info map[string]string) (server string) {
	told, err := client.Do(ctx, "hello", client.Options().Protocol).Result()
	if err != nil {
		return ""
	}
	pairs := make(map[string]string)
	switch told := told.(type) {
	case map[any]any: // in RESP3
		for name, value := range told {
			pairs[fmt.Sprint(name)] = fmt.Sprint(value)
		}
	case []any:
		for pair := range slices.Chunk(told, 2) {
			pairs[fmt.Sprint(pair[0])] = fmt.Sprint(pair[len(pair)-1])
		}
	}
	for inHello, inInfo := range map[string]string{"version": "redis_version", "mode": "redis_mode", "role": "role"} {
		if info[inInfo] == "" {
			info[inInfo] = pairs[inHello]
		}
	}
	return pairs["server"]
}

// configGet reads a setting; ok is false if the server does not tell.
func configGet(ctx context.Context, client *goredis.Client, name string) (value string, ok bool) {
	m, err := client.ConfigGet(ctx, name).Result()
	if err != nil {
		return "", false
	}
	value, ok = m[name]
	return value, ok
}

// parseInfo reads the lines "name:value" of INFO.
func parseInfo(text string) map[string]string {
	m := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			m[name] = value
		}
	}
	return m
}
