package redis

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
)

// offline is a client whose server is away.
func offline(t *testing.T) *backend {
	conf := node.BaseOptions()
	conf.Dialer = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("away") }
	b := &backend{names: newNames("ns", "me")}
	b.notifications = &notifications{backend: b, registry: &b.registry}
	b.closing, b.beginStop = context.WithCancel(context.Background())
	b.store = newServer(b.closing, &b.names, node.Config{Options: conf})
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// mustEnter begins an Acquire that waits.
func (b *backend) mustEnter(t *testing.T, key string, lost func(error)) (*attempt, chan struct{}) {
	t.Helper()
	a, notified, err := b.registry.enter(driver.Request{Key: key, AttemptID: "me", TTL: time.Minute, Wait: true, Lost: lost})
	if err != nil {
		t.Fatal(err)
	}
	return a, b.registry.await(a, notified)
}

func (b *backend) mustGrant(t *testing.T, a *attempt) driver.Grant {
	t.Helper()
	g, err := b.grant(a, 7, time.Now(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// woken reports whether there was a notification.
func woken(wake chan struct{}) bool {
	select {
	case <-wake:
		return true
	default:
		return false
	}
}

// Each Acquire of an attempt is notified, and the attempt is forgotten with the last.
func TestEachAcquireIsNotified(t *testing.T) {
	b := offline(t)
	a, first := b.mustEnter(t, "k", nil)
	same, second := b.mustEnter(t, "k", nil)
	if same != a {
		t.Fatal("it has two entries")
	}
	for _, token := range []string{"8", "7", "nonsense"} {
		b.notifications.onMessage("granted me "+token, true)
	}
	b.notifications.onMessage("granted another 9", true)
	if got := b.registry.granted(a); got != 8 {
		t.Errorf("token %v, want the greatest, 8", got)
	}
	for _, wake := range []chan struct{}{first, second} {
		if !woken(wake) || woken(wake) {
			t.Error("an Acquire is not woken once")
		}
	}
	b.registry.leave(a, first)
	b.notifications.onMessage("ask me", true)
	if woken(first) || !woken(second) {
		t.Error("the one that has left is woken, or the other is not")
	}
	b.registry.leave(a, second)
	for range b.registry.All() {
		t.Error("it is not forgotten")
	}
}

// What a server says that may not be the one any more is only a reason to ask.
func TestMessageThatIsNotSure(t *testing.T) {
	b := offline(t)
	a, wake := b.mustEnter(t, "k", nil)
	b.notifications.onMessage("granted me 8", false)
	if got := b.registry.granted(a); got != 0 || !woken(wake) {
		t.Errorf("token %v, want none; or the Acquire is not woken", got)
	}
	b.registry.leave(a, wake)
}

// A notification may come before the answer to the request that has made the attempt wait.
func TestNotifiedBeforeItWaits(t *testing.T) {
	for _, message := range []string{"granted me 8", "ask me"} {
		b := offline(t)
		a, notified, err := b.registry.enter(driver.Request{Key: "k", AttemptID: "me", TTL: time.Minute, Wait: true})
		if err != nil {
			t.Fatal(err)
		}
		b.notifications.onMessage(message, true)
		wake := b.registry.await(a, notified)
		if !woken(wake) {
			t.Errorf("%q is not heard", message)
		}
		b.registry.leave(a, wake)
	}
}

// A message does not name the key. If an attempt id is on two, it decides nothing.
func TestMessageForTwoKeys(t *testing.T) {
	b := offline(t)
	told := 0
	lost := func(error) { told++ }
	a, waits := b.mustEnter(t, "a", lost)
	other, holds := b.mustEnter(t, "b", lost)
	b.notifications.onMessage("granted me 7", true)
	if got := b.registry.granted(a); got != 0 || !woken(waits) {
		t.Errorf("token %v, though it may be of the other key; or the Acquire is not woken", got)
	}
	b.mustGrant(t, other)
	b.registry.leave(other, holds)
	b.notifications.onMessage("evicted me", true)
	if told > 0 {
		t.Error("the loss may be of the other key")
	}
	b.registry.leave(a, waits)
	b.notifications.onMessage("evicted me", true)
	b.notifications.onMessage("evicted me", true)
	if told != 1 {
		t.Errorf("Lost was called %d times", told)
	}
}

// Release leaves a tombstone on the server unless no request of the attempt can be late.
func TestLateness(t *testing.T) {
	for _, tc := range []struct {
		name  string
		late  bool
		grant func(t *testing.T, b *backend) driver.Grant
	}{
		{"unknown", true, func(*testing.T, *backend) driver.Grant { return driver.Grant{Key: "k", AttemptID: "me"} }},
		{"held", false, func(t *testing.T, b *backend) driver.Grant {
			a, events := b.mustEnter(t, "k", nil)
			defer b.registry.leave(a, events)
			return b.mustGrant(t, a)
		}},
		{"held, by its id", false, func(t *testing.T, b *backend) driver.Grant {
			a, events := b.mustEnter(t, "k", nil)
			defer b.registry.leave(a, events)
			b.mustGrant(t, a)
			return driver.Grant{Key: "k", AttemptID: "me"}
		}},
		{"without an answer", true, func(t *testing.T, b *backend) driver.Grant {
			a, events := b.mustEnter(t, "k", nil)
			defer b.registry.leave(a, events)
			b.registry.noAnswer(a)
			return b.mustGrant(t, a)
		}},
		{"still asked for", true, func(t *testing.T, b *backend) driver.Grant {
			a, _ := b.mustEnter(t, "k", nil)
			return b.mustGrant(t, a)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := offline(t)
			g := tc.grant(t, b)
			if _, _, late := b.registry.release(g); late != tc.late {
				t.Errorf("late: %v", late)
			}
			for range b.registry.All() {
				t.Error("it is not forgotten")
			}
		})
	}
}

// A holder that was told of its loss is not told otherwise by a renewal that was under way.
func TestNoRenewalAfterALoss(t *testing.T) {
	b := offline(t)
	a, events := b.mustEnter(t, "k", func(error) {})
	defer b.registry.leave(a, events)
	g := b.mustGrant(t, a)
	answer := []driver.Renewal{{Start: time.Now(), TTL: time.Minute}}
	if b.registry.renewed([]driver.Grant{g}, answer); answer[0].Err != nil {
		t.Errorf("Renew = %v", answer[0].Err)
	}
	b.notifications.onMessage("evicted me", true)
	if b.registry.renewed([]driver.Grant{g}, answer); !errors.Is(answer[0].Err, driver.ErrNotHeld) {
		t.Errorf("Renew = %v after the eviction", answer[0].Err)
	}
}

// A Release that the server has refused has changed nothing, and it can say so.
func TestRenewalAfterARelease(t *testing.T) {
	b := offline(t)
	a, events := b.mustEnter(t, "k", nil)
	g := b.mustGrant(t, a)
	b.registry.leave(a, events)
	b.registry.release(g)
	answer := []driver.Renewal{{Start: time.Now(), TTL: time.Minute}}
	if b.registry.renewed([]driver.Grant{g}, answer); answer[0].Err != nil {
		t.Errorf("Renew = %v", answer[0].Err)
	}
}

// A grant that was released while its server is away is not asked about any more: that would renew it when the server is back.
func TestReleasedIsNotRechecked(t *testing.T) {
	b := offline(t)
	a, events := b.mustEnter(t, "k", func(why error) { t.Errorf("told of a loss: %v", why) })
	g := b.mustGrant(t, a)
	b.registry.leave(a, events)
	b.notifications.onResubscribe()
	for b.notifications.rechecks.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	b.registry.release(g)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.notifications.running.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("it is still asked about")
	}
}
