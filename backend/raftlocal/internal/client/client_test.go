package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/client"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/fakemember"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster is some members, of which a leads at first.
type cluster struct {
	t       *testing.T
	mu      sync.Mutex // the client looks members up while the test takes them away
	members map[string]*fakemember.Member
	link    *fakemember.Link
	client  *client.Client
}

// bubble runs a test on a cluster of a, b and c, whose state is one, in virtual time. The
// client knows the addresses that are given.
func bubble(t *testing.T, addrs []string, f func(t *testing.T, c *cluster)) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{t: t, members: map[string]*fakemember.Member{}}
		all := []wire.Member{{ID: 1, Name: "a", Addr: "a"}, {ID: 2, Name: "b", Addr: "b"}, {ID: 3, Name: "c", Addr: "c"}}
		for _, self := range all {
			m := fakemember.New()
			defer m.Close()
			m.Welcome = wire.Welcome{Cluster: "test", Member: self.ID, Name: self.Name, Leader: all[0], Members: all}
			c.members[self.Addr] = m
			if self.ID > 1 {
				m.Follow(c.members["a"])
			}
		}
		c.link = fakemember.NewLink(func(addr string) *fakemember.Member {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.members[strings.TrimPrefix(addr, "also ")]
		})
		c.client = client.New(client.Config{Addrs: addrs, Dial: c.link.Dial})
		defer c.client.Close()
		f(t, c)
	})
}

// remove has nobody be at an address any more.
func (c *cluster) remove(addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.members, addr)
}

// elect makes another member lead. Those who are silent do not know.
func (c *cluster) elect(id uint64, addr string) {
	for _, m := range c.members {
		m.Resign(wire.Member{ID: id, Name: addr, Addr: addr})
	}
	synctest.Wait()
}

// nop does nothing, through the log, and says how long it took.
func (c *cluster) nop() time.Duration {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	begin := time.Now()
	if o := c.client.Do(ctx, command.Command{Op: command.Nop}, nil); o.Err != nil || o.Reply.Code != command.OK {
		c.t.Fatalf("nop: %+v", o)
	}
	return time.Since(begin)
}

func TestFindsTheLeader(t *testing.T) {
	bubble(t, []string{"c"}, func(t *testing.T, c *cluster) {
		if d := c.nop(); d > 0 {
			t.Errorf("a member that knew the leader cost %v", d)
		}
	})
}

func TestFollowsTheLeader(t *testing.T) {
	bubble(t, []string{"a"}, func(t *testing.T, c *cluster) {
		c.nop()
		c.elect(2, "b")
		if d := c.nop(); d > time.Millisecond {
			t.Errorf("to follow a leader that said where it went took %v", d)
		}
		// b is gone without a word, and c leads: its address was told by the others.
		c.members["b"].Close()
		c.remove("b")
		c.elect(3, "c")
		if d := c.nop(); d > 500*time.Millisecond {
			t.Errorf("to find another leader took %v", d)
		}
	})
}

func TestNobodyLeads(t *testing.T) {
	bubble(t, []string{"a", "b", "c"}, func(t *testing.T, c *cluster) {
		c.nop()
		c.elect(0, "")
		time.AfterFunc(2*time.Second, func() { c.elect(2, "b") })
		if d := c.nop(); d < 2*time.Second || d > 3*time.Second {
			t.Errorf("a leader that was elected after 2 s was found after %v", d)
		}
		c.elect(0, "")
		o := c.client.Do(t.Context(), command.Command{Op: command.Nop}, nil)
		if !errors.Is(o.Err, driver.ErrUnavailable) || !o.NotExecuted || !strings.Contains(o.Err.Error(), "no member leads") {
			t.Errorf("without a leader: %+v", o)
		}
	})
}

func TestSilentLeaderIsLeft(t *testing.T) {
	bubble(t, []string{"a", "b"}, func(t *testing.T, c *cluster) {
		c.nop()
		c.members["a"].Be(fakemember.Silent)
		c.members["b"].Resign(wire.Member{ID: 2, Name: "b", Addr: "b"}) // to itself
		if d := c.nop(); d < 2*time.Second || d > 5*time.Second {
			t.Errorf("a leader that says nothing was left after %v", d)
		}
	})
}

