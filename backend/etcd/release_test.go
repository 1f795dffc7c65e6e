package etcd

import (
	"context"
	"errors"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

// deletes reports whether a request deletes a claim.
func deletes(r any) bool {
	txn, ok := r.(*pb.TxnRequest)
	if !ok {
		return false
	}
	for _, op := range txn.Success {
		if op.GetRequestDeleteRange() != nil {
			return true
		}
	}
	return false
}

// TestRefusedForGood: a server that refuses to have a claim deleted, and will again, is not asked
// for ever. The claim ends with the lease: so the lease is kept alive no longer than the other
// claims of the session need it, and the next lock gets another session.
func TestRefusedForGood(t *testing.T) {
	f := serve(t)
	const ttl = 2 * time.Second
	b, g, lost := f.lock(t, ttl)
	other, err := b.Acquire(t.Context(), driver.Request{Key: "other", AttemptID: "other", TTL: ttl})
	if err != nil {
		t.Fatal(err)
	}
	session := b.registry.ledger.Find(attempts.ID{Key: "k", AttemptID: "owner"}).session
	asked := 0
	f.set(func() {
		f.meet = func(_ context.Context, _ string, r any) error {
			if !deletes(r) {
				return nil
			}
			f.set(func() { asked++ })
			return rpctypes.ErrGRPCPermissionDenied
		}
	})
	if err := b.Release(t.Context(), g); !errors.Is(err, rpctypes.ErrPermissionDenied) {
		t.Errorf("Release = %v, want ErrPermissionDenied", err)
	}
	eventually(t, "the session is given up", session.Retired)
	if session.IsDead() {
		t.Error("the session has ended, and another lock with it")
	}
	if r := b.Renew(t.Context(), []driver.Grant{other})[0]; r.Err != nil {
		t.Errorf("the other lock: Renew = %v", r.Err)
	}
	next, err := b.Acquire(t.Context(), driver.Request{Key: "next", AttemptID: "next", TTL: ttl})
	if err != nil {
		t.Fatal(err)
	}
	if s := b.registry.ledger.Of(next).session; s == session {
		t.Error("the next lock is of the session that is given up")
	}
	f.set(func() { f.meet = nil })
	if err := b.Release(t.Context(), other); err != nil {
		t.Errorf("the other lock: Release = %v", err)
	}
	eventually(t, "the session ends with its last lock", session.IsDead)
	if asked > 3 {
		t.Errorf("the server was asked %d times for what it refuses", asked)
	}
	select {
	case <-lost:
		t.Error("the holder was told that a lock is lost that it had released")
	default:
	}
}

// TestRenewalMeetsRelease: a renewal that comes while the claim is being deleted has not failed:
// nobody holds the lock any more, and so there is nothing to report.
func TestRenewalMeetsRelease(t *testing.T) {
	f := serve(t)
	b, g, _ := f.lock(t, 20*time.Second)
	deleting, finish := make(chan struct{}), make(chan struct{})
	f.set(func() {
		f.meet = func(_ context.Context, _ string, r any) error {
			if deletes(r) {
				close(deleting)
				<-finish
			}
			return nil
		}
	})
	released := make(chan error, 1)
	go func() { released <- b.Release(t.Context(), g) }()
	<-deleting
	if r := b.Renew(t.Context(), []driver.Grant{g})[0]; !errors.Is(r.Err, driver.ErrNotHeld) {
		t.Errorf("Renew = %+v, want ErrNotHeld", r)
	}
	close(finish)
	if err := <-released; err != nil {
		t.Errorf("Release = %v", err)
	}
}

// TestReleasedWhileItLooks: an attempt that is released while its call finds out why nothing was made asks for
// nothing more. By then the client may know the epoch that the release has written, with which a claim would be made.
func TestReleasedWhileItLooks(t *testing.T) {
	f := serve(t)
	b, err := f.open(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	looks, goOn := make(chan struct{}), make(chan struct{})
	made := 0
	f.set(func() {
		f.refuse = func(r *pb.TxnRequest) bool {
			for _, op := range r.Success {
				if op.GetRequestPut() != nil && op.GetRequestPut().Lease != 0 && !deletes(r) {
					f.set(func() { made++ })
					return made == 1 // as if the epoch had changed
				}
			}
			return false
		}
		f.meet = func(_ context.Context, _ string, r any) error {
			if txn, ok := r.(*pb.TxnRequest); ok && len(txn.Compare) == 0 {
				close(looks)
				<-goOn
			}
			return nil
		}
	})
	acquired := make(chan error, 1)
	go func() {
		_, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "a", TTL: 30 * time.Second, Wait: true})
		acquired <- err
	}()
	<-looks
	if err := b.Release(t.Context(), driver.Grant{Key: "k", AttemptID: "a"}); !errors.Is(err, driver.ErrNotHeld) {
		t.Errorf("Release = %v", err)
	}
	f.set(func() { f.meet = nil })
	close(goOn)
	if err := <-acquired; err == nil {
		t.Error("a released attempt was granted")
	}
	f.set(func() {
		if made != 1 {
			t.Errorf("the claim was asked for %d times", made)
		}
	})
}
