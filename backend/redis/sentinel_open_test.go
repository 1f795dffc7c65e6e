package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
)

// What an application's options of a fail-over client say is followed, or refused.
func TestFollowFailover(t *testing.T) {
	dialled := errors.New("dialled")
	ask := func(context.Context) (user, password string, err error) { return "ann", "pw", nil }
	conf, c, err := followFailover(&goredis.FailoverOptions{
		MasterName: "m", SentinelAddrs: []string{"s1:26379", "s2:1"}, SentinelUsername: "bob", SentinelPassword: "theirs",
		DB: 3, ClientName: "me", CredentialsProviderContext: ask, MinIdleConns: 10, MaxRetries: 7,
		Dialer:    func(context.Context, string, string) (net.Conn, error) { return nil, dialled },
		OnConnect: func(context.Context, *goredis.Conn) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := loginOf(t, &conf); got != "ann pw" || conf.DB != 3 || conf.ClientName != "me" || conf.OnConnect == nil || conf.MaxRetries != -1 || conf.MinIdleConns != 0 {
		t.Errorf("the master's: %q, %+v", got, conf)
	}
	if got := loginOf(t, &c.Options); got != "bob theirs" || c.Options.DB != 0 || c.Options.ClientName != "me" || c.Options.OnConnect == nil {
		t.Errorf("the Sentinels': %q, %+v", got, c.Options)
	}
	if c.Name != "m" || len(c.Addrs) != 2 {
		t.Errorf("%+v", c)
	}
	for _, o := range []goredis.Options{conf, c.Options} {
		if _, err := o.Dialer(t.Context(), "tcp", "x:1"); !errors.Is(err, dialled) {
			t.Errorf("another dialler: %v", err)
		}
	}
}

func TestFailoverOptionsAreRefused(t *testing.T) {
	good := goredis.FailoverOptions{MasterName: "m", SentinelAddrs: []string{"s1:26379"}, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	if _, _, err := followFailover(&good); err != nil {
		t.Fatal(err)
	}
	for says, change := range map[string]func(o *goredis.FailoverOptions){
		"MasterName":     func(o *goredis.FailoverOptions) { o.MasterName = "" },
		"SentinelAddrs ": func(o *goredis.FailoverOptions) { o.SentinelAddrs = nil },
		"SentinelAddrs:": func(o *goredis.FailoverOptions) { o.SentinelAddrs = []string{"s1"} },
		"ReplicaOnly":    func(o *goredis.FailoverOptions) { o.ReplicaOnly = true },
		"RouteByLatency": func(o *goredis.FailoverOptions) { o.RouteByLatency = true },
		"RouteRandomly":  func(o *goredis.FailoverOptions) { o.RouteRandomly = true },
		"Disconnected":   func(o *goredis.FailoverOptions) { o.UseDisconnectedReplicas = true },
		"Password":       func(o *goredis.FailoverOptions) { o.SentinelUsername = "bob" },
	} {
		o := good
		change(&o)
		if _, err := NewFailover(t.Context(), &o, nil); !errors.Is(err, fencelock.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	if _, err := NewFailover(t.Context(), nil, nil); !errors.Is(err, fencelock.ErrInvalid) {
		t.Errorf("nil: %v", err)
	}
}

// A client that go-redis has made of such options does not tell its Sentinels.
func TestNewNamesNewFailover(t *testing.T) {
	client := goredis.NewFailoverClient(&goredis.FailoverOptions{MasterName: "m", SentinelAddrs: []string{"192.0.2.1:26379"}})
	defer client.Close()
	if _, err := New(t.Context(), client, nil); !errors.Is(err, fencelock.ErrInvalid) || !strings.Contains(err.Error(), "NewFailover") {
		t.Errorf("New = %v", err)
	}
}

// Clocks that may agree are not warned about: the time of a question counts.
func TestClocksApart(t *testing.T) {
	at := func(least, most float64) reading { return reading{seconds(least), seconds(most), true} }
	for _, tc := range []struct {
		replica, master reading
		want            float64
	}{
		{at(0, 0.1), at(0, 0.1), 0},
		{at(1, 1.1), at(0, 0.1), 0},
		{at(1.3, 1.4), at(0, 0.1), 1.2},
		{at(-60.1, -60), at(0, 0.1), -60},
		{at(3600, 3601), at(-1, 0), 3600},
		{reading{}, at(0, 0.1), 0},
		{at(60, 61), reading{}, 0},
	} {
		if got := tc.replica.from(tc.master); got != seconds(tc.want) {
			t.Errorf("%v from %v: %v, want %v s", tc.replica, tc.master, got, tc.want)
		}
	}
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}
