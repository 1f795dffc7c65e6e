package redis_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestSettings: what in the server's settings weakens the promise is said at Open,
// and refused with durable=true, for the reason that is named.
func TestSettings(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s := servers.Start(t, kind, keeping())
			admin := raw(t, s.Addr())
			for _, tc := range []struct {
				name   string
				set    []string // pairs, put back afterwards
				weak   string   // why durable=true is refused; "" if it is not
				warned string   // what is warned of; "" if nothing is
			}{
				{name: "all is well"},
				{name: "eviction without a limit", set: []string{"maxmemory-policy", "allkeys-lru"}},
				{name: "no file", set: []string{"appendonly", "no"}, weak: "appendonly", warned: "append-only file"},
				{name: "synced each second", set: []string{"appendfsync", "everysec"}, weak: "appendfsync", warned: "appendfsync everysec"},
				{name: "never synced", set: []string{"appendfsync", "no"}, weak: "appendfsync", warned: "appendfsync no"},
				{name: "not synced in a rewrite", set: []string{"no-appendfsync-on-rewrite", "yes"}, weak: "no-appendfsync-on-rewrite"},
				{name: "eviction", set: []string{"maxmemory", "1gb", "maxmemory-policy", "volatile-ttl"}, weak: "noeviction", warned: "volatile-ttl"},
			} {
				t.Run(tc.name, func(t *testing.T) {
					set(t, admin, tc.set)
					expectOpen(t, "redis://"+s.Addr(), tc.warned)
					expectDurable(t, "redis://"+s.Addr(), locktest.Namespace(), tc.weak)
				})
			}
		})
	}
}

// set changes settings for the length of a test.
func set(t *testing.T, admin *goredis.Client, pairs []string) {
	t.Helper()
	for pair := range slices.Chunk(pairs, 2) {
		before := admin.ConfigGet(t.Context(), pair[0]).Val()[pair[0]]
		if err := admin.ConfigSet(t.Context(), pair[0], pair[1]).Err(); err != nil {
			t.Fatalf("CONFIG SET %v: %v", pair, err)
		}
		t.Cleanup(func() {
			if err := admin.ConfigSet(context.Background(), pair[0], before).Err(); err != nil { // t's context has ended
				t.Errorf("CONFIG SET %s %s: %v", pair[0], before, err)
			}
		})
	}
}

// expectOpen wants Open to succeed, and to warn of one thing or of none.
func expectOpen(t *testing.T, u, warned string) {
	t.Helper()
	c, err := fencelock.Open(t.Context(), u, &fencelock.Options{Logger: locktest.Silent})
	if err != nil {
		t.Errorf("Open: %v", err)
		return
	}
	warnings := c.Info().Warnings
	if warned == "" && len(warnings) > 0 || warned != "" && (len(warnings) != 1 || !strings.Contains(warnings[0], warned)) {
		t.Errorf("warnings %q; want one about %q", warnings, warned)
	}
	if err := c.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// expectDurable wants durable=true to be refused for a reason, or not at all.
func expectDurable(t *testing.T, u, ns, weak string) {
	t.Helper()
	c, err := fencelock.Open(t.Context(), u+"?durable=true", &fencelock.Options{Namespace: ns, Logger: locktest.Silent})
	if err == nil {
		err = c.Close()
		if weak != "" {
			t.Errorf("durable=true was accepted; want it refused for %s", weak)
		}
	}
	if weak == "" && err != nil {
		t.Errorf("durable=true: %v", err)
	}
	if weak != "" && err != nil && (!errors.Is(err, fencelock.ErrUnsupported) || !strings.Contains(err.Error(), weak)) {
		t.Errorf("durable=true: %v; want ErrUnsupported for %s", err, weak)
	}
}

// TestReplica: a server that takes no writes is refused at Open. One that becomes
// a replica later is unavailable, and used again when it is a master.
func TestReplica(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s, ns := servers.Start(t, kind), locktest.Namespace()
			admin := raw(t, s.Addr())
			before := open(t, s.Addr(), ns, fencelock.DefaultTTL)
			locktest.Unlock(t, locktest.Lock(t, before, "k"))
			if err := admin.Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err(); err != nil {
				t.Fatal(err)
			}
			_, err := fencelock.Open(t.Context(), "redis://"+s.Addr(), &fencelock.Options{Logger: locktest.Silent})
			if !errors.Is(err, fencelock.ErrUnsupported) || !strings.Contains(err.Error(), "master") {
				t.Errorf("Open = %v, want ErrUnsupported that tells to use the master", err)
			}
			if _, err := before.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrUnavailable) {
				t.Errorf("TryLock = %v, want ErrUnavailable", err)
			}
			if err := admin.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err(); err != nil {
				t.Fatal(err)
			}
			locktest.Unlock(t, locktest.Lock(t, before, "k"))
		})
	}
}
