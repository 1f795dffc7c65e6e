package etcd_test

import (
	"bytes"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/fencelock/fencelock/integration/internal/proxy"
)

// What the backend asks for, by kind, for the proxy to lose or hold: claims make a
// claim, looks ask where it stands, checks whether grants are still there, watches
// begin to watch a claim, leases make a session.
var (
	claims = txn(func(r *pb.TxnRequest) bool {
		for _, op := range r.Success {
			if bytes.Contains(op.GetRequestPut().GetKey(), []byte("/locks/")) {
				return true
			}
		}
		return false
	})
	checks = txn(func(r *pb.TxnRequest) bool {
		return len(r.Compare) == 0 && len(r.Success) > 0 &&
			bytes.Contains(r.Success[0].GetRequestRange().GetKey(), []byte("/locks/"))
	})
	releases = txn(func(r *pb.TxnRequest) bool {
		for _, op := range r.Success {
			if op.GetRequestDeleteRange() != nil {
				return true
			}
		}
		return false
	})
	looks   = proxy.Method("/etcdserverpb.KV/Range", "/locks/")
	watches = proxy.Method("/etcdserverpb.Watch/Watch", "/locks/")
	leases  = proxy.Method("/etcdserverpb.Lease/LeaseGrant")
)

func txn(match func(*pb.TxnRequest) bool) func(request []byte) bool {
	return func(request []byte) bool {
		if proxy.MethodOf(request) != "/etcdserverpb.KV/Txn" {
			return false
		}
		var r pb.TxnRequest
		return proto.Unmarshal(proxy.Payload(request), &r) == nil && match(&r)
	}
}
