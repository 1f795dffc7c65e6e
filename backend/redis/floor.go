package redis

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/fencing"
)

// floor is what every token must exceed, on the server that a client is connected
// to: the server's time when the client first met this run of it.
//
// The quick way to a token is to count one up (lua/acquire_fast.lua). A server
// that was restarted from an older snapshot counts on from an old number, and
// would grant tokens a second time. But its restart has cut every connection, so
// that whatever is asked of it comes over a connection made since; and on each
// new connection, before anything else, the client looks at which run of the
// server it is, and at its clock. Counters are set to the clock when they begin
// and are counted up by less than one in a microsecond, so no token granted before
// the restart exceeds that time, and every good one granted since does.
//
// A client that was brought by the application may have connections that were made
// without us. Its floor stays zero, and makes the script look at the clock on
// each grant.
type floor struct {
	mu  sync.Mutex
	run string // the server's own name of its run

	at atomic.Pointer[floorValue]
}

type floorValue struct {
	token fencing.Token
	text  any // the same, as an argument of the script
}

func newFloor() *floor {
	f := &floor{}
	f.at.Store(&floorValue{text: "0"})
	return f
}

// onConnect is called with each connection before it is used.
func (f *floor) onConnect(ctx context.Context, cn *goredis.Conn) error {
	text, err := cn.Info(ctx, "server").Result()
	if err != nil {
		return err
	}
	info := parseInfo(text)
	now, err := strconv.ParseUint(info["server_time_usec"], 10, 63)
	if err != nil || info["run_id"] == "" {
		return errors.New("redis: INFO server tells no run_id or no server_time_usec")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if info["run_id"] != f.run {
		f.run = info["run_id"]
		f.at.Store(&floorValue{token: fencing.Token(now), text: info["server_time_usec"]})
	}
	return nil
}
