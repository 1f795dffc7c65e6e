package etcd

import (
	"context"
	"errors"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// oneMember is how long one member has to answer where others are asked after it. If
// there are no others it has all the time that there is; and where the application's
// own client has a password, since the answer may be that it has to log in first, which
// it does inside that time; and behind a proxy, which answers in its own time.
func (b *backend) oneMember(ttl time.Duration) time.Duration {
	if b.patient {
		return driver.RequestTimeout(ttl)
	}
	return max(ttl/12, 200*time.Millisecond)
}

// read asks for something, which changes nothing: one member after the other, since
// the client takes them in turn, and one that is silent should not cost a lease, or a
// turn. The error is sorted.
func read[T any](ctx context.Context, b *backend, ttl time.Duration, ask func(context.Context) (T, error)) (answer T, err error) {
	bounded, cancel := b.bound(ctx, driver.RequestTimeout(ttl))
	defer cancel()
	for pause := ttl / 256; ; pause *= 2 {
		once, end := context.WithCancel(bounded)
		late := time.AfterFunc(b.oneMember(ttl), end)
		answer, err = ask(once)
		late.Stop()
		end()
		if err == nil {
			return answer, nil
		}
		if err = b.requestFault(ctx, err); !errors.Is(err, driver.ErrUnavailable) || !sleep(bounded, pause) {
			return answer, err
		}
	}
}
