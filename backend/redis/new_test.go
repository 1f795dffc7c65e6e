package redis_test

import (
	"errors"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	lockredis "github.com/fencelock/fencelock/backend/redis"
)

// New says what it takes before it connects anywhere.
func TestNewRefusesACluster(t *testing.T) {
	cluster := goredis.NewUniversalClient(&goredis.UniversalOptions{Addrs: []string{"127.0.0.1:1", "127.0.0.1:2"}})
	defer cluster.Close()
	if _, err := lockredis.New(t.Context(), cluster, nil); !errors.Is(err, fencelock.ErrInvalid) || !strings.Contains(err.Error(), "the client is a *redis.ClusterClient") {
		t.Errorf("New = %v; want ErrInvalid that names the client and its type", err)
	}
}
