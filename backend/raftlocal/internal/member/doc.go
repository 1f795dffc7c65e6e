// Package member is one member of a cluster: the log, the state machine and the consensus of
// go.etcd.io/raft between them. It starts no goroutine and reads no clock.
package member

import (
	_ "go.etcd.io/raft/v3"
	_ "google.golang.org/protobuf/proto"
)
