#!/usr/bin/env bash
# A client of a Redis Cluster is subscribed to a sharded channel. The slot of the channel moves to the other
# master, and then another client publishes to it.
#
# Guess: the server ends the subscription with "sunsubscribe", as documented, and the cluster client, which knows
# where the slot is now, subscribes again there; a few messages are lost meanwhile.
# Seen with go-redis 9.23.0 and Redis 7.0.15: the server does so, but the client never subscribes again. Within
# 10 s none of 100 messages comes; the channel of messages stays open, and there is no error. The same client publishes to
# the new master at once, and a new subscription hears everything.
#
# What follows for users of locks: who waits for a message from a cluster sleeps through every rebalancing, unless
# something else wakes him. Ask again by a timer, and subscribe anew when a slot has moved.
#
# Needs Go, bash, and apt on a system that has Redis 7.0.15 (Debian 12, Ubuntu 24.04); takes half a minute.
# Fails if that has changed.
set -euo pipefail
dir=$(mktemp -d)
cleanup() {
	local jobs
	jobs=$(jobs -p)
	[[ -z $jobs ]] || kill $jobs 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$dir"
}
trap cleanup EXIT
cd "$dir"
mkdir redis
(cd redis && apt-get download 'redis-tools=5:7.0.15*' libatomic1 libjemalloc2 liblzf1 >apt.log 2>&1) || { cat redis/apt.log; exit 1; }
for deb in redis/*.deb; do dpkg -x "$deb" redis; done
LD_LIBRARY_PATH=$(find "$dir/redis/usr/lib" -maxdepth 1 -name '*-linux-gnu')
export LD_LIBRARY_PATH
server() { (exec -a redis-server redis/usr/bin/redis-check-rdb "$@"); } # one program, and its name says what it does
cat >go.mod <<'MOD'
module sharded

go 1.26.0
MOD
cat >main.go <<'GO'
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const messages = 100

func main() {
	a, b, bus := os.Args[1], os.Args[2], os.Args[3]
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	from, to := node("127.0.0.1:"+a), node("127.0.0.1:"+b)
	must(from.Do(ctx, "cluster", "addslotsrange", 0, 16383).Err())
	must(from.Do(ctx, "cluster", "meet", "127.0.0.1", b, bus).Err())
	until(func() bool {
		x, err := to.ClusterSlots(ctx).Result()
		return err == nil && len(x) == 1
	})
	until(func() bool {
		x, err := to.ClusterInfo(ctx).Result()
		return err == nil && strings.HasPrefix(x, "cluster_state:ok")
	})

	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:" + a}})
	sub := cluster.SSubscribe(ctx, "turns")
	_, err := sub.Receive(ctx)
	must(err)
	heard := sub.Channel()
	must(cluster.SPublish(ctx, "turns", "before").Err())
	first := count(heard, 1, 5*time.Second)

	// The slot moves as the manual of CLUSTER SETSLOT says; it has no keys.
	slot := cluster.ClusterKeySlot(ctx, "turns").Val()
	source, target := from.Do(ctx, "cluster", "myid").Val(), to.Do(ctx, "cluster", "myid").Val()
	must(to.Do(ctx, "cluster", "setslot", slot, "importing", source).Err())
	must(from.Do(ctx, "cluster", "setslot", slot, "migrating", target).Err())
	must(to.Do(ctx, "cluster", "setslot", slot, "node", target).Err())
	must(from.Do(ctx, "cluster", "setslot", slot, "node", target).Err())
	until(func() bool { // the client learns by a publication where the slot is
		must(cluster.SPublish(ctx, "turns", "after").Err())
		owner, err := cluster.MasterForKey(ctx, "turns")
		return err == nil && owner.Options().Addr == "127.0.0.1:"+b
	})

	fresh := cluster.SSubscribe(ctx, "turns")
	_, err = fresh.Receive(ctx)
	must(err)
	also := fresh.Channel()
	for range messages {
		must(cluster.SPublish(ctx, "turns", "after").Err())
	}
	anew := count(also, messages, 5*time.Second)
	still := count(heard, messages, 10*time.Second)
	fmt.Printf("before the move: %d of 1; after it: the old subscription hears %d of %d, a new one %d\n", first, still, messages, anew)
	if first != 1 || still != 0 || anew != messages {
		os.Exit(1)
	}
}

func node(addr string) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: addr})
	until(func() bool { return c.Ping(context.Background()).Err() == nil })
	return c
}

// count is how many of want messages come in time.
func count(heard <-chan *redis.Message, want int, within time.Duration) (n int) {
	for end := time.After(within); n < want; n++ {
		select {
		case _, open := <-heard:
			if !open {
				must(errors.New("the subscription was closed"))
			}
		case <-end:
			return n
		}
	}
	return n
}

func until(ready func() bool) {
	for range 200 {
		if ready() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	must(errors.New("the servers are not ready"))
}

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
}
GO
export GOWORK=off GOFLAGS=-mod=mod CGO_ENABLED=0
go get github.com/redis/go-redis/v9@v9.23.0 >/dev/null 2>&1
go build -o sharded .
server --version
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
start() {
	mkdir "$1"
	server --bind 127.0.0.1 --port "$2" --cluster-port "$3" --dir "$1" --save '' --cluster-enabled yes >"$1.log" 2>&1 &
}
a=$(port) b=$(port) bus=$(port)
start node-a "$a" "$(port)"
start node-b "$b" "$bus"
timeout 90 ./sharded "$a" "$b" "$bus" || { echo "CHANGED, or it did not start"; tail -n 3 node-*.log; exit 1; }
