package etcdbench

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/fencelock/fencelock/bench/internal/contest"
)

// errGone says that the lock was not ours any more when it was released.
var errGone = errors.New("released a lock that was not held")

// connect opens a client as its documentation does: one connection, which all its goroutines share.
func connect(addr string, dial contest.Dialer) (*clientv3.Client, error) {
	conf := clientv3.Config{Endpoints: strings.Split(addr, ","), DialTimeout: 5 * time.Second, Logger: zap.NewNop()}
	if dial != nil {
		conf.DialOptions = append(conf.DialOptions, grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return dial(ctx, "tcp", strings.TrimPrefix(address, "http://"))
		}))
	}
	return clientv3.New(conf)
}

// seconds is a TTL as etcd takes it.
func seconds(ttl time.Duration) int64 { return int64((ttl + time.Second - 1) / time.Second) }
