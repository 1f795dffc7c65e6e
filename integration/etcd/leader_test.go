package etcd_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestLeaderLost: whatever happens to the leader, the holder keeps its lease, which
// is renewed with the new one; a waiter keeps its position, and gets the lock when it
// is unlocked; another is told that it is held.
func TestLeaderLost(t *testing.T) {
	t.Parallel()
	c := servers.StartCluster(t, servers.Etcd, 3)
	addrs := strings.Join(c.Addrs(), ",")
	for _, d := range locktest.Faults() {
		t.Run(d.Name, func(t *testing.T) {
			const ttl = 12 * time.Second
			ns := locktest.Namespace()
			var book locktest.Ledger
			holder, waiter, other := open(t, addrs, ns, ttl), open(t, addrs, ns, ttl), open(t, addrs, ns, ttl)
			held := locktest.Lock(t, holder, "k")
			book.Record(t, held)
			waiting := locktest.StartLock(t.Context(), waiter, "k")
			awaitWaiters(t, other, "k", 1)

			old := c.Leader(t)
			over := d.Inject(t, c, old)
			began := time.Now()
			c.LeaderAfter(t, old)
			locktest.Survivors{Held: held, Waiting: waiting, Other: other, TTL: ttl, Book: &book}.HandOff(t, began)
			over()
			// Not by the holder's session: see TestPausedLeaderWakesUp.
			third := locktest.ExpectLock(t, locktest.StartLock(t.Context(), open(t, addrs, ns, ttl), "k"), locktest.Electing)
			book.Record(t, third)
			locktest.Unlock(t, third)
			expectNothingLeft(t, raw(t, c.Addrs()...), ns)
		})
	}
}

// TestClientWithTheMinority: a holder whose only member is cut off from the others
// loses its lease by its own clock before another gets the lock. A member that led
// until then cannot renew it.
func TestClientWithTheMinority(t *testing.T) {
	t.Parallel()
	c := servers.StartCluster(t, servers.Etcd, 3)
	for _, name := range []string{"leader", "follower"} {
		for _, d := range locktest.Faults() {
			if d.Name == locktest.Killed.Name || name == "follower" && d.Name != locktest.CutOff.Name {
				continue // it answers nobody; it has less to say than a leader
			}
			t.Run(name+" "+d.Name, func(t *testing.T) {
				const ttl = 2 * time.Second
				ns := locktest.Namespace()
				var book locktest.Ledger
				member := c.Leader(t)
				var others []string
				for _, m := range c.Members() {
					if name == "follower" && !c.Leads(m) {
						member = m
					}
				}
				for _, m := range c.Members() {
					if m != member {
						others = append(others, m.Addr())
					}
				}
				holder := open(t, member.Addr(), ns, ttl)
				waiter := open(t, strings.Join(others, ","), ns, time.Minute)
				held := locktest.ExpectLock(t, locktest.StartLock(t.Context(), holder, "k"), locktest.Electing)
				book.Record(t, held)
				waiting := locktest.StartLock(t.Context(), waiter, "k")
				awaitWaiters(t, waiter, "k", 1)

				over := d.Inject(t, c, member)
				began := time.Now()
				// One that is deaf or mute may pass on what reaches it for a while:
				// until the others have elected another, or it has noticed.
				var next *fencelock.Lease
				got := make(chan struct{})
				go func() {
					defer close(got)
					if a := <-waiting; a.Err == nil {
						next = a.Lease
						book.Record(t, next)
					}
				}()
				locktest.ExpectLost(t, held, ttl+locktest.Electing)
				t.Logf("lost after %v", time.Since(began).Round(time.Millisecond))
				locktest.Await(t, 2*ttl+locktest.Electing, "the next one gets the lock", got)
				t.Logf("granted after %v", time.Since(began).Round(time.Millisecond))
				over()
				if next == nil {
					t.Fatal("the waiter failed")
				}
				locktest.Unlock(t, next)
				again := locktest.ExpectLock(t, locktest.StartLock(t.Context(), holder, "k", fencelock.WithTTL(time.Minute)), locktest.Electing)
				book.Record(t, again)
				locktest.Unlock(t, again)
			})
		}
	}
}

// TestMemberThatIsCutOff: a member that has lost the others, and that clients still
// reach, refuses what it cannot do, and its clients go on to the next at once. Nobody
// waits for it to answer, whether alone or together with others.
func TestMemberThatIsCutOff(t *testing.T) {
	t.Parallel()
	c, ns := servers.StartCluster(t, servers.Etcd, 3), locktest.Namespace()
	const ttl = 15 * time.Second
	client := open(t, strings.Join(c.Addrs(), ","), ns, ttl)
	warm(t, client)
	member := c.Members()[0]
	if c.Leads(member) {
		member = c.Members()[1]
	}
	admin := raw(t, member.Addr())
	c.Cut(t, member)
	locktest.Eventually(t, locktest.Electing, "the member knows that it is alone", func() bool {
		s, err := admin.Status(t.Context(), member.Addr())
		return err == nil && s.Leader == 0
	})
	for _, callers := range []int{1, 64} {
		var calling sync.WaitGroup
		for n := range callers {
			calling.Go(func() {
				for range 10 {
					began := time.Now()
					l, err := client.Lock(t.Context(), fmt.Sprint(n))
					if err == nil {
						err = l.Unlock(t.Context())
					}
					if took := time.Since(began); err != nil || took > locktest.Slack {
						t.Errorf("one of %d callers: Lock and Unlock took %v, %v", callers, took.Round(time.Millisecond), err)
						return
					}
				}
			})
		}
		calling.Wait()
	}
	c.Heal(t, member)
	expectNothingLeft(t, raw(t, c.Addrs()...), ns)
}

