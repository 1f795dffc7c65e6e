package servers

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// MasterName is that by which the Sentinels know what they watch.
const MasterName = "locks"

const (
	watched   = 3 // a master and two replicas
	watchers  = 3
	quorum    = 2
	downAfter = time.Second
)

// Sentinels are a master, two replicas of it, and three Sentinels that watch them. Clients reach all of them at
// the addresses that the Sentinels tell.
type Sentinels struct {
	*Cluster            // all six
	Servers   []*Server // the first is the master when the test begins
	Sentinels []*Server
}

// StartSentinels starts them, of one of the [Redises], and waits until the Sentinels know each other and all servers,
// and the replicas are in sync. They are removed at the test's end. [Args] are for the servers, [SentinelLines]
// for the Sentinels; with [TLS] they speak it with each other, too, and clients are told the ports for it.
func StartSentinels(t T, k Kind, opts ...Option) *Sentinels {
	t.Helper()
	o := collect(opts)
	ids := make([]string, watchers)
	for i := range ids {
		id := make([]byte, 20)
		_, _ = rand.Read(id)
		ids[i] = hex.EncodeToString(id)
	}
	plain := k.setup
	k.fixed = true
	k.setup = func(l layout, o options) setup {
		if l.self < watched {
			return watchedSetup(plain, l, o)
		}
		return sentinelSetup(l, o, ids)
	}
	c := startFor(t, k, o, watched+watchers)
	s := &Sentinels{Cluster: c, Servers: c.members[:watched], Sentinels: c.members[watched:]}
	for _, server := range s.Servers {
		server.password = o.password
	}
	for _, sentinel := range s.Sentinels {
		sentinel.password = o.sentinelPassword
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	err := poll(ctx, s.whole)
	if err == nil {
		err = s.set(ctx, o)
	}
	if err != nil {
		t.Fatalf("servers: the Sentinels of %v: %v", c, err)
	}
	return s
}

// set tells the Sentinels when a server is down. Until all are there, none is: they may start one after the other.
func (s *Sentinels) set(ctx context.Context, o options) error {
	ms := o.downAfter.Milliseconds()
	command := fmt.Sprintf("SENTINEL SET %s down-after-milliseconds %d failover-timeout %d", MasterName, ms, 3*ms)
	return (&Cluster{members: s.Sentinels}).each(func(_ int, sentinel *Server) error {
		_, err := sentinel.askRedis(ctx, command)
		return err
	})
}

// watchedSetup has a file for the server to keep its role in, as one has in production: a fail-over rewrites it.
func watchedSetup(plain func(layout, options) setup, l layout, o options) setup {
	o.args = append(replicated(o), o.args...)
	s := plain(l, o)
	conf := ""
	if l.self > 0 {
		conf = "replicaof " + l.members[0].host + " " + l.members[0].told(o) + "\n"
	}
	s.args = append([]string{Dir + "/server.conf"}, s.args...)
	s.files = map[string][]byte{"server.conf": []byte(conf)}
	return s
}

// replicated are arguments of servers that replicate: a replica does not wait for others that may come, too.
func replicated(o options) []string {
	args := []string{"--repl-diskless-sync-delay", "0"}
	if o.password != "" {
		args = append(args, "--requirepass", o.password, "--masterauth", o.password)
	}
	if o.tls != nil {
		args = append(args, "--tls-replication", "yes")
	}
	return args
}

// told is the port that clients are told.
func (p peer) told(o options) string {
	if o.tls != nil {
		return strconv.Itoa(p.tls)
	}
	return strconv.Itoa(p.plain)
}

// sentinelSetup makes a Sentinel that knows all others from the beginning: to find them takes seconds. It rewrites
// its file.
func sentinelSetup(l layout, o options, ids []string) setup {
	var conf strings.Builder
	line := func(words ...any) { fmt.Fprintln(&conf, words...) }
	line("port", l.plain)
	line("bind", l.host)
	line("protected-mode no")
	line("dir", l.dir)
	line("sentinel myid", ids[l.self-watched])
	if o.tls != nil {
		line("tls-port", l.tls)
		line("tls-ca-cert-file", l.dir+"/ca.pem")
		line("tls-cert-file", l.dir+"/server.pem")
		line("tls-key-file", l.dir+"/server.key")
		line("tls-replication yes")
	}
	if o.sentinelPassword != "" {
		line("requirepass", o.sentinelPassword)
		line("sentinel sentinel-pass", o.sentinelPassword)
	}
	line("sentinel monitor", MasterName, l.members[0].host, l.members[0].told(o), quorum)
	line("sentinel down-after-milliseconds", MasterName, startLimit.Milliseconds())
	line("sentinel parallel-syncs", MasterName, watched-1)
	if o.password != "" {
		line("sentinel auth-pass", MasterName, o.password)
	}
	for _, p := range l.members[1:watched] {
		line("sentinel known-replica", MasterName, p.host, p.told(o))
	}
	for i, p := range l.members[watched:] {
		if watched+i != l.self {
			line("sentinel known-sentinel", MasterName, p.host, p.told(o), ids[i])
		}
	}
	for _, more := range o.sentinelLines {
		line(more)
	}
	return setup{
		args:  []string{Dir + "/sentinel.conf", "--sentinel"},
		files: map[string][]byte{"sentinel.conf": []byte(conf.String())},
	}
}

// DownAfter is how long a server of [StartSentinels] is silent before a Sentinel takes it for dead: a second unless it is given. A
// fail-over may take three times as long before it is given up.
func DownAfter(d time.Duration) Option { return func(o *options) { o.downAfter = d } }

// SentinelLines adds lines to the Sentinels' file; the last of a kind counts.
func SentinelLines(lines ...string) Option {
	return func(o *options) { o.sentinelLines = append(o.sentinelLines, lines...) }
}

// Password is that of the user "default", for [StartSentinels] and [StartRedisCluster].
func Password(password string) Option { return func(o *options) { o.password = password } }

// SentinelPassword is that of the Sentinels themselves.
func SentinelPassword(password string) Option {
	return func(o *options) { o.sentinelPassword = password }
}

// Told is the address that clients are told: that for TLS, if it was started with [TLS].
func (s *Server) Told() string {
	if s.tlsAddr != "" {
		return s.tlsAddr
	}
	return s.addr
}

// SentinelAddrs are those of the Sentinels, as they tell them.
func (s *Sentinels) SentinelAddrs() []string {
	addrs := make([]string, len(s.Sentinels))
	for i, sentinel := range s.Sentinels {
		addrs[i] = sentinel.Told()
	}
	return addrs
}

// Master returns the server that a majority of the Sentinels names, and waits for one if need be.
func (s *Sentinels) Master(t T) *Server {
	t.Helper()
	return s.MasterAfter(t, nil)
}

// MasterAfter returns the server that they name in place of old, and waits for it.
func (s *Sentinels) MasterAfter(t T, old *Server) (master *Server) {
	t.Helper()
	awaitFor(t, faultLimit, "there is no master, or no other", func(ctx context.Context) (err error) {
		if master, err = s.master(ctx); err == nil && master == old {
			err = fmt.Errorf("it is still %s", old.Told())
		}
		return err
	})
	return master
}

// Replicas are the other servers, whatever their state is.
func (s *Sentinels) Replicas(t T) (all []*Server) {
	t.Helper()
	master := s.Master(t)
	for _, server := range s.Servers {
		if server != master {
			all = append(all, server)
		}
	}
	return all
}

func (s *Sentinels) master(ctx context.Context) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	named := make([]string, len(s.Sentinels))
	err := (&Cluster{members: s.Sentinels}).each(func(i int, sentinel *Server) error {
		answer, err := sentinel.askRedis(ctx, "SENTINEL GET-MASTER-ADDR-BY-NAME "+MasterName)
		if addr, ok := answer.([]any); ok && len(addr) == 2 {
			named[i] = net.JoinHostPort(fmt.Sprint(addr[0]), fmt.Sprint(addr[1]))
		}
		return err
	})
	for _, server := range s.Servers {
		votes := 0
		for _, addr := range named {
			if addr == server.Told() {
				votes++
			}
		}
		if votes > len(named)/2 {
			return server, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("the Sentinels say %q", named), err)
}

// Failover has the Sentinels put a replica in the master's place, as an operator does, and returns it.
func (s *Sentinels) Failover(t T) *Server {
	t.Helper()
	return s.failOver(t, "")
}

// Coordinated does so in agreement with the master, which stops taking writes until the replica has them all. It takes
// Valkey 9.
func (s *Sentinels) Coordinated(t T) *Server {
	t.Helper()
	return s.failOver(t, " COORDINATED")
}

func (s *Sentinels) failOver(t T, how string) *Server {
	t.Helper()
	old := s.Master(t)
	asked := time.Time{}
	awaitFor(t, faultLimit, "the Sentinels do not fail over", func(ctx context.Context) (err error) {
		if master, err := s.master(ctx); err == nil && master != old {
			return nil
		}
		if time.Since(asked) < 3*time.Second {
			return errors.New("it is not done")
		}
		for _, sentinel := range s.Sentinels { // one that has said OK may still give up, for want of a good replica
			if _, err = sentinel.askRedis(ctx, "SENTINEL FAILOVER "+MasterName+how); err == nil {
				asked = time.Now()
				return errors.New("it is asked for")
			}
		}
		return err // INPROG, NOGOODSLAVE: later
	})
	return s.MasterAfter(t, old)
}

// Hasten has the Sentinels ask the servers each second for their roles, replicas and priorities, in place of each ten: what a test
// has set is seen soon, and what it waits for. How a fail-over goes and when a master is down is the same.
func (s *Sentinels) Hasten(t T) {
	t.Helper()
	awaitFor(t, faultLimit, "a Sentinel cannot be set", func(ctx context.Context) error {
		return (&Cluster{members: s.Sentinels}).each(func(_ int, sentinel *Server) error {
			_, err := sentinel.askRedis(ctx, "SENTINEL DEBUG INFO-PERIOD 1000")
			return err
		})
	})
}

// Demote makes a former master a replica of the one that took its place, as the Sentinels would eight seconds later.
func (s *Sentinels) Demote(t T, old *Server) {
	t.Helper()
	host, port, _ := net.SplitHostPort(s.MasterAfter(t, old).Told())
	awaitFor(t, faultLimit, "it cannot be demoted", func(ctx context.Context) error {
		_, err := old.askRedis(ctx, "REPLICAOF "+host+" "+port)
		return err
	})
}

// AwaitWhole returns when all six run, know each other, and the replicas are in sync with the master.
func (s *Sentinels) AwaitWhole(t T) {
	t.Helper()
	awaitFor(t, startLimit, "not all is well", s.whole)
}

func (s *Sentinels) whole(ctx context.Context) error {
	master, err := s.master(ctx)
	if err != nil {
		return err
	}
	err = (&Cluster{members: s.Servers}).each(func(_ int, server *Server) error {
		if server == master {
			return nil
		}
		return server.inSync(ctx, master.Told())
	})
	if err != nil {
		return err
	}
	return (&Cluster{members: s.Sentinels}).each(func(_ int, sentinel *Server) error {
		if _, err := sentinel.askRedis(ctx, "SENTINEL CKQUORUM "+MasterName); err != nil {
			return err
		}
		return sentinel.knowsReplicas(ctx)
	})
}

// inSync wants a server to be a replica of that master, and to have what it has.
func (s *Server) inSync(ctx context.Context, master string) error {
	text, err := s.askText(ctx, "INFO replication")
	if err != nil {
		return err
	}
	info := infoFields(text)
	if of := net.JoinHostPort(info["master_host"], info["master_port"]); of != master || info["master_link_status"] != "up" {
		return fmt.Errorf("%s is a %s of %s, link %s; want one of %s", s.addr, info["role"], of, info["master_link_status"], master)
	}
	return nil
}

// knowsReplicas wants a Sentinel to know that all replicas are well: then it can choose one.
func (s *Server) knowsReplicas(ctx context.Context) error {
	answer, err := s.askRedis(ctx, "SENTINEL REPLICAS "+MasterName)
	if err != nil {
		return err
	}
	all, _ := answer.([]any)
	for _, replica := range all {
		f := fields(replica)
		if f["flags"] != "slave" || f["master-link-status"] != "ok" {
			return fmt.Errorf("the Sentinel at %s says that %s is %s, its link %s", s.addr, f["name"], f["flags"], f["master-link-status"])
		}
	}
	if len(all) != watched-1 {
		return fmt.Errorf("the Sentinel at %s knows %d replicas", s.addr, len(all))
	}
	return nil
}