// While pushes are expected, a member that has died is noticed as well.
func TestSilentLeaderIsLeftByWaiters(t *testing.T) {
	bubble(t, []string{"a", "b"}, func(t *testing.T, c *cluster) {
		c.nop()
		c.client.ExpectPushes(1)
		time.Sleep(time.Minute) // an honest one is kept
		c.members["a"].Be(fakemember.Silent)
		c.members["b"].Resign(wire.Member{ID: 2, Name: "b", Addr: "b"}) // to itself
		time.Sleep(6 * time.Second)
		if d := c.nop(); d > 0 {
			t.Errorf("the other leader was not found in the meantime: it took %v", d)
		}
		c.client.ExpectPushes(-1)
	})
}

func TestLeaderThatDoesNothing(t *testing.T) {
	bubble(t, []string{"a"}, func(t *testing.T, c *cluster) {
		c.nop()
		c.members["a"].Be(fakemember.Mute)
		begin := time.Now()
		o := c.client.Do(t.Context(), command.Command{Op: command.Nop}, nil)
		if !errors.Is(o.Err, driver.ErrUnavailable) || o.NotExecuted || !strings.Contains(o.Err.Error(), "was sent") {
			t.Errorf("outcome %+v", o)
		}
		if d := time.Since(begin); d < 9*time.Second || d > 12*time.Second {
			t.Errorf("gave up after %v", d)
		}
		c.members["a"].Be(fakemember.Well)
		c.nop()
	})
}

// Where nobody comes by himself, a call is given up sooner while there is no connection, and not while there is
// one on which no answer comes.
func TestLeaderTimeout(t *testing.T) {
	for _, mute := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m := fakemember.New()
			defer m.Close()
			leader := wire.Member{ID: 1, Name: "a", Addr: "a"}
			m.Welcome = wire.Welcome{Cluster: "test", Member: 1, Name: "a", Leader: leader, Members: []wire.Member{leader}}
			link := fakemember.NewLink(func(string) *fakemember.Member {
				if mute {
					return m
				}
				return nil
			})
			m.Be(fakemember.Mute)
			c := client.New(client.Config{Addrs: []string{"a"}, Dial: link.Dial, LeaderTimeout: 3 * time.Second})
			defer c.Close()
			began := time.Now()
			o := c.Do(t.Context(), command.Command{Op: command.Nop}, nil)
			took, least, word := time.Since(began), 3*time.Second, "within 3s"
			if mute {
				least, word = 9*time.Second, "within 10s"
			}
			if !errors.Is(o.Err, driver.ErrUnavailable) || !strings.Contains(o.Err.Error(), word) || took < least || took > least+3*time.Second {
				t.Errorf("mute %v: %+v after %v", mute, o, took)
			}
		})
	}
}

func TestContext(t *testing.T) {
	bubble(t, []string{"a"}, func(t *testing.T, c *cluster) {
		c.nop()
		c.members["a"].Be(fakemember.Mute)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		begin := time.Now()
		o := c.client.Do(ctx, command.Command{Op: command.Nop}, nil)
		if !errors.Is(o.Err, context.DeadlineExceeded) || o.NotExecuted || time.Since(begin) != 100*time.Millisecond {
			t.Errorf("one that was sent: %+v after %v", o, time.Since(begin))
		}
		c.link.Cut()
		c.link.Break()
		synctest.Wait()
		ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if o := c.client.Do(ctx, command.Command{Op: command.Nop}, nil); !errors.Is(o.Err, context.DeadlineExceeded) || !o.NotExecuted {
			t.Errorf("one that could not be sent: %+v", o)
		}
	})
}

// Most members refuse us: that is told at once, though one cannot be reached.
func TestRefusal(t *testing.T) {
	bubble(t, []string{"a", "b", "not there"}, func(t *testing.T, c *cluster) {
		for _, m := range c.members {
			m.Refuse("this is the cluster invoices: correct cluster=")
		}
		c.link.Break()
		synctest.Wait()
		err := c.client.Ready(t.Context())
		if err == nil || errors.Is(err, driver.ErrUnavailable) || !strings.Contains(err.Error(), "invoices") {
			t.Errorf("Ready = %v", err)
		}
	})
}

