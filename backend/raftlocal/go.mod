module github.com/fencelock/fencelock/backend/raftlocal

go 1.26.0

replace github.com/fencelock/fencelock => ../..

require (
	github.com/fencelock/fencelock v0.1.0
	go.etcd.io/raft/v3 v3.7.0
	go.uber.org/goleak v1.3.0
	google.golang.org/protobuf v1.36.11
)
