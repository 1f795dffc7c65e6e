package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/fencelock/fencelock/driver"
)

// recorder is a server as etcd's client sees it, and keeps the last transaction.
type recorder struct {
	pb.KVClient
	got *pb.TxnRequest
}

func (r *recorder) Txn(_ context.Context, txn *pb.TxnRequest, _ ...grpc.CallOption) (*pb.TxnResponse, error) {
	r.got = txn
	return &pb.TxnResponse{Succeeded: true}, nil
}

// unconnected is a connection whose client is the application's, and goes nowhere.
func unconnected(t *testing.T) (*Conn, *recorder) {
	client, server := clientv3.NewCtxClient(t.Context()), new(recorder)
	client.KV = clientv3.NewKVFromKVClient(server, nil)
	return New(client, new(Trouble), nil), server
}

// TestThroughTheClient: a transaction that goes through all of etcd's client says the same as one that does not.
func TestThroughTheClient(t *testing.T) {
	key, end := []byte("a/1"), []byte("a0")
	part := &pb.TxnRequest{
		Compare: []*pb.Compare{
			{Target: pb.Compare_CREATE, Key: key, TargetUnion: &pb.Compare_CreateRevision{CreateRevision: 5}},
			{Target: pb.Compare_CREATE, Key: key, RangeEnd: end, TargetUnion: &pb.Compare_CreateRevision{}},
			{Target: pb.Compare_MOD, Key: key, TargetUnion: &pb.Compare_ModRevision{ModRevision: 6}},
			{Target: pb.Compare_VALUE, Key: key, TargetUnion: &pb.Compare_Value{Value: []byte("v")}},
		},
		Success: []*pb.RequestOp{
			{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: key, RangeEnd: end, CountOnly: true}}},
			{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: key, Value: []byte("v"), Lease: 7}}},
		},
		Failure: []*pb.RequestOp{{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: key}}}},
	}
	together := &pb.TxnRequest{Success: []*pb.RequestOp{
		{Request: &pb.RequestOp_RequestTxn{RequestTxn: part}},
		{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{Success: part.Failure}}},
	}}
	c, server := unconnected(t)
	for _, txn := range []*pb.TxnRequest{part, together} {
		if answer, err := c.txn(t.Context(), txn); err != nil || !answer.Succeeded {
			t.Fatalf("%v, %v", answer, err)
		}
		want, _ := json.Marshal(txn)
		if got, err := json.Marshal(server.got); err != nil || string(got) != string(want) {
			t.Errorf("%s, %v\nwant\n%s", got, err, want)
		}
	}
}

// TestIncompleteAnswer: an answer that lacks those of some transactions leaves it unknown what was done.
func TestIncompleteAnswer(t *testing.T) {
	c, _ := unconnected(t)
	part := Txn{Request: &pb.TxnRequest{}, Timeout: time.Minute}
	_, err := c.commitTogether([]Txn{part, part})
	if err = c.RequestError(t.Context(), err); !errors.Is(err, driver.ErrUnavailable) || errors.Is(err, driver.ErrRefused) {
		t.Error(err)
	}
}

// TestBound: what ends the context of a request, and that nothing is kept of one that has ended.
func TestBound(t *testing.T) {
	type value struct{}
	for name, end := range map[string]func(c *Conn, r *Request, caller context.CancelFunc){
		"caller":  func(_ *Conn, _ *Request, caller context.CancelFunc) { caller() },
		"timeout": func(*Conn, *Request, context.CancelFunc) { time.Sleep(time.Second) }, // of the bubble
		"Close":   func(c *Conn, _ *Request, _ context.CancelFunc) { c.Close() },
		"End":     func(_ *Conn, r *Request, _ context.CancelFunc) { r.End() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := unconnected(t)
				caller, cancel := context.WithTimeout(context.WithValue(t.Context(), value{}, 1), time.Hour)
				defer cancel()
				r := c.Bound(caller, time.Second)
				child, stop := context.WithCancel(r)
				defer stop()
				if _, limited := child.Deadline(); limited || child.Value(value{}) != 1 {
					t.Errorf("a deadline: %v, the caller's value: %v", limited, child.Value(value{}))
				}
				synctest.Wait()
				if r.Err() != nil || child.Err() != nil {
					t.Fatalf("it has ended: %v", r.Err())
				}
				end(c, r, cancel)
				synctest.Wait()
				if !errors.Is(child.Err(), context.Canceled) {
					t.Errorf("it goes on: %v", child.Err())
				}
				r.End()
				if n := len(c.requests); n != 0 {
					t.Errorf("%d requests are kept", n)
				}
				if after := c.Bound(t.Context(), time.Second); (after.Err() != nil) != c.Closed() {
					t.Errorf("the next: %v; closed: %v", after.Err(), c.Closed())
				} else {
					after.End()
				}
			})
		})
	}
}
