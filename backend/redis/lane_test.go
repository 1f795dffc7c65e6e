package redis

import (
	"net/url"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

// Whether a request may be sent twice is ours to decide, so no client that we make
// sends one again by itself; a client that was brought may, and then we know.
func TestWeDoNotLetGoRedisRetry(t *testing.T) {
	u, err := url.Parse("redis://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	conf, _, err := parseURL(u)
	if err != nil {
		t.Fatal(err)
	}
	client := goredis.NewClient(conf)
	defer client.Close()
	if n := client.Options().MaxRetries; n != 0 {
		t.Errorf("the client of a URL retries %d times", n)
	}
	l := newLane(*client.Options())
	defer l.client.Close()
	if n := l.client.Options().MaxRetries; n != 0 {
		t.Errorf("a lane retries %d times", n)
	}
	if n := l.client.Options().DialerRetries; n != 1 {
		t.Errorf("a lane dials %d times", n)
	}
}
