package redis_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestLockSaysWhy: calls say why they fail when the server goes away after Open.
func TestLockSaysWhy(t *testing.T) {
	t.Parallel()
	s := servers.Start(t, servers.Redis)
	p := through(t, s.Addr())
	c, cut := open(t, s.Addr(), locktest.Namespace(), 3*time.Second), open(t, p.Addr(), locktest.Namespace(), 3*time.Second)
	p.Blackhole()
	s.Kill(t)
	locktest.ExpectNoLock(t, c, "refused")
	locktest.ExpectNoLock(t, cut, "within 1s")
}

// TestOutageIsTold: the log of a client says that its server cannot be reached, and that it can.
// go-redis has a log of its own, for the whole process: it is not used.
func TestOutageIsTold(t *testing.T) {
	var theirs locktest.Log
	goredis.SetLogger(toLog{&theirs})
	s := servers.Start(t, servers.Redis)
	locktest.ExpectOutageTold(t, "redis://"+s.Addr(), locktest.Namespace(), func() { s.Kill(t) }, func() { s.Restart(t) })
	if text := theirs.String(); text != "" {
		t.Errorf("go-redis writes:\n%s", text)
	}
}

type toLog struct{ to *locktest.Log }

func (l toLog) Printf(_ context.Context, format string, args ...any) {
	_, _ = fmt.Fprintf(l.to, format+"\n", args...)
}
