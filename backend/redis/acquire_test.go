package redis

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// A waiter confirms its position within a third of its TTL, and not much sooner; the
// first also when the lease in its way ends, the others within a third of the TTL
// of the one before them.
func TestNextConfirm(t *testing.T) {
	const ms = time.Millisecond
	for _, tc := range []struct {
		ttl     time.Duration
		isFirst bool
		ahead   time.Duration
		most    time.Duration
	}{
		{15 * time.Second, true, time.Hour, 5 * time.Second},
		{15 * time.Second, true, 2 * time.Second, 2*time.Second + ms},
		{15 * time.Second, true, 0, ms},
		{15 * time.Second, false, 15 * time.Second, 5 * time.Second},
		{15 * time.Second, false, time.Hour, 5 * time.Second},
		{15 * time.Second, false, 3 * time.Second, time.Second},
		{100 * ms, true, time.Hour, 33334 * time.Microsecond},
		{100 * ms, false, 100 * ms, 33334 * time.Microsecond},
		{24 * time.Hour, true, 24 * time.Hour, 8 * time.Hour},
	} {
		var shortest, longest time.Duration
		for i := range 2000 {
			d := nextConfirm(tc.ttl, tc.isFirst, tc.ahead)
			if i == 0 || d < shortest {
				shortest = d
			}
			longest = max(longest, d)
		}
		if longest > tc.most || shortest < tc.most*7/8-ms || shortest <= 0 {
			t.Errorf("%+v: from %v to %v", tc, shortest, longest)
		}
		if tc.most > 10*ms && tc.most == tc.ttl/3 && longest == shortest {
			t.Errorf("%+v: always %v: those who came together ask together", tc, longest)
		}
	}
}

func TestParseWaiting(t *testing.T) {
	first, ahead, last, err := parseWaiting([]any{int64(1), int64(1500), int64(1795382920414934)})
	if !first || ahead != 1500*time.Millisecond || last != 1795382920414934 || err != nil {
		t.Errorf("parseWaiting = %v, %v, %v, %v", first, ahead, last, err)
	}
	first, ahead, _, err = parseWaiting([]any{int64(0), int64(-2), int64(1)})
	if first || ahead != 0 || err != nil {
		t.Errorf("parseWaiting = %v, %v, %v", first, ahead, err)
	}
	for _, bad := range [][]any{nil, {int64(1)}, {int64(1), int64(2)}, {"1", int64(2), int64(3)}, {int64(1), "2", int64(3)}, {int64(1), int64(2), "3"}, {int64(1), int64(2), int64(-1)}} {
		if _, _, _, err := parseWaiting(bad); err == nil {
			t.Errorf("parseWaiting(%v) takes it", bad)
		}
	}
}

// A TryLock that loses tells who holds the lock; a reply that no script makes is no such answer.
func TestHeldBy(t *testing.T) {
	var held *driver.HeldError
	err := heldBy([]any{int64(1500), driver.JoinIdentity("me", "m")})
	if !errors.As(err, &held) || *held != (driver.HeldError{RetryAfter: 1500 * time.Millisecond, Identity: "me", Left: 1500 * time.Millisecond}) {
		t.Errorf("heldBy = %+v (%v)", held, err)
	}
	for _, bad := range [][]any{nil, {int64(1)}, {"1", "me"}, {int64(1), int64(2)}, {int64(1), "me", "m"}} {
		if err := heldBy(bad); errors.Is(err, driver.ErrHeld) {
			t.Errorf("heldBy(%v) = %v", bad, err)
		}
	}
}

// The server counts a lease a little longer than the client does, never shorter.
func TestServerTTL(t *testing.T) {
	for _, ttl := range []time.Duration{100 * time.Millisecond, 15 * time.Second, 24 * time.Hour} {
		ms, err := strconv.ParseInt(serverTTL(ttl), 10, 64)
		if err != nil || time.Duration(ms)*time.Millisecond <= ttl || ms > ttl.Milliseconds()+1 {
			t.Errorf("serverTTL(%v) = %s", ttl, serverTTL(ttl))
		}
		if r := driver.RequestTimeout(ttl); r > ttl/3 || r > 3*time.Second || r <= 0 {
			t.Errorf("driver.RequestTimeout(%v) = %v", ttl, r)
		}
	}
}
