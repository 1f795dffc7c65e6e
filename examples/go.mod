module github.com/fencelock/fencelock/examples

go 1.26.0

require (
	github.com/fencelock/fencelock v0.1.0
	github.com/fencelock/fencelock/backend/etcd v0.1.0
	github.com/fencelock/fencelock/backend/redis v0.1.0
	github.com/fencelock/fencelock/backend/zookeeper v0.1.0
	github.com/fencelock/fencelock/examples/quickstart v0.1.0
	go.uber.org/goleak v1.3.0
)

require go.etcd.io/raft/v3 v3.7.0 // indirect

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/coreos/go-semver v0.3.1 // indirect
	github.com/coreos/go-systemd/v22 v22.7.0 // indirect
	github.com/fencelock/fencelock/backend/raftlocal v0.1.0
	github.com/go-zookeeper/zk v1.0.4 // indirect
	github.com/golang/protobuf v1.5.4 // indirect
	github.com/grpc-ecosystem/grpc-gateway/v2 v2.29.0 // indirect
	github.com/redis/go-redis/v9 v9.23.0 // indirect
	go.etcd.io/etcd/api/v3 v3.7.3 // indirect
	go.etcd.io/etcd/client/pkg/v3 v3.7.3 // indirect
	go.etcd.io/etcd/client/v3 v3.7.3 // indirect
	go.uber.org/atomic v1.12.0 // indirect
	go.uber.org/multierr v1.11.0 // indirect
	go.uber.org/zap v1.27.1 // indirect
	golang.org/x/net v0.61.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	google.golang.org/genproto/googleapis/api v0.0.0-20260803160001-6ac0973c030d // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260803160001-6ac0973c030d // indirect
	google.golang.org/grpc v1.83.2 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace github.com/fencelock/fencelock => ..

replace github.com/fencelock/fencelock/backend/redis => ../backend/redis

replace github.com/fencelock/fencelock/backend/etcd => ../backend/etcd

replace github.com/fencelock/fencelock/backend/zookeeper => ../backend/zookeeper

replace github.com/fencelock/fencelock/backend/raftlocal => ../backend/raftlocal

replace github.com/fencelock/fencelock/examples/quickstart => ./quickstart
