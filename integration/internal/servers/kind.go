package servers

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/client"
)

// Kind is a server that can be started: one line of a table. The tables are in
// redis.go, etcd.go, zookeeper.go and raft.go.
type Kind struct {
	name     string // for people
	product  string // the same without the release
	variable string // FENCELOCK_<variable>_ADDR, _IMAGE, _PROGRAM
	image    string // the official one, pinned
	own      string // ours, built by images/build.sh where no registry answers
	program  string // looked for on PATH where there is no Docker
	cure     string // how to get the program
	release  string // what the version of a program on PATH must be; see fits
	ports    ports  // inside a container

	// versionArgs make the program tell its version, and nothing else.
	versionArgs []string
	// another finds or makes the program where PATH has none that fits; or nil.
	another func(Kind) (path string, err error)
	// makeImage makes the image of a kind that is built of this repository; nil for others,
	// which have an official one.
	makeImage func(ctx context.Context, docker *client.Client) (image string, err error)
	// setup is how every such server starts, before what the test adds.
	setup func(l layout, o options) setup
	// ping returns nil if the server answers, whatever it says.
	ping func(ctx context.Context, addr string) error
	// askVersion asks a server that we have not started.
	askVersion func(ctx context.Context, addr string) (string, error)
	// askStanding tells whether a member of a cluster leads it, and since which term;
	// or nil.
	askStanding func(ctx context.Context, addr string) (standing, error)
	// askMetrics returns what the server counts; or nil.
	askMetrics func(ctx context.Context, addr string) (map[string]float64, error)
	// sockets is true if it can listen on a Unix socket.
	sockets bool
	// fixed is true if its members tell clients their addresses: those are the same for all, and through a restart.
	fixed bool
}

// setup is what a server is started with.
type setup struct {
	args  []string
	env   map[string]string
	files map[string][]byte // into its directory
}

// Kinds lists all there are.
func Kinds() []Kind {
	return slices.Concat(AllRedises(), allEtcds(), allZooKeepers(), []Kind{Raft})
}

// newest leaves of each product its last kind, if FENCELOCK_VERSIONS is "newest", as `make test` has it: all versions take
// longer than CI has. Otherwise it leaves all.
func newest(all []Kind) []Kind {
	if os.Getenv("FENCELOCK_VERSIONS") != "newest" {
		return all
	}
	var last []Kind
	for _, k := range all {
		last = slices.DeleteFunc(last, func(older Kind) bool { return older.product == k.product })
		last = append(last, k)
	}
	return last
}

func (k Kind) String() string { return k.name }

// env is the name of a variable about this kind.
func (k Kind) env(what string) string { return "FENCELOCK_" + k.variable + "_" + what }

// fits reports whether a version is one of the release that is wanted: "7.0." is a
// prefix, "8+" or "3.8+" a release or a later one.
func (k Kind) fits(version string) bool {
	least, orLater := strings.CutSuffix(k.release, "+")
	if !orLater {
		return strings.HasPrefix(version, k.release)
	}
	got := strings.Split(version, ".")
	for i, part := range strings.Split(least, ".") {
		if i == len(got) {
			return false
		}
		want, _ := strconv.Atoi(part)
		n, err := strconv.Atoi(got[i])
		if err != nil || n < want {
			return false
		}
		if n > want {
			return true
		}
	}
	return true
}

// Option changes how a server is started.
type Option func(*options)

type options struct {
	args   []string
	files  map[string][]byte
	tls    *certificates
	socket bool
	skew   bool

	// Those of Redis and Valkey, several together.
	password, sentinelPassword string
	sentinelLines              []string
	downAfter                  time.Duration
	replicas                   int
}

// Dir stands, in an argument, for the directory of the server's data and files.
const Dir = "{dir}"

// Args adds arguments to the server's command line, or, for ZooKeeper, lines to its
// zoo.cfg, after those it has already: Args("--appendonly", "yes"),
// Args("tickTime=2000"). The last one counts.
func Args(args ...string) Option {
	return func(o *options) { o.args = append(o.args, args...) }
}

// File puts a file into the server's directory, or one below it, for an argument to name:
// Args("--aclfile", Dir+"/users.acl"). So may data be that the server is to begin with.
func File(name string, content []byte) Option {
	return func(o *options) { o.files[name] = content }
}

// TLS makes the server listen on a second port, [Server.TLSAddr], with a
// certificate that [Server.TLSConfig] trusts. It asks for the client's
// certificate, which TLSConfig has too.
func TLS() Option {
	return func(o *options) { o.tls = newCertificates() }
}

// UnixSocket makes the server listen on [Server.Socket] as well. It works where
// the server runs on this machine, in Docker or not.
func UnixSocket() Option {
	return func(o *options) { o.socket = true }
}

func collect(opts []Option) options {
	o := options{files: map[string][]byte{}, downAfter: downAfter}
	for _, opt := range opts {
		opt(&o)
	}
	if o.tls != nil {
		for name, content := range o.tls.files() {
			o.files[name] = content
		}
	}
	return o
}

// complete is how a kind of server starts, with what the test adds to it.
func (o options) complete(k Kind, l layout) setup {
	s := k.setup(l, o)
	files := maps.Clone(o.files)
	maps.Copy(files, s.files)
	s.files = files
	for i := range s.args {
		s.args[i] = strings.ReplaceAll(s.args[i], Dir, l.dir)
	}
	return s
}

// ports are those of one server: tls is used if a test asks for it, the last two
// by members of a cluster among themselves.
type ports struct{ plain, tls, peer, election int }

// layout tells a server where to listen, where its files are, and who else is in
// its cluster.
type layout struct {
	host string // to listen on
	ports
	public  ports  // at which the tests reach it, on the loopback interface
	dir     string // for its data and files
	socket  string // to listen on as well, if a test asks for it
	self    int    // which of the members it is
	members []peer // all of a cluster, or only itself
}

// peer is a member as the others see it.
type peer struct {
	name, host string
	ports
}

func (l layout) me() peer { return l.members[l.self] }

// freePort finds one that nobody listens on. It is below those that systems give
// to outgoing connections, so that none of them takes it while the server that
// owns it is down.
func freePort() (int, error) {
	for range 100 {
		port := 20000 + rand.IntN(12000)
		l, err := net.Listen("tcp4", loopback(port))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port")
}

// freePorts finds one for each use of each of n servers, all different.
func freePorts(n int) ([]ports, error) {
	taken := map[int]bool{}
	var err error
	next := func() int {
		for err == nil {
			var port int
			if port, err = freePort(); !taken[port] {
				taken[port] = true
				return port
			}
		}
		return 0
	}
	all := make([]ports, n)
	for i := range all {
		all[i] = ports{plain: next(), tls: next(), peer: next(), election: next()}
	}
	return all, err
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
