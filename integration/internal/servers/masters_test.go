package servers

import (
	"context"
	"strconv"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// TestMasters: they start together, know nothing of each other, and are gone at the test's end.
func TestMasters(t *testing.T) {
	var all []*Server
	t.Run("the test that uses them", func(t *testing.T) {
		all = StartMasters(t, []Kind{Redis70, Redis, Valkey, Redis}, TLS(), Args("--appendonly", "yes"))
		for i, s := range all {
			if _, err := command(t, s, "SET", "k", strconv.Itoa(i)); err != nil {
				t.Fatal(err)
			}
		}
		for i, s := range all {
			got, err := command(t, s, "GET", "k")
			if err != nil || got != strconv.Itoa(i) {
				t.Errorf("%v: %v, %v", s, got, err)
			}
			other := goredis.NewClient(&goredis.Options{Addr: s.TLSAddr(), TLSConfig: all[0].TLSConfig()})
			if err := other.Ping(t.Context()).Err(); err != nil {
				t.Errorf("%v with the certificates of the first: %v", s, err)
			}
			_ = other.Close()
		}
		all[1].Kill(t)
		all[2].Pause(t)
	})
	for _, s := range all {
		if answers(s) {
			t.Errorf("%v still answers", s)
		}
	}
	fails(t, func(t T) { StartMasters(t, []Kind{Redis, Redis}, Args("--no-such-setting", "1")) }, "no-such-setting")
}

// TestSetClock: the server's wall clock jumps, and nothing else.
func TestSetClock(t *testing.T) {
	for _, s := range StartMasters(t, Redises(), SkewedClock()) {
		off := func() time.Duration {
			t.Helper()
			got, err := command(t, s, "EVAL", "return redis.call('TIME')[1]", "0")
			seconds, parsed := strconv.ParseInt(got, 10, 64)
			if err != nil || parsed != nil {
				t.Fatalf("TIME: %v, %v", got, err)
			}
			return time.Until(time.Unix(seconds, 0)).Round(time.Minute)
		}
		for _, want := range []time.Duration{0, time.Hour, -time.Hour, 0} {
			s.SetClock(t, want)
			if got := off(); got != want {
				t.Errorf("%v: the clock is off by %v, want %v", s, got, want)
			}
		}
		if _, err := command(t, s, "SET", "k", "v", "PX", "60000"); err != nil {
			t.Fatal(err)
		}
		s.SetClock(t, time.Hour)
		if got, _ := command(t, s, "GET", "k"); got != "" {
			t.Errorf("%v: a key for a minute is there after an hour", s)
		}
	}
	plain := Start(t, Redis)
	fails(t, func(t T) { plain.SetClock(t, time.Hour) }, "SkewedClock")
}

func command(t *testing.T, s *Server, words ...string) (string, error) {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: s.Addr()})
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	args := make([]any, len(words))
	for i, w := range words {
		args[i] = w
	}
	got, err := c.Do(ctx, args...).Result()
	text, _ := got.(string)
	return text, err
}
