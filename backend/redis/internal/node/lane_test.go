package node

import (
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

// Whether a request may be sent twice is ours to decide, so no client that we make sends
// one again by itself, whatever the one that was brought does.
func TestWeDoNotLetGoRedisRetry(t *testing.T) {
	for name, conf := range map[string]goredis.Options{
		"a URL":           BaseOptions(),
		"somebody's, set": theirs(&goredis.Options{MaxRetries: 7, DialerRetries: 7}),
		"somebody's":      theirs(goredis.NewClient(&goredis.Options{}).Options()),
	} {
		client := goredis.NewClient(&conf)
		defer client.Close()
		o := client.Options()
		if o.MaxRetries != 0 || o.DialerRetries != 1 || !o.ContextTimeoutEnabled {
			t.Errorf("the client of %s retries %d times, dials %d times, heeds contexts: %v", name, o.MaxRetries, o.DialerRetries, o.ContextTimeoutEnabled)
		}
	}
}
