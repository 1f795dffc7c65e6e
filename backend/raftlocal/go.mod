module github.com/fencelock/fencelock/backend/raftlocal

go 1.26.0

replace github.com/fencelock/fencelock => ../..

require (
	github.com/fencelock/fencelock v0.0.0-00010101000000-000000000000
	go.etcd.io/raft/v3 v3.7.0
	go.uber.org/goleak v1.3.0
	google.golang.org/protobuf v1.36.12
)
