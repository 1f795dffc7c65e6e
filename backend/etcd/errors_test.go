package etcd

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fencelock/fencelock/backend/etcd/internal/cluster"
	"github.com/fencelock/fencelock/driver"
)

// TestFaults: what each error of a server means for a release: whether asking again may help, and
// whether nothing was done. None is taken for the end of a caller's context.
func TestFaults(t *testing.T) {
	const again, nothing = true, true
	for _, is := range []struct {
		err            error
		again, nothing bool
	}{
		{rpctypes.ErrGRPCNoLeader, again, nothing},
		{rpctypes.ErrGRPCRequestTooManyRequests, again, nothing},
		{rpctypes.ErrGRPCInvalidAuthToken, again, nothing},
		{rpctypes.ErrGRPCAuthOldRevision, again, nothing},
		{rpctypes.ErrGRPCNotSupportedForLearner, again, nothing}, // another member may be asked next

		{rpctypes.ErrGRPCPermissionDenied, !again, nothing},
		{rpctypes.ErrGRPCAuthFailed, !again, nothing},
		{rpctypes.ErrGRPCTooManyOps, !again, nothing},
		{rpctypes.ErrGRPCUserEmpty, !again, nothing},
		{status.Error(codes.Unimplemented, "unknown service"), !again, nothing},
		{status.Error(codes.PermissionDenied, "by a proxy"), !again, nothing},

		{rpctypes.ErrGRPCNoSpace, again, !nothing},
		{rpctypes.ErrGRPCLeaderChanged, again, !nothing},
		{rpctypes.ErrGRPCTimeout, again, !nothing},
		{rpctypes.ErrGRPCTimeoutDueToConnectionLost, again, !nothing},
		{rpctypes.ErrGRPCStopped, again, !nothing},
		{status.Error(codes.Unavailable, "transport is closing"), again, !nothing},
		{status.Error(codes.ResourceExhausted, "grpc: received message larger than max"), again, !nothing},
		{status.Error(codes.DeadlineExceeded, "by a proxy"), again, !nothing},
		{status.Error(codes.Canceled, "by a proxy"), again, !nothing},
		{status.Error(codes.Unknown, "raft proposal dropped"), again, !nothing},
	} {
		t.Run(status.Convert(is.err).Message(), func(t *testing.T) {
			t.Parallel()
			if cluster.IsTemporary(rpctypes.Error(is.err)) && cluster.RefusesToken(is.err) {
				// The client asks again by itself until the time of the request is over.
				if err := cluster.Classify(rpctypes.Error(is.err)); !errors.Is(err, driver.ErrUnavailable) || !errors.Is(err, driver.ErrRefused) {
					t.Errorf("%v", err)
				}
				return
			}
			f := serve(t)
			b, g, _ := f.lock(t, 30*time.Second)
			f.set(func() {
				f.meet = func(_ context.Context, method string, r any) error {
					if txn, ok := r.(*pb.TxnRequest); ok && len(txn.Compare) == 1 { // a release
						return is.err
					}
					return nil
				}
			})
			err := b.Release(t.Context(), g)
			if err == nil || errors.Is(err, driver.ErrUnavailable) != is.again || errors.Is(err, driver.ErrRefused) != is.nothing {
				t.Errorf("Release = %v, want again %v, nothing done %v", err, is.again, is.nothing)
			}
			if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v is an error of a context", err)
			}
		})
	}
}

// TestOurTimeIsNotTheCallers: a server that does not answer is an error of ours.
func TestOurTimeIsNotTheCallers(t *testing.T) {
	f := serve(t)
	b, g, _ := f.lock(t, time.Second)
	silent, stop := context.WithCancel(context.Background())
	defer stop()
	f.set(func() {
		f.meet = func(ctx context.Context, _ string, _ any) error {
			select {
			case <-silent.Done():
			case <-ctx.Done():
			}
			return errors.New("too late")
		}
	})
	_, acquired := b.Acquire(t.Context(), driver.Request{Key: "another", AttemptID: "another", TTL: time.Second, Wait: true})
	_, inspected := b.Inspect(t.Context(), "k")
	_, listed := b.ListHeld(t.Context(), "", "", 10)
	for what, err := range map[string]error{
		"Acquire": acquired, "Inspect": inspected, "ListHeld": listed, "Evict": b.Evict(t.Context(), "k", ""),
		"Renew": b.Renew(t.Context(), []driver.Grant{g})[0].Err, "Release": b.Release(t.Context(), g),
	} {
		if !errors.Is(err, driver.ErrUnavailable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, driver.ErrRefused) {
			t.Errorf("%s = %v", what, err)
		}
		if err != nil && strings.Count(err.Error(), "unavailable") > 1 {
			t.Errorf("%s says it twice: %v", what, err)
		}
	}
}

// TestNoSpace: an eviction that a server without space refuses is told as refused if the claim is
// still there, and as done if it is not: the transaction for which the server finds out is carried out.
func TestNoSpace(t *testing.T) {
	for what, gone := range map[string]bool{"refused": false, "carried out": true} {
		t.Run(what, func(t *testing.T) {
			f := serve(t)
			b, err := f.open(t, nil)
			if err != nil {
				t.Fatal(err)
			}
			f.set(func() {
				f.claim = "holder meta"
				f.meet = func(_ context.Context, method string, _ any) error {
					if method == "Txn" {
						if gone {
							f.set(func() { f.claim = "" })
						}
						return rpctypes.ErrGRPCNoSpace
					}
					return nil
				}
			})
			err = b.Evict(t.Context(), "k", "")
			switch {
			case gone && err != nil:
				t.Errorf("Evict = %v", err)
			case !gone && (!errors.Is(err, driver.ErrUnavailable) || !errors.Is(err, driver.ErrRefused) || strings.Count(err.Error(), "unavailable") != 1):
				t.Errorf("Evict = %v, want a temporary refusal", err)
			}
		})
	}
}

// TestWhoAsks: servers that want another user and password, or one at all; the error of Open says
// where they go.
func TestWhoAsks(t *testing.T) {
	for _, row := range []struct {
		answer error
		user   *url.Userinfo
		says   string
	}{
		{rpctypes.ErrGRPCUserEmpty, nil, "want a user and a password: write etcd://user:password@host"},
		{rpctypes.ErrGRPCAuthFailed, url.UserPassword("user", "wr0ng"), "look at user and password: etcd://user:password@host, or etcd://user@host?password_file="},
	} {
		f := serve(t)
		f.set(func() {
			f.meet = func(context.Context, string, any) error { return row.answer }
		})
		_, err := Open(t.Context(), &url.URL{Scheme: "etcd", User: row.user, Host: f.addr}, driver.OpenOptions{})
		if !errors.Is(err, driver.ErrRefused) || !strings.Contains(err.Error(), row.says) || strings.Contains(err.Error(), "wr0ng") {
			t.Errorf("%v; want it refused, and to say %q", err, row.says)
		}
	}
}
