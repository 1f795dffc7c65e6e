package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis/internal/cluster"
	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
)

// clusterConf is how a Cluster is reached.
type clusterConf struct {
	seeds   []string
	options func(addr string) goredis.Options
	log     *slog.Logger

	// watch goes along with the first questions to the node at an address, to say more of their error.
	watch func(ctx context.Context, addr string) (context.Context, func(error) error)
}

// openCluster is Open for redis+cluster and rediss+cluster.
func openCluster(ctx context.Context, u *url.URL, log *slog.Logger) (driver.Backend, error) {
	conf, opts, err := parseClusterURL(u, log)
	if err != nil {
		return nil, err
	}
	opts.Logger = log
	bounded, cancel := context.WithTimeoutCause(ctx, openTimeout, errNotOpened)
	defer cancel()
	return open(bounded, opts, inCluster(conf))
}

// inCluster makes the store of a Cluster.
func inCluster(conf clusterConf) func(b *backend) store {
	return func(b *backend) store {
		b.tagged = true
		b.releases = new(releases)
		s := &slotted{names: &b.names, conf: conf}
		s.pauses.contact = b.contact
		s.cluster = cluster.New(b.closing, cluster.Config{
			Seeds:   conf.seeds,
			Options: conf.options,
			Contact: func(addr string) *address.Contact { return address.NewContact(conf.log.With("node", addr)) },
			FailedOver: func(addr string) {
				b.contact.Warn("a node of the Cluster is no master any more; if another has taken its place after a failure, locks may be lost", "node", addr)
				b.notifications.onResubscribe()
			},
		})
		return s
	}
}

func (s *slotted) setUp(ctx context.Context, b *backend, opts Options) error {
	if err := s.cluster.Find(ctx, s.conf.watch); err != nil {
		return classifyFound(ctx, err)
	}
	s.wait = opts.Wait
	for {
		masters := s.cluster.Masters()
		found, err := s.prepare(ctx, masters, opts, b.channel)
		if err == nil {
			b.info.Warnings = warningsOf(masters, found)
			s.cluster.SetNodeTimeout(leastNodeTimeout(found))
			s.pauses.set(found)
			break
		}
		// A master that cannot be reached may be given up just now.
		if !errors.Is(err, driver.ErrUnavailable) || errors.Is(err, driver.ErrRefused) || !s.askAgain(ctx) {
			return err
		}
	}
	b.info.Warnings = append(b.info.Warnings, s.clockWarnings(ctx)...)
	heard := func(payload string) { b.notifications.onMessage(payload, false) }
	return s.cluster.Subscribe(ctx, b.channel, heard, b.notifications.onResubscribe)
}

// classifyFound is node.Classify for an error of Find, which says more than that its time is over, and may have a kind
// already.
func classifyFound(ctx context.Context, err error) error {
	for _, kind := range []error{driver.ErrUnavailable, driver.ErrRefused, driver.ErrUnsupported, driver.ErrInvalid} {
		if errors.Is(err, kind) && !errors.Is(ctx.Err(), context.Canceled) {
			return err
		}
	}
	return node.Classify(ctx, err)
}

// askAgain waits a moment, and asks for the map; it returns false if there is no time for that.
func (s *slotted) askAgain(ctx context.Context) bool {
	select {
	case <-time.After(100 * time.Millisecond):
	case <-ctx.Done():
		return false
	}
	return s.cluster.Refresh(ctx) == nil && ctx.Err() == nil
}

// prepared is what a master has told when it was made ready.
type prepared struct {
	server   node.Server
	settings map[string]string // nil if it does not tell
	few      string            // that it has fewer replicas than Options.Wait; or ""
}

// prepare looks at all masters, side by side, and makes them ready. The error is that of one of them, and says
// which.
func (s *slotted) prepare(ctx context.Context, masters []cluster.Master, opts Options, channel string) ([]prepared, error) {
	found, errs := make([]prepared, len(masters)), make([]error, len(masters))
	var preparing sync.WaitGroup
	for i, m := range masters {
		preparing.Go(func() {
			errs[i] = s.cluster.With(m.Addr, func(n *node.Node) (err error) {
				found[i], err = prepareOne(ctx, n, opts, channel)
				return err
			})
		})
	}
	preparing.Wait()
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("the master %s: %w", masters[i].Addr, err)
		}
	}
	return found, nil
}

func prepareOne(ctx context.Context, n *node.Node, opts Options, channel string) (p prepared, err error) {
	if p.server, err = n.Look(ctx); err != nil {
		return p, err
	}
	if err := p.server.UsableInCluster(); err != nil {
		if p.server.Role() == "slave" { // it has just become one
			err = fmt.Errorf("%w: it is a replica", driver.ErrUnavailable)
		}
		return p, err
	}
	if weak := p.server.NotDurable(); opts.Durable && weak != "" {
		return p, fmt.Errorf("%w: durable=true, but %s", driver.ErrUnsupported, weak)
	}
	p.settings = settingsOf(ctx, n)
	if opts.Wait > 0 {
		if p.few, err = checkWait(ctx, n, opts.Wait); err != nil {
			return p, err
		}
	}
	return p, n.Prepare(ctx, allScripts, permissions(opts.Namespace, channel, "cluster"))
}

// The settings of a node that matter. CONFIG GET passes over those that a server has not.
const (
	nodeTimeout    = "cluster-node-timeout"
	redisPause     = "cluster-slot-migration-write-pause-timeout" // Redis 8.4 and later
	valkeyFailover = "cluster-manual-failover-timeout"            // Valkey: also of a migration
)

// settingsOf are those of a node; nil if it does not tell.
func settingsOf(ctx context.Context, n *node.Node) map[string]string {
	reply, err := n.Ask(ctx, "config", "get", nodeTimeout, redisPause, valkeyFailover)
	list, ok := reply.([]any)
	if err != nil || !ok {
		return nil
	}
	found := map[string]string{}
	for i := 0; i+1 < len(list); i += 2 {
		name, _ := list[i].(string)
		found[name], _ = list[i+1].(string)
	}
	return found
}

// milliseconds is a setting that is a time; zero if it is not known.
func (p *prepared) milliseconds(name string) time.Duration {
	n, err := strconv.ParseInt(p.settings[name], 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Millisecond
}

// leastNodeTimeout is how long a master may be silent until another gives it up. If any does not tell, that is taken for a second.
func leastNodeTimeout(found []prepared) (least time.Duration) {
	for i := range found {
		t := found[i].milliseconds(nodeTimeout)
		if t == 0 {
			t = time.Second
		}
		if least == 0 || t < least {
			least = t
		}
	}
	return least
}
