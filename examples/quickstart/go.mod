module github.com/fencelock/fencelock/examples/quickstart

go 1.26.0

require (
	github.com/fencelock/fencelock v0.1.0
	github.com/fencelock/fencelock/backend/raftlocal v0.1.0
	go.uber.org/goleak v1.3.0
)

require (
	go.etcd.io/raft/v3 v3.7.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace github.com/fencelock/fencelock => ../..

replace github.com/fencelock/fencelock/backend/raftlocal => ../../backend/raftlocal
