#!/usr/bin/env bash
# The leader of three etcd members is stopped (SIGSTOP) for two TTLs, and goes on. Meanwhile another leads,
# and a client keeps ten leases alive with it, each every half second.
#
# Guess: nothing happens. The old leader learns of its successor with the first message that it reads, and one that
# leads no more ends no leases: a check for that was added after etcd's issue 15247.
# Seen with etcd 3.7.3: in about every third round nearly all leases end at once, although the answer to the last
# keep-alive, half a second before, was the full TTL. The check asks whether the member has been active of late, and
# it has just become so. The same with 3.5.30 and 3.6.16.
#
# What follows for users of locks: a virtual machine that is moved or suspended is enough to end leases that live, so
# with etcd, too, the resource has to compare fencing tokens. Who watches his own key learns of it at once; who waits for
# his next keep-alive, up to a third of a TTL later.
#
# Needs Go and bash; builds etcd, which takes a minute, and stops a leader up to 15 times, 12 s each. Fails if no
# round shows it any more.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
mkdir etcd
cat >go.mod <<'MOD'
module paused

go 1.26.0
MOD
cat >etcd/main.go <<'GO'
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
GO
cat >main.go <<'GO'
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	members = 3
	leases  = 10
	ttl     = 5 // seconds
	rounds  = 15
)

type member struct {
	addr    string
	process *os.Process
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 6*time.Minute)
	defer cancel()
	all := start()
	defer func() {
		for _, m := range all {
			_ = m.process.Kill()
			_, _ = m.process.Wait()
		}
	}()
	for round := range rounds {
		ended := try(ctx, all)
		fmt.Printf("round %d: %d of %d leases ended, all of them kept alive half a second before\n", round+1, ended, leases)
		if ended > 0 {
			return
		}
	}
	fmt.Println("CHANGED: no lease ended")
	for _, m := range all {
		_ = m.process.Kill()
	}
	os.Exit(1)
}

func try(ctx context.Context, all []member) (ended int) {
	leader, others := roles(ctx, all)
	c := client(others...)
	defer c.Close()
	var ids [leases]clientv3.LeaseID
	for i := range ids {
		lease, err := c.Grant(ctx, ttl)
		must(err)
		ids[i] = lease.ID
	}
	must(leader.process.Signal(syscall.SIGSTOP))
	alive, _ := keepAlive(ctx, c, ids[:], 2*ttl*time.Second)
	must(leader.process.Signal(syscall.SIGCONT))
	if alive != leases {
		fmt.Printf("only %d leases outlived the election, so this round says nothing: ", alive)
		return 0
	}
	_, ended = keepAlive(ctx, c, ids[:], 2*time.Second)
	return ended
}

// keepAlive keeps leases alive for some time, with a stream of its own each time, and says of how many the
// last answer was that they live, and of how many that there is no such lease.
func keepAlive(ctx context.Context, c *clientv3.Client, ids []clientv3.LeaseID, d time.Duration) (alive, ended int) {
	var lives, gone atomic.Int32
	var all sync.WaitGroup
	for _, id := range ids {
		all.Go(func() {
			var last error
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
				ask, cancel := context.WithTimeout(ctx, time.Second)
				_, last = c.KeepAliveOnce(ask, id)
				cancel()
			}
			switch {
			case last == nil:
				lives.Add(1)
			case errors.Is(last, rpctypes.ErrLeaseNotFound):
				gone.Add(1)
			}
		})
	}
	all.Wait()
	return int(lives.Load()), int(gone.Load())
}

func start() (all []member) {
	var peers []string
	var names []string
	for i := range members {
		peers = append(peers, "http://"+free())
		names = append(names, fmt.Sprintf("m%d=%s", i, peers[i]))
	}
	for i := range members {
		addr := free()
		cmd := exec.Command("bin/etcd", "--name", fmt.Sprintf("m%d", i), "--data-dir", fmt.Sprintf("data%d", i), "--log-level", "error",
			"--listen-client-urls", "http://"+addr, "--advertise-client-urls", "http://"+addr,
			"--listen-peer-urls", peers[i], "--initial-advertise-peer-urls", peers[i], "--initial-cluster", strings.Join(names, ","))
		must(cmd.Start())
		all = append(all, member{addr, cmd.Process})
	}
	return all
}

// roles says who leads, and the addresses of the others.
func roles(ctx context.Context, all []member) (leader member, others []string) {
	for {
		leaders := 0
		others = nil
		for _, m := range all {
			c := client(m.addr)
			ask, cancel := context.WithTimeout(ctx, 5*time.Second)
			status, err := c.Status(ask, m.addr)
			cancel()
			_ = c.Close()
			switch {
			case err == nil && status.Leader == status.Header.MemberId:
				leader = m
				leaders++
			case err == nil:
				others = append(others, m.addr)
			}
		}
		if leaders == 1 && len(others) == members-1 {
			return leader, others
		}
		must(ctx.Err())
		time.Sleep(100 * time.Millisecond)
	}
}

func client(addrs ...string) *clientv3.Client {
	c, err := clientv3.New(clientv3.Config{Endpoints: addrs, Logger: zap.NewNop()})
	must(err)
	return c
}

func free() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	defer l.Close()
	return l.Addr().String()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
GO
export GOWORK=off GOFLAGS=-mod=mod CGO_ENABLED=0
go get go.etcd.io/etcd/server/v3@v3.7.3 go.etcd.io/etcd/client/v3@v3.7.3 go.etcd.io/etcd/api/v3@v3.7.3 >/dev/null 2>&1
go mod tidy >/dev/null 2>&1
go build -o bin/ ./etcd .
bin/etcd --version | sed -n 1p # head would end it early, and so the script
bin/paused
