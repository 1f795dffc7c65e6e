package process_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/etcd"
	_ "github.com/fencelock/fencelock/backend/raftlocal"
	_ "github.com/fencelock/fencelock/backend/redis"
	_ "github.com/fencelock/fencelock/backend/redis/redlock"
	_ "github.com/fencelock/fencelock/backend/zookeeper"
)

// key is what is locked. Tests do not meet, by their namespaces.
const key = "k"

// client is a process that does what it is told, one command after the other.
type client struct {
	*fencelock.Client
	resource *resourceClient
	lease    atomic.Pointer[fencelock.Lease]
	work     context.Context // of the lease
}

// openClient connects as the environment says.
func openClient(ctx context.Context, o fencelock.Observer) (*fencelock.Client, error) {
	ttl, err := time.ParseDuration(os.Getenv(ttlVariable))
	if err != nil {
		return nil, err
	}
	return fencelock.Open(ctx, os.Getenv(urlVariable), &fencelock.Options{
		TTL: ttl, Observer: o, Logger: slog.New(slog.DiscardHandler),
	})
}

// playClient is the role. Commands are lines of the standard input.
func playClient() (err error) {
	ctx := context.Background()
	c := &client{resource: newResourceClient(os.Getenv(resourceVariable))}
	if c.Client, err = openClient(ctx, c); err != nil {
		return err
	}
	commands := make(chan string)
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			commands <- lines.Text()
		}
		os.Exit(0) // the test is over, or its process is gone
	}()
	say(word{What: "ready"})
	for command := range commands {
		name, rest, _ := strings.Cut(command, " ")
		if err := c.obey(ctx, name, rest); err != nil {
			say(word{What: "failed", How: err.Error()})
		}
	}
	return nil
}

func (c *client) obey(ctx context.Context, command, argument string) error {
	l := c.lease.Load()
	if l == nil && command != "lock" {
		return fmt.Errorf("told to %s without a lease", command)
	}
	switch command {
	case "lock":
		asked := now()
		l, err := c.Lock(ctx, key)
		if err != nil {
			return err
		}
		got := now()
		c.lease.Store(l)
		c.work = l.Context(ctx)
		say(word{What: "granted", At: got, Asked: asked, Token: l.Token(), Until: at(l.ValidUntil())})
	case "work":
		return c.workUntilLoss(l)
	case "check":
		say(word{What: "checked", How: outcome(l.Err())})
	case "write":
		value, err := strconv.Atoi(argument)
		if err != nil {
			return err
		}
		say(word{What: "written", How: outcome(c.resource.write(l.Token(), value))})
	case "unlock":
		say(word{What: "unlocked", How: outcome(l.Unlock(ctx))})
	default:
		return fmt.Errorf("%q is no command", command)
	}
	return nil
}

// workUntilLoss looks at the lease before each step, as work does, and tells in Until
// when it last began to look and was told that the lease is held. Then it waits for
// the context, for which the lease's timer has to run.
func (c *client) workUntilLoss(l *fencelock.Lease) error {
	var good instant
	for {
		asked := now()
		if l.Err() != nil {
			break
		}
		good = asked
		time.Sleep(time.Millisecond) // a step
	}
	w := word{What: "ended", At: now(), Until: good, How: outcome(l.Err())}
	select {
	case <-c.work.Done():
	case <-time.After(soon):
		return errors.New("the lease is lost, and its context goes on")
	}
	if cause := context.Cause(c.work); !errors.Is(cause, fencelock.ErrLost) {
		return fmt.Errorf("the context's cause is %w, want ErrLost", cause)
	}
	say(w)
	return nil
}

// Observe tells of renewals.
func (c *client) Observe(_ context.Context, e fencelock.Event) {
	if l := c.lease.Load(); e.Kind == fencelock.EventRenewed && l != nil {
		say(word{What: "renewed", Token: l.Token(), Until: at(l.ValidUntil())})
	}
}
