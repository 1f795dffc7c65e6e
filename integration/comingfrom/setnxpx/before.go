package invoices

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

const ttl = 30 * time.Second

var release = redis.NewScript(`
if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end
return 0`)

var errBusy = errors.New("another has the lock")

// Before charges an invoice under a key that is set if it is not there.
func Before(ctx context.Context, addr, invoice string, charge func(context.Context) error) error {
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	defer rdb.Close()

	key, value := "lock:invoice:"+invoice, rand.Text()
	ok, err := rdb.SetNX(ctx, key, value, ttl).Result() // SET key value NX EX 30
	if err != nil {
		return err
	}
	if !ok {
		return errBusy
	}
	defer release.Run(context.WithoutCancel(ctx), rdb, []string{key}, value)

	return charge(ctx)
}
