package etcdbench

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/fencelock/fencelock/bench/internal/contest"
)

// mutex is the lock in etcd's own client, with one session for each client as its examples have it.
func mutex(addr string) contest.Contestant {
	return contest.Contestant{
		Name:      mutexName,
		Bare:      true, // a lock of a session is a key and nothing else
		Renews:    true,
		Waits:     "is woken in order, by a watch on the one before",
		Reentrant: true, // its key is named after the session
		Open: func(_ context.Context, o contest.Options) (contest.Client, error) {
			c, err := connect(addr, o.Dial)
			if err != nil {
				return nil, err
			}
			s, err := concurrency.NewSession(c, concurrency.WithTTL(int(seconds(o.TTL))))
			if err != nil {
				_ = c.Close()
				return nil, err
			}
			return &mutexClient{etcd: c, session: s}, nil
		},
	}
}

type mutexClient struct {
	etcd    *clientv3.Client
	session *concurrency.Session
}

func (c *mutexClient) Lock(ctx context.Context, key string) (contest.Held, error) {
	m := concurrency.NewMutex(c.session, "bench-mutex/"+key)
	if err := m.Lock(ctx); err != nil {
		return nil, err
	}
	return mutexHeld{m}, nil
}

func (c *mutexClient) Close() error { return errors.Join(c.session.Close(), c.etcd.Close()) }

type mutexHeld struct{ *concurrency.Mutex }

func (h mutexHeld) Release(ctx context.Context) error { return h.Unlock(ctx) }

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
