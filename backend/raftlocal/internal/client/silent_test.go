package client_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/client"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/fakemember"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// A member that has fallen silent is left also when everybody gives up before that is certain:
// those who come next, as a renewal does after a renewal, find the one that leads.
func TestSilentLeaderIsLeftAlthoughAllGiveUp(t *testing.T) {
	bubble(t, []string{"a", "b"}, func(t *testing.T, c *cluster) {
		c.nop()
		c.members["a"].Be(fakemember.Silent)
		c.members["b"].Resign(wire.Member{ID: 2, Name: "b", Addr: "b"}) // to itself
		ctx, cancel := context.WithTimeout(t.Context(), 1200*time.Millisecond)
		defer cancel()
		if o := c.client.Do(ctx, command.Command{Op: command.Nop}, nil); o.Err == nil {
			t.Fatalf("a silent member has answered: %+v", o)
		}
		time.Sleep(2 * time.Second)
		if d := c.nop(); d > time.Second {
			t.Errorf("the other leader was found %v after the second call began", d)
		}
	})
}

// A time of ours that is over is no end of a caller's context, whatever the network says of it: net
// says of its time-outs that they are context.DeadlineExceeded.
func TestTimesOfOursAreNotTheCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client.New(client.Config{Addrs: []string{"a"}, Dial: func(ctx context.Context, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		defer c.Close()
		o := c.Do(t.Context(), command.Command{Op: command.Nop}, nil)
		if !errors.Is(o.Err, driver.ErrUnavailable) || errors.Is(o.Err, context.DeadlineExceeded) || errors.Is(o.Err, context.Canceled) || !strings.Contains(o.Err.Error(), "a: the member does not answer") {
			t.Errorf("Do = %v", o.Err)
		}
	})
}
