package redlock

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
)

func init() {
	for _, scheme := range []string{"redlock", "redlocks"} {
		fencelock.Register(scheme, Open)
	}
}

// Options configure a backend made by [New]. Nil and zero fields mean the
// defaults.
type Options struct {
	// Namespace is what the names of all keys and channels begin with: 1 to 64
	// letters, digits and . _ : - characters. "fencelock" if empty. Clients that are
	// to exclude each other have the same.
	Namespace string

	// MaxTTL is the longest TTL of a lease, from a second to 24 hours. It is set when the first client
	// makes the list of the nodes, to a minute if it is zero; from then on another value is refused.
	// A node that has lost its data abstains for as long.
	MaxTTL time.Duration

	// Tokenless switches fencing tokens off: a lock then takes one round trip, and never a second, and
	// nothing keeps a holder that is paused from writing when another has the lock.
	Tokenless bool

	// Logger gets what an operator should know and no call returns: that a node cannot be
	// reached, or takes no part, and that it does again. slog.Default() if nil. Only for New; Open has the
	// one of fencelock.Options.
	Logger *slog.Logger
}

// Open connects to the nodes that u names; see the package comment for the form
// of the URL. It is what fencelock.Open calls.
func Open(ctx context.Context, u *url.URL, o driver.OpenOptions) (driver.Backend, error) {
	log := o.Log("redlock")
	targets, opts, err := parseURL(u, log)
	if err != nil {
		return nil, err
	}
	opts.Logger = log
	ctx, cancel := context.WithTimeoutCause(ctx, openTimeout, errNotOpened)
	defer cancel()
	return open(ctx, targets, opts)
}

// openTimeout bounds Open. To connect may take a few round trips, each of which has less.
const openTimeout = 5 * time.Second

// New makes a backend that connects to each node as a client of the application's own does: 3, 5 or 7
// clients, each of one server, which is a master that knows nothing of the others. It connects
// by their dialers, so with their TLS or proxy, as the same users, in the same databases, with the same
// OnConnect. Credentials are asked for again for each connection where a client has a
// function for them. opts may be nil. ctx bounds it, and nothing after it.
//
// The connections are the backend's own: an application that uses up its pools delays no renewal. So
// nothing else of a client applies to them, neither its time-outs, retries, limits of its pool, Limiter
// and client-side cache, nor its hooks; and neither is closed with the other.
func New(ctx context.Context, clients []goredis.UniversalClient, opts *Options) (driver.Backend, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if why := checkNumber(len(clients)); why != "" {
		return nil, address.Invalid("%d clients: %s", len(clients), why)
	}
	targets := make([]target, len(clients))
	for i, client := range clients {
		conf, err := node.OptionsOf(fmt.Sprintf("client %d", i), client)
		if err != nil {
			return nil, err
		}
		targets[i] = target{name: conf.Addr, conf: conf}
	}
	for i, t := range targets {
		if slices.ContainsFunc(targets[:i], func(other target) bool { return other.name == t.name }) {
			return nil, address.Invalid("the clients connect to %s twice: each node is a server of its own", t.name)
		}
	}
	o.Logger = driver.OpenOptions{Logger: o.Logger}.Log("redlock")
	return open(ctx, targets, o)
}

func (o *Options) check() error {
	if o.Namespace == "" {
		o.Namespace = "fencelock"
	}
	if why := node.CheckNamespace(o.Namespace); why != "" {
		return address.Invalid("namespace %q: %s", o.Namespace, why)
	}
	if o.MaxTTL != 0 {
		if why := checkMaxTTL(o.MaxTTL); why != "" {
			return address.Invalid("MaxTTL %v: %s", o.MaxTTL, why)
		}
	}
	return nil
}
