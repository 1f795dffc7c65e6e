package cluster

import (
	"context"
	"math"
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// Shortcut is how a transaction goes to the servers without the first interceptor of etcd's client, which
// sends again what only reads. For what writes it does nothing but copy the header of the request twice.
// Shortcut is the interceptor next to that one, and keeps what comes after itself: a login, say. That
// is the same for all requests of a connection.
type Shortcut struct {
	rest atomic.Pointer[grpc.UnaryInvoker]
}

// Unary passes a request on.
func (s *Shortcut) Unary(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if s.rest.Load() == nil {
		s.keep(invoke)
	}
	return invoke(ctx, method, request, reply, conn, opts...)
}

// keep is a function of its own, or each request would have its invoker on the heap.
func (s *Shortcut) keep(invoke grpc.UnaryInvoker) { s.rest.Store(&invoke) }

const txnMethod = "/etcdserverpb.KV/Txn"

// callOptions are those that etcd's client gives each of its requests.
var callOptions = []grpc.CallOption{grpc.WaitForReady(true), grpc.MaxCallSendMsgSize(2 << 20), grpc.MaxCallRecvMsgSize(math.MaxInt32)}

// txn sends one transaction, once. Without a shortcut it goes through all of the client: an
// application may have put something of its own there, such as a prefix for all keys.
func (c *Conn) txn(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	if c.shortcut != nil {
		if rest := c.shortcut.rest.Load(); rest != nil { // always: the backend asked the servers when it was opened
			answer := new(pb.TxnResponse)
			if err := (*rest)(ctx, txnMethod, r, answer, c.Client.ActiveConnection(), callOptions...); err != nil {
				return nil, clientv3.ContextError(ctx, err)
			}
			return answer, nil
		}
	}
	conditions := make([]clientv3.Cmp, len(r.Compare))
	for i, is := range r.Compare {
		conditions[i] = comparison(is)
	}
	answer, err := c.Client.Txn(ctx).If(conditions...).Then(operations(r.Success)...).Else(operations(r.Failure)...).Commit()
	return (*pb.TxnResponse)(answer), err
}

// comparison is a condition in the words of the client.
func comparison(is *pb.Compare) clientv3.Cmp {
	var c clientv3.Cmp
	key := string(is.Key)
	switch v := is.TargetUnion.(type) {
	case *pb.Compare_CreateRevision:
		c = clientv3.Compare(clientv3.CreateRevision(key), "=", v.CreateRevision)
	case *pb.Compare_ModRevision:
		c = clientv3.Compare(clientv3.ModRevision(key), "=", v.ModRevision)
	case *pb.Compare_Value:
		c = clientv3.Compare(clientv3.Value(key), "=", string(v.Value))
	default:
		panic("etcd: a condition of another kind")
	}
	if len(is.RangeEnd) > 0 {
		c = c.WithRange(string(is.RangeEnd))
	}
	return c
}

// operations are those of a transaction in the words of the client. A count is of all that have a prefix.
func operations(all []*pb.RequestOp) []clientv3.Op {
	ops := make([]clientv3.Op, len(all))
	for i, o := range all {
		switch o := o.Request.(type) {
		case *pb.RequestOp_RequestRange:
			ops[i] = clientv3.OpGet(string(o.RequestRange.Key), clientv3.WithRange(string(o.RequestRange.RangeEnd)), clientv3.WithCountOnly())
		case *pb.RequestOp_RequestPut:
			ops[i] = clientv3.OpPut(string(o.RequestPut.Key), string(o.RequestPut.Value), clientv3.WithLease(clientv3.LeaseID(o.RequestPut.Lease)))
		case *pb.RequestOp_RequestDeleteRange:
			ops[i] = clientv3.OpDelete(string(o.RequestDeleteRange.Key))
		case *pb.RequestOp_RequestTxn:
			t := o.RequestTxn
			conditions := make([]clientv3.Cmp, len(t.Compare))
			for i, is := range t.Compare {
				conditions[i] = comparison(is)
			}
			ops[i] = clientv3.OpTxn(conditions, operations(t.Success), operations(t.Failure))
		}
	}
	return ops
}
