package servers

import (
	"context"
	"slices"
	"strconv"
	"strings"

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
}

// setup is what a server is started with.
type setup struct {
	args  []string
	env   map[string]string
	files map[string][]byte // into its directory
}

// Kinds lists all there are.
func Kinds() []Kind { return slices.Concat(Redises(), Etcds(), ZooKeepers(), []Kind{Raft}) }

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
