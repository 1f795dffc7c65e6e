package redis_test

import (
	"context"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// A push may be late: it may tell of a hand-over whose grant was evicted before
// the waiter was last told that it waits. It must not be taken for a grant.
func TestStalePushIsNotAGrant(t *testing.T) {
	s := servers.Shared(t, servers.Redis)
	ns := locktest.Namespace()
	a, b := dial(t, s.Addr(), ns), dial(t, s.Addr(), ns)
	server := raw(t, s.Addr())
	ctx := t.Context()

	held, err := a.Acquire(ctx, driver.Request{Key: "k", AttemptID: "holder", TTL: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		g   driver.Grant
		err error
	}
	got := make(chan result, 1)
	go func() {
		g, err := b.Acquire(ctx, driver.Request{Key: "k", AttemptID: "waiter", TTL: 30 * time.Second, Wait: true})
		got <- result{g, err}
	}()
	locktest.Eventually(t, 5*time.Second, "the waiter is queued", func() bool {
		st, err := a.Inspect(ctx, "k")
		return err == nil && st.Waiters == 1
	})
	// What the server would have pushed for the holder's own token, or an older
	// one, arrives now, at every client of the namespace.
	channels, err := server.PubSubChannels(context.Background(), ns+":c:*").Result()
	if err != nil || len(channels) != 2 {
		t.Fatalf("channels %v, %v; want one for each client", channels, err)
	}
	for _, token := range []string{held.Token.String(), (held.Token - 1).String(), "", "nonsense"} {
		for _, c := range channels {
			if err := server.Publish(ctx, c, "granted waiter "+token).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	select {
	case r := <-got:
		t.Fatalf("a stale push was taken for a grant: %+v, %v", r.g, r.err)
	case <-time.After(300 * time.Millisecond):
	}
	if err := a.Release(ctx, held); err != nil {
		t.Fatal(err)
	}
	r := <-got
	if r.err != nil || r.g.Token <= held.Token {
		t.Fatalf("the waiter got %+v, %v", r.g, r.err)
	}
	if err := b.Release(ctx, r.g); err != nil {
		t.Fatal(err)
	}
}
