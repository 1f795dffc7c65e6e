package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/api/v3/version"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/metadata"

	"github.com/fencelock/fencelock/driver"
)

// received has a fake server keep the transactions that it gets, as text, and what came with them.
type received struct {
	mu      sync.Mutex
	txns    []string
	headers []metadata.MD
	limited bool // one had a deadline
}

// text is a transaction in a form that can be compared, whichever library has made the types of etcd's API.
func text(txn *pb.TxnRequest) string {
	b, err := json.Marshal(txn)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func (f *fake) keep() *received {
	all := new(received)
	f.meet = func(ctx context.Context, _ string, r any) error {
		if txn, ok := r.(*pb.TxnRequest); ok && txn.Compare[0].GetCreateRevision() >= 0 { // no probe
			all.mu.Lock()
			defer all.mu.Unlock()
			header, _ := metadata.FromIncomingContext(ctx)
			_, limited := ctx.Deadline()
			all.txns, all.headers, all.limited = append(all.txns, text(txn)), append(all.headers, header), all.limited || limited
		}
		return nil
	}
	return all
}

// ways are the two ways to a backend.
var ways = map[string]func(t *testing.T, f *fake) driver.Backend{
	"by a URL": func(t *testing.T, f *fake) driver.Backend {
		b, err := f.open(t, nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	},
	"by a client": func(t *testing.T, f *fake) driver.Backend {
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{f.addr}, Logger: zap.NewNop()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		b, err := New(t.Context(), client, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Close() })
		return b
	},
}

// pair takes a lock and releases it, with a header of the caller's own.
func pair(t *testing.T, b driver.Backend, wait bool) {
	t.Helper()
	ctx := metadata.AppendToOutgoingContext(t.Context(), rpctypes.TokenFieldNameGRPC, "of another service")
	g, err := b.Acquire(ctx, driver.Request{Key: "a/b", AttemptID: "owner", Identity: "me", TTL: time.Minute, Wait: wait})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Release(ctx, g); err != nil {
		t.Fatal(err)
	}
}

// TestTransactions: what the transactions of a lock say, whichever way they go.
func TestTransactions(t *testing.T) {
	name, prefix, end := []byte("fencelock/locks/a%2Fb/63"), []byte("fencelock/locks/a%2Fb/"), []byte("fencelock/locks/a%2Fb0")
	free := &pb.Compare{Target: pb.Compare_CREATE, Key: name, TargetUnion: &pb.Compare_CreateRevision{}}
	alone := &pb.Compare{Target: pb.Compare_CREATE, Key: prefix, RangeEnd: end, TargetUnion: &pb.Compare_CreateRevision{}}
	epoch := &pb.Compare{Target: pb.Compare_MOD, Key: []byte("fencelock/leases/63"), TargetUnion: &pb.Compare_ModRevision{ModRevision: 10}}
	made := &pb.Compare{Target: pb.Compare_CREATE, Key: name, TargetUnion: &pb.Compare_CreateRevision{CreateRevision: fakeClaim}}
	put := []*pb.RequestOp{
		{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: prefix, RangeEnd: end, CountOnly: true}}},
		{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: name, Value: []byte("owner me"), Lease: fakeLease}}},
	}
	deletion := &pb.TxnRequest{
		Compare: []*pb.Compare{made},
		Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: name}}}},
	}
	want := []*pb.TxnRequest{
		{Compare: []*pb.Compare{free, epoch}, Success: put},
		deletion,
		{Compare: []*pb.Compare{free, epoch, alone}, Success: put},
		deletion,
	}
	for way, open := range ways {
		t.Run(way, func(t *testing.T) {
			f := serve(t)
			got := f.keep()
			b := open(t, f)
			pair(t, b, true)
			pair(t, b, false)
			if len(got.txns) != len(want) {
				t.Fatalf("%d transactions: %q", len(got.txns), got.txns)
			}
			for i, txn := range want {
				if want := text(txn); got.txns[i] != want {
					t.Errorf("transaction %d:\n%s\nwant\n%s", i, got.txns[i], want)
				}
			}
		})
	}
}

// TestHeader: a transaction wants a leader, and tells neither when its caller gives up nor what the caller tells others.
func TestHeader(t *testing.T) {
	for way, open := range ways {
		t.Run(way, func(t *testing.T) {
			f := serve(t)
			got := f.keep()
			pair(t, open(t, f), true)
			for _, header := range got.headers {
				if leader := header.Get(rpctypes.MetadataRequireLeaderKey); !slices.Equal(leader, []string{rpctypes.MetadataHasLeader}) {
					t.Errorf("it wants a leader: %q", leader)
				}
				if v := header.Get(rpctypes.MetadataClientAPIVersionKey); !slices.Equal(v, []string{version.APIVersion}) {
					t.Errorf("version %q", v)
				}
				if token := header.Get(rpctypes.TokenFieldNameGRPC); len(token) > 0 {
					t.Errorf("the caller's own header has been sent: %q", token)
				}
			}
			if len(got.headers) != 2 || got.limited {
				t.Errorf("%d transactions; one with a deadline: %v", len(got.headers), got.limited)
			}
		})
	}
}

// TestRefusedForNow: a transaction that one member refuses, having done nothing, is sent again, to the
// next. Its caller need not ask again.
func TestRefusedForNow(t *testing.T) {
	for _, refusal := range []error{
		rpctypes.ErrGRPCNoLeader, rpctypes.ErrGRPCInvalidAuthToken, rpctypes.ErrGRPCAuthOldRevision, rpctypes.ErrGRPCNotSupportedForLearner,
	} {
		for way, open := range ways {
			t.Run(rpctypes.ErrorDesc(refusal)+" "+way, func(t *testing.T) {
				f := serve(t)
				b := open(t, f)
				refused := 0
				f.set(func() {
					f.meet = func(_ context.Context, method string, _ any) error {
						if method == "Txn" && refused < 3 { // one request at a time
							refused++
							return refusal
						}
						return nil
					}
				})
				_, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "owner", TTL: time.Minute, Wait: true})
				if errors.Is(refusal, rpctypes.ErrGRPCNotSupportedForLearner) { // there is no other member
					if !errors.Is(err, driver.ErrUnavailable) || !errors.Is(err, driver.ErrRefused) || refused != 1 {
						t.Errorf("%v after %d refusals", err, refused)
					}
				} else if err != nil || refused != 3 {
					t.Errorf("%v after %d refusals", err, refused)
				}
			})
		}
	}
}