// TestRenewalOfAnEarlierTerm: the answer to a keep-alive of a leader that is not the
// leader any more when it arrives is worth nothing, since it may have been paused,
// and have answered by what it knew. The renewal that counts was sent to the new
// one.
func TestRenewalOfAnEarlierTerm(t *testing.T) {
	t.Parallel()
	const ttl = 15 * time.Second
	c, ns := servers.StartCluster(t, servers.Etcd, 3), locktest.Namespace()
	leader := c.Leader(t)
	p := through(t, leader.Addr())
	holder := open(t, p.Addr(), ns, ttl)
	held := locktest.Lock(t, holder, "k")
	answer := p.HoldReplyTo(keepAlives, 1)
	locktest.Await(t, ttl, "a keep-alive is answered", answer.Fired())
	electAnother(t, c, leader)
	elected := time.Now()
	answer.Release()
	// Until then it is trusted by what was confirmed before.
	before := held.ValidUntil()
	locktest.Eventually(t, ttl, "the lease is renewed", func() bool { return held.ValidUntil().After(before) })
	if sent := held.ValidUntil().Add(ttl/10 - ttl); sent.Before(elected) {
		t.Errorf("a renewal counts that was sent %v before the election", elected.Sub(sent))
	}
	locktest.Unlock(t, held)
}

// electAnother has the leader transfer its leadership to another member.
func electAnother(t *testing.T, c *servers.Cluster, leader *servers.Server) {
	t.Helper()
	admin := raw(t, leader.Addr())
	members, err := admin.MemberList(t.Context())
	if err != nil {
		t.Fatalf("MemberList: %v", err)
	}
	for _, m := range members.Members {
		if m.ID != members.Header.MemberId {
			if _, err := admin.MoveLeader(t.Context(), m.ID); err != nil {
				t.Fatalf("MoveLeader: %v", err)
			}
			break
		}
	}
	c.LeaderAfter(t, leader)
}

var keepAlives = proxy.Method("/etcdserverpb.Lease/LeaseKeepAlive")

// TestPausedLeaderWakesUp: a leader that was paused for longer than the TTL finds
// all leases that it knew ended when it wakes up, by its own clock, and may not know
// yet that it leads no more. etcd then sometimes ends leases that the new leader has
// kept alive (its issue 15247: the check that was added asks whether the member has
// been active of late, and the first thing that it does is to be active). We cannot
// prevent that. But the holder is told at once, and not by its next renewal or at its
// deadline; and the token of the next one is greater.
func TestPausedLeaderWakesUp(t *testing.T) {
	t.Parallel()
	const ttl = 3 * time.Second
	c := servers.StartCluster(t, servers.Etcd, 3)
	for range 2 {
		old, ns := c.Leader(t), locktest.Namespace()
		var others []string
		for _, m := range c.Members() {
			if m != old {
				others = append(others, m.Addr())
			}
		}
		addrs := strings.Join(others, ",")
		holder, waiter := open(t, addrs, ns, ttl), open(t, addrs, ns, time.Minute)
		held := locktest.ExpectLock(t, locktest.StartLock(t.Context(), holder, "k"), locktest.Electing)
		waiting := locktest.StartLock(t.Context(), waiter, "k")
		awaitWaiters(t, waiter, "k", 1)
		ended := servers.Metrics(t, old)[expired]
		old.Pause(t)
		paused := time.Now()
		c.LeaderAfter(t, old)
		locktest.AwaitRenewal(t, held, ttl, paused.Add(ttl+ttl/3))
		leader := c.LeaderAfter(t, old)
		endedByLeader := servers.Metrics(t, leader)[expired]
		old.Unpause(t)

		var next locktest.Attempt
		select {
		case next = <-waiting:
			granted := next.At
			locktest.Await(t, ttl/3, "the holder is told", held.Done())
			t.Logf("told within %v of the next grant", time.Since(granted).Round(time.Millisecond))
			if err := held.Err(); !errors.Is(err, fencelock.ErrLost) {
				t.Errorf("Err = %v, want ErrLost", err)
			}
			if now := servers.Metrics(t, leader)[expired]; now != endedByLeader {
				t.Errorf("the new leader has ended %v leases", now-endedByLeader)
			}
			if servers.Metrics(t, old)[expired] == ended {
				t.Error("the old leader has not ended it")
			}
		case <-time.After(ttl):
			if err := held.Err(); err != nil {
				t.Fatalf("the lease: %v, and nobody else has the lock", err)
			}
			locktest.Unlock(t, held)
			next = locktest.Outcome(t, waiting, locktest.Soon)
		}
		if next.Err != nil || next.Lease.Token() <= held.Token() {
			t.Fatalf("the next: %v, %v; want a token above %v", next.Lease, next.Err, held.Token())
		}
		locktest.Unlock(t, next.Lease)
	}
}

// expired counts the leases that a member has ended because their time was over.
const expired = "etcd_debugging_server_lease_expired_total"
