package redis_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	lockredis "github.com/fencelock/fencelock/backend/redis"
)

// New says what it takes before it connects anywhere.
func TestNewRefuses(t *testing.T) {
	for says, client := range map[string]goredis.UniversalClient{
		"*redis.Ring":  goredis.NewRing(&goredis.RingOptions{Addrs: map[string]string{"one": "127.0.0.1:1"}}),
		"ClusterSlots": goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}, ClusterSlots: noSlots}),
		"no Addrs":     goredis.NewClusterClient(&goredis.ClusterOptions{}),
	} {
		if _, err := lockredis.New(t.Context(), client, nil); !errors.Is(err, fencelock.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("New = %v; want ErrInvalid that says %q", err, says)
		}
		_ = client.Close()
	}
}

func noSlots(context.Context) ([]goredis.ClusterSlot, error) { return nil, nil }
