package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// refusal is a state of a server in which it refuses what it is asked.
type refusal struct {
	says     string // how its error begins, in some place
	passes   bool
	on, off  []string // commands, one a string
	renewals bool     // it lets renewals pass
	releases bool     // and releases and evictions
}

var refusalsOfServers = []refusal{
	{says: "OOM", passes: true, renewals: true, releases: true, on: []string{"CONFIG SET maxmemory 1"}, off: []string{"CONFIG SET maxmemory 0"}},
	{says: "NOREPLICAS", passes: true, on: []string{"CONFIG SET min-replicas-to-write 1"}, off: []string{"CONFIG SET min-replicas-to-write 0"}},
	{says: "READONLY", passes: true, on: []string{"REPLICAOF 127.0.0.1 1"}, off: []string{"REPLICAOF NO ONE"}},
	{
		says: "MASTERDOWN", passes: true,
		on:  []string{"CONFIG SET replica-serve-stale-data no", "REPLICAOF 127.0.0.1 1"},
		off: []string{"REPLICAOF NO ONE", "CONFIG SET replica-serve-stale-data yes"},
	},
	{ // a snapshot could not be written: no file can be made in /proc
		says: "MISCONF", passes: true,
		on:  []string{"CONFIG SET save 3600|1", "CONFIG SET dir /proc", "BGSAVE", "await rdb_last_bgsave_status:err"},
		off: []string{"CONFIG SET dir /tmp", "BGSAVE", "await rdb_last_bgsave_status:ok", "CONFIG SET save "},
	},
	{says: "BUSY", passes: true, on: []string{"loop"}, off: []string{"SCRIPT KILL", "ready"}},
	{says: "LOADING", passes: true, on: []string{"reload"}, off: []string{"ready", "CONFIG SET key-load-delay 0"}},
	{says: "NOPERM", on: []string{"ACL SETUSER default -evalsha"}, off: []string{"ACL SETUSER default +evalsha"}},
	{says: "NOPERM", on: []string{"ACL SETUSER default resetkeys ~other:*"}, off: []string{"ACL SETUSER default ~*"}},
	{ // in the script: the text differs
		says: "ERR ", renewals: true,
		on: []string{"ACL SETUSER default -set -del -hdel"}, off: []string{"ACL SETUSER default +set +del +hdel"},
	},
	{says: "ERR ", releases: true, on: []string{"ACL SETUSER default -set -pexpire"}, off: []string{"ACL SETUSER default +set +pexpire"}},
}

// TestRefusals: whatever a server refuses, the error says so, and whether asking again
// may help; nothing has been done then, and the holder has not been told of a loss.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s := servers.Start(t, kind, servers.Args("--busy-reply-threshold", "50", "--enable-protected-configs", "yes",
				"--enable-debug-command", "yes", "--loading-process-events-interval-bytes", "1024"))
			for _, r := range refusalsOfServers {
				name := r.says
				if len(r.on) > 0 && strings.HasPrefix(r.on[0], "ACL") {
					name += strings.TrimPrefix(r.on[0], "ACL SETUSER default")
				}
				t.Run(name, func(t *testing.T) { r.test(t, s) })
			}
		})
	}
}

func (r refusal) test(t *testing.T, s *servers.Server) {
	b, ns := dial(t, s.Addr(), locktest.Namespace()), locktest.Namespace()
	admin := operator{raw(t, s.Addr()), t}
	ctx, cancel := context.WithTimeout(t.Context(), 4*locktest.Soon)
	defer cancel()
	var told atomic.Bool
	request := func(key string) driver.Request {
		return driver.Request{Key: key, AttemptID: ns + key, TTL: 5 * time.Minute, Lost: func(error) { told.Store(true) }}
	}
	var held [3]driver.Grant
	for i := range held {
		var err error
		if held[i], err = b.Acquire(ctx, request(fmt.Sprint("k", i))); err != nil {
			t.Fatalf("Acquire: %v", err)
		}
	}
	expect := func(what string, err error, allowed bool) {
		t.Helper()
		switch {
		case allowed:
			if err != nil {
				t.Errorf("%s: %v; want it to pass", what, err)
			}
		case !errors.Is(err, driver.ErrRefused), errors.Is(err, driver.ErrUnavailable) != r.passes, !strings.Contains(err.Error(), r.says):
			t.Errorf("%s: %v; want ErrRefused, unavailable %v, %q", what, err, r.passes, r.says)
		}
	}
	admin.do(r.on)
	_, err := b.Acquire(ctx, request("free"))
	expect("Acquire", err, false)
	expect("Renew", b.Renew(ctx, held[:1])[0].Err, r.renewals)
	expect("Evict", b.Evict(ctx, "k1", ""), r.releases)
	expect("Release", b.Release(ctx, held[2]), r.releases)
	admin.do(r.off)

	if told.Load() && !r.releases {
		t.Error("the holder was told of a loss")
	}
	if err := b.Renew(ctx, held[:1])[0].Err; err != nil {
		t.Errorf("Renew afterwards: %v", err)
	}
	if !r.releases {
		for _, out := range b.Renew(ctx, held[1:]) {
			if out.Err != nil {
				t.Errorf("after a release or an eviction that was refused: %v", out.Err)
			}
		}
	}
	if got, err := b.Inspect(ctx, "free"); err != nil || got.Held() {
		t.Errorf("after an Acquire that was refused: %+v, %v", got, err)
	}
	for _, g := range held {
		if err := b.Release(ctx, g); err != nil && (!r.releases || !errors.Is(err, driver.ErrNotHeld)) {
			t.Errorf("Release afterwards: %v", err)
		}
	}
}

// operator brings a server into a state, and out of it.
type operator struct {
	*goredis.Client
	t *testing.T
}

func (o operator) do(commands []string) {
	o.t.Helper()
	for _, c := range commands {
		verb, rest, _ := strings.Cut(c, " ")
		switch verb {
		case "await":
			o.await(rest)
		case "loop":
			o.background("EVAL", "while true do end", "0")
			o.awaitAnswer("BUSY ")
		case "reload": // of many keys, slowly
			o.do([]string{"DEBUG POPULATE 3000", "CONFIG SET key-load-delay 1000"})
			o.background("DEBUG", "RELOAD")
			o.awaitAnswer("LOADING ")
		case "ready":
			locktest.Eventually(o.t, 3*locktest.Soon, c, func() bool { return o.Ping(o.t.Context()).Err() == nil })
		default:
			words := strings.Split(c, " ")
			args := make([]any, len(words))
			for i, w := range words {
				args[i] = strings.ReplaceAll(w, "|", " ")
			}
			if err := o.Do(o.t.Context(), args...).Err(); err != nil {
				o.t.Fatalf("%s: %v", c, err)
			}
		}
	}
}

// background sends a command that takes long, on a connection of its own.
func (o operator) background(args ...any) {
	c := goredis.NewClient(&goredis.Options{Addr: o.Options().Addr, MaxRetries: -1, ReadTimeout: time.Minute})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.Do(context.Background(), args...).Err() // it is killed, or succeeds
		_ = c.Close()
	}()
	o.t.Cleanup(func() { <-done })
}

func (o operator) await(line string) {
	o.t.Helper()
	locktest.Eventually(o.t, 2*locktest.Soon, line, func() bool { return strings.Contains(o.Info(o.t.Context()).Val(), line) })
}

func (o operator) awaitAnswer(begins string) {
	o.t.Helper()
	locktest.Eventually(o.t, locktest.Soon, begins, func() bool { return goredis.HasErrorPrefix(o.Ping(o.t.Context()).Err(), begins) })
}
