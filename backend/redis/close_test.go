package redis

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
)

// An application's dialler that does not heed its context cannot hold Close up.
func TestCloseDoesNotWaitForADeafDialler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conf := node.BaseOptions()
		conf.Addr, conf.Dialer = "192.0.2.1:6379", func(context.Context, string, string) (net.Conn, error) {
			time.Sleep(time.Hour)
			return nil, errors.New("nobody is there")
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if _, err := open(ctx, conf, Options{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("open: %v, want its context's error", err)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("open took %v", took)
		}
		time.Sleep(2 * time.Hour) // until the dialler is done, so that all goroutines are
	})
}
