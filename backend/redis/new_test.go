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
func TestNewRefusesOtherClients(t *testing.T) {
	ring := goredis.NewRing(&goredis.RingOptions{Addrs: map[string]string{"one": "127.0.0.1:1"}})
	defer ring.Close()
	madeUp := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}, ClusterSlots: func(context.Context) ([]goredis.ClusterSlot, error) {
		return nil, nil
	}})
	defer madeUp.Close()
	nowhere := goredis.NewClusterClient(&goredis.ClusterOptions{})
	defer nowhere.Close()
	for says, client := range map[string]goredis.UniversalClient{
		"the client is a *redis.Ring": ring, "ClusterSlots": madeUp, "no Addrs": nowhere, "the client is nil": (*goredis.ClusterClient)(nil),
	} {
		if _, err := lockredis.New(t.Context(), client, nil); !errors.Is(err, fencelock.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("New = %v; want ErrInvalid that says %q", err, says)
		}
	}
}
