package comingfrom_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fencelock/fencelock/fencing"
	etcdmutex "github.com/fencelock/fencelock/integration/comingfrom/etcdmutex"
	redislock "github.com/fencelock/fencelock/integration/comingfrom/redislock"
	redsync "github.com/fencelock/fencelock/integration/comingfrom/redsync"
	rueidislock "github.com/fencelock/fencelock/integration/comingfrom/rueidislock"
	setnxpx "github.com/fencelock/fencelock/integration/comingfrom/setnxpx"
	zklock "github.com/fencelock/fencelock/integration/comingfrom/zklock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// page is what one page of docs/coming-from shows.
type page struct {
	name, dir string
	kind      servers.Kind
	scheme    string
	before    func(ctx context.Context, addr, invoice string, charge func(context.Context) error) error
	after     func(ctx context.Context, url, invoice string, charge func(context.Context, fencing.Token) error) error
	rolling   func(ctx context.Context, addr, url, invoice string, charge func(context.Context, fencing.Token) error) error
}

var pages = []page{
	{"set-nx-px", "setnxpx", servers.Redis, "redis", setnxpx.Before, setnxpx.After, setnxpx.Rolling},
	{"redislock", "redislock", servers.Redis, "redis", redislock.Before, redislock.After, redislock.Rolling},
	{"redsync", "redsync", servers.Redis, "redis", redsync.Before, redsync.After, redsync.Rolling},
	{"rueidislock", "rueidislock", servers.Redis, "redis", rueidislock.Before, rueidislock.After, rueidislock.Rolling},
	{"etcd-concurrency", "etcdmutex", servers.Etcd, "etcd", etcdmutex.Before, etcdmutex.After, etcdmutex.Rolling},
	{"zookeeper-lock", "zklock", servers.ZooKeeper, "zookeeper", zklock.Before, zklock.After, zklock.Rolling},
}

// soon is longer than anything takes that nothing delays; patience is how long a program is
// watched that must not get the lock.
const (
	soon     = 20 * time.Second
	patience = 700 * time.Millisecond
)

// program is one of the three, with its server.
type program struct {
	name string
	run  func(ctx context.Context, invoice string, charge func(context.Context) error) error
}

func (p page) programs(addr, ns string) (before, after, rolling program) {
	url := p.scheme + "://" + addr + "?namespace=" + ns
	before = program{"before", func(ctx context.Context, invoice string, charge func(context.Context) error) error {
		return p.before(ctx, addr, ns+invoice, charge)
	}}
	after = program{"after", func(ctx context.Context, invoice string, charge func(context.Context) error) error {
		return p.after(ctx, url, ns+invoice, func(ctx context.Context, _ fencing.Token) error { return charge(ctx) })
	}}
	rolling = program{"rolling", func(ctx context.Context, invoice string, charge func(context.Context) error) error {
		return p.rolling(ctx, addr, url, ns+invoice, func(ctx context.Context, _ fencing.Token) error { return charge(ctx) })
	}}
	return before, after, rolling
}

// While one of them works, another does or does not.
func TestPrograms(t *testing.T) {
	for _, p := range pages {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			addr := servers.Shared(t, p.kind).Addr()
			before, after, rolling := p.programs(addr, locktest.Namespace())
			for _, c := range []struct {
				holder, other program
				excluded      bool
			}{
				{before, before, true},
				{before, rolling, true},
				{rolling, before, true},
				{rolling, rolling, true},
				{rolling, after, true},
				{after, rolling, true},
				{after, after, true},
				{before, after, false}, // which is why there is a rolling one
			} {
				t.Run(c.holder.name+" then "+c.other.name, func(t *testing.T) {
					t.Parallel()
					checkPair(t, c.holder, c.other, c.excluded)
				})
			}
		})
	}
}

func checkPair(t *testing.T, holder, other program, excluded bool) {
	const invoice = "42"
	ns := locktest.Namespace()
	working, finish, held := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		held <- holder.run(context.Background(), ns+invoice, func(context.Context) error {
			close(working)
			<-finish
			return nil
		})
	}()
	locktest.Await(t, soon, "the first works", working)

	// The other one tries, as often as it needs: SET NX by hand does not wait, and
	// go-zookeeper's Lock cannot be told to stop.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	entered, tried := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			err := other.run(ctx, ns+invoice, func(context.Context) error {
				close(entered)
				return nil
			})
			if err == nil || ctx.Err() != nil {
				tried <- err
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	watched := patience
	if !excluded {
		watched = soon
	}
	select {
	case <-entered:
		if excluded {
			t.Errorf("%s works while %s does", other.name, holder.name)
		}
	case <-time.After(watched):
		if !excluded {
			t.Errorf("%s does not work while %s does: what the page says of that is not so", other.name, holder.name)
		}
	}
	close(finish)
	if err := <-held; err != nil {
		t.Errorf("%s: %v", holder.name, err)
	}
	locktest.Await(t, soon, other.name+" works after "+holder.name, entered)
	select {
	case err := <-tried:
		if err != nil {
			t.Errorf("%s, when the lock was free: %v", other.name, err)
		}
	case <-time.After(soon):
		t.Error(errors.New("it does not return"))
	}
}