// One member refuses us, and the others cannot be reached: they may be the ones that are right.
func TestRefusalOfOne(t *testing.T) {
	bubble(t, []string{"a", "b", "c"}, func(t *testing.T, c *cluster) {
		c.members["a"].Refuse("this is the cluster invoices: correct cluster=")
		c.remove("b")
		c.remove("c")
		c.link.Break()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := c.client.Ready(ctx)
		if !errors.Is(err, driver.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "invoices") {
			t.Errorf("Ready = %v", err)
		}
	})
}

func TestReadyTellsWhyNot(t *testing.T) {
	bubble(t, []string{"x"}, func(t *testing.T, c *cluster) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := c.client.Ready(ctx)
		if !errors.Is(err, driver.ErrUnavailable) || !strings.Contains(err.Error(), "refused") {
			t.Errorf("Ready = %v", err)
		}
	})
}

// A client that slept for longer than its session lives does not notice.
func TestSessionExpires(t *testing.T) {
	bubble(t, []string{"a"}, func(t *testing.T, c *cluster) {
		c.nop()
		time.Sleep(3 * client.SessionTTL)
		c.nop()
	})
}

func TestClose(t *testing.T) {
	bubble(t, []string{"a"}, func(t *testing.T, c *cluster) {
		c.nop()
		c.members["a"].Be(fakemember.Mute)
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if o := c.client.Do(t.Context(), command.Command{Op: command.Nop}, nil); !errors.Is(o.Err, driver.ErrUnavailable) || o.NotExecuted {
					t.Errorf("a call under way ended with %+v", o)
				}
			})
		}
		synctest.Wait()
		begin := time.Now()
		_ = c.client.Close()
		all.Wait()
		if err := c.client.Close(); err != nil || time.Since(begin) > 0 {
			t.Errorf("closing again: %v; it took %v", err, time.Since(begin))
		}
		if o := c.client.Do(t.Context(), command.Command{Op: command.Nop}, nil); !errors.Is(o.Err, driver.ErrUnavailable) || !o.NotExecuted {
			t.Errorf("a call afterwards ended with %+v", o)
		}
	})
}

type order struct {
	list *[]string
	name string
}

func (o order) OnReply(*client.Outcome) { *o.list = append(*o.list, o.name) }

// What is told is in the order of the commands, whoever waits.
func TestThenIsInOrder(t *testing.T) {
	bubble(t, []string{"a"}, func(t *testing.T, c *cluster) {
		var got []string
		var calls []*client.Call
		for i := range 1000 {
			call, err := c.client.Start(command.Command{Op: command.Nop}, order{&got, fmt.Sprint(i)})
			if err != nil {
				t.Fatal(err)
			}
			calls = append(calls, call)
		}
		for i := len(calls) - 1; i >= 0; i-- {
			if o := c.client.Wait(t.Context(), calls[i]); o.Err != nil {
				t.Fatal(o.Err)
			}
		}
		for i := range got {
			if got[i] != fmt.Sprint(i) {
				t.Fatalf("%s is told at place %d", got[i], i)
			}
		}
		if len(got) != len(calls) {
			t.Errorf("%d of %d are told", len(got), len(calls))
		}
	})
}

// Connections break again and again under load: each command is answered, and carried out
// once, which the stand-in's state machine sees to and a counter of tokens would show.
func TestBreaksUnderLoad(t *testing.T) {
	bubble(t, []string{"a"}, func(t *testing.T, c *cluster) {
		stop := make(chan struct{})
		var breaker, all sync.WaitGroup
		breaker.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(30 * time.Millisecond):
					c.link.Break()
				}
			}
		})
		var mu sync.Mutex
		tokens := map[uint64]bool{}
		for i := range 50 {
			all.Go(func() {
				for j := range 20 {
					key := fmt.Sprint(i, j)
					o := c.client.Do(t.Context(), command.Command{Op: command.Acquire, Key: key, AttemptID: "o", TTL: time.Hour}, nil)
					if o.Err != nil || o.Reply.Code != command.Granted {
						t.Errorf("acquire: %+v", o)
						return
					}
					mu.Lock()
					if tokens[o.Reply.Token] {
						t.Errorf("token %d was given twice", o.Reply.Token)
					}
					tokens[o.Reply.Token] = true
					mu.Unlock()
					time.Sleep(time.Millisecond)
				}
			})
		}
		all.Wait()
		close(stop)
		breaker.Wait()
	})
}
