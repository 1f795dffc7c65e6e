// Command anyserver is the quickstart on any server: the same package, with every backend
// imported. The URL chooses, and nothing else in the program knows which it is.
//
//	FENCELOCK_URL=redis://localhost:6379 go run ./examples/anyserver
//	FENCELOCK_URL=redis+sentinel://localhost:26379,localhost:26380,localhost:26381/mymaster go run ./examples/anyserver
//	FENCELOCK_URL=redis+cluster://localhost:7001,localhost:7002,localhost:7003 go run ./examples/anyserver
//	FENCELOCK_URL=etcd://localhost:2379 go run ./examples/anyserver
//	FENCELOCK_URL=zookeeper://localhost:2181 go run ./examples/anyserver
//	FENCELOCK_URL=redlock://localhost:6381,localhost:6382,localhost:6383 go run ./examples/anyserver
//
// Without a URL the locks are in a directory. More URLs, and a compose file that starts the
// servers, are in docs/try.md.
package main

import (
	"os"

	_ "github.com/fencelock/fencelock/backend/etcd"          // etcd://, etcds://
	_ "github.com/fencelock/fencelock/backend/raftlocal"     // raft://
	_ "github.com/fencelock/fencelock/backend/redis"         // redis://, redis+sentinel://, redis+cluster://, with TLS rediss…; unix://
	_ "github.com/fencelock/fencelock/backend/redis/redlock" // redlock://, redlocks://
	_ "github.com/fencelock/fencelock/backend/zookeeper"     // zookeeper://, zookeepers://
	"github.com/fencelock/fencelock/examples/quickstart/latewrite"
)

func main() { latewrite.Main(os.Getenv("FENCELOCK_URL")) }
