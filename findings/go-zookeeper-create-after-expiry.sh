#!/usr/bin/env bash
# The servers of a go-zookeeper client (seven addresses) go silent: connections are accepted, and nothing is answered,
# until the session has expired. Meanwhile the program asks for an ephemeral node, once. Then they answer.
#
# Guess: the call fails with "zk: session has been expired by the server", as the session it was made in is gone.
# Seen with go-zookeeper 1.0.4 and ZooKeeper 3.8.0: the call succeeds. The connection has opened another session by
# itself, and the create that was still queued is carried out in that one. The node belongs to a session of which the
# program has not heard yet, and lives for as long as the process does.
#
# What follows for users of locks: a program that drops all that it held when it hears of the expiry (as the
# documentation of ZooKeeper says) leaves such a node behind, and nobody else gets that lock until the process ends.
# Compare the node's EphemeralOwner with the number of the session in which you began, and delete it if they differ.
#
# Needs bash, Go, Java, and Debian's apt, from which it takes libzookeeper-java into a temporary folder without
# installing it. It takes half a minute. Fails if the create fails.
set -euo pipefail
dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
mkdir -p debs/partial data
apt-get -qq -y --download-only --reinstall --no-install-recommends -o Dir::Cache::archives="$dir/debs" install libzookeeper-java >apt.log 2>&1 ||
	{ tail -n 5 apt.log && exit 1; }
for deb in debs/*.deb; do dpkg -x "$deb" root; done
port=$((20000 + RANDOM % 10000))
java -cp "root/usr/share/java/*" -Dzookeeper.admin.enableServer=false \
	org.apache.zookeeper.server.ZooKeeperServerMain $port data 1000 >server.log 2>&1 &

cat >go.mod <<'MOD'
module create

go 1.25.0

require github.com/go-zookeeper/zk v1.0.4
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
)

type quiet struct{}

func (quiet) Printf(string, ...any) {}

func main() {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts connections, and says nothing
	check(err)
	for round := 1; round <= 6; round++ {
		if shown := try(round, os.Args[1], silent.Addr().String()); shown {
			return
		}
	}
	fmt.Println("CHANGED: no create was carried out in another session than the one in which it was asked for")
	os.Exit(1)
}

func try(round int, port, silent string) (shown bool) {
	var cut atomic.Bool
	var last atomic.Pointer[net.Conn]
	var servers []string
	for i := 1; i <= 7; i++ {
		servers = append(servers, fmt.Sprintf("127.0.0.%d:%s", i, port))
	}
	c, events, err := zk.Connect(servers, 4*time.Second,
		zk.WithLogger(quiet{}), zk.WithDialer(func(network, addr string, timeout time.Duration) (net.Conn, error) {
			if cut.Load() {
				addr = silent
			}
			conn, err := net.DialTimeout(network, addr, timeout)
			if err == nil {
				last.Store(&conn)
			}
			return conn, err
		}))
	check(err)
	defer c.Close()
	for ev := range events {
		if ev.State == zk.StateHasSession {
			break
		}
	}
	go func() { // what an application hears of
		for range events {
		}
	}()
	before := c.SessionID()
	cut.Store(true)
	(*last.Load()).Close()
	time.AfterFunc(6*time.Second, func() { cut.Store(false) }) // the server ends the session after 4
	time.Sleep(500 * time.Millisecond)
	path := fmt.Sprintf("/lock%d", round)
	asked := c.SessionID()
	if _, err = c.Create(path, nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll)); err != nil {
		fmt.Printf("asked for in session %#x: %v\n", asked, err)
		return false
	}
	_, st, err := c.Get(path)
	check(err)
	fmt.Printf("asked for in session %#x, which then expired; the create succeeded, and its node belongs to session %#x\n", asked, st.EphemeralOwner)
	return asked == before && st.EphemeralOwner != before
}

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
GO
go mod tidy >/dev/null 2>&1
timeout 120 go run . "$port" || { tail -n 5 server.log && exit 1; }
