#!/usr/bin/env bash
# A lease of 9 s is kept alive through `etcd grpc-proxy`, and straight at the member beside it.
#
# Guess: the proxy passes each keep-alive on, so it answers as fast as the member, a hop later;
# and for a lease that does not exist it says what the member says, a TTL of 0.
# Seen with etcd 3.7.3: the proxy keeps leases alive in its own time, and answers everybody who has asked
# until then at once. The first keep-alive on a stream is answered within half a second, the next one on
# the same stream after a third of the TTL: 3.0 s. For lease 0 the member says a TTL of 0, the proxy -1.
#
# What follows for users of locks: a lease of one or two seconds is lost behind the proxy without any
# fault, and a time-out that suits a member is too short for it.
#
# Needs Go and bash; builds etcd, which takes a minute. Fails if that has changed.
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
mkdir etcd ask
cat >go.mod <<'MOD'
module proxied

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
cat >ask/main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const ttl = 9

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	member, proxy := ask(ctx, os.Args[1]), ask(ctx, os.Args[2])
	fmt.Printf("member: first %v, second %v; lease 0 has a TTL of %d\n", member.first, member.second, member.none)
	fmt.Printf("proxy:  first %v, second %v; lease 0 has a TTL of %d\n", proxy.first, proxy.second, proxy.none)
	if proxy.second < time.Second || member.second > time.Second || member.none != 0 || proxy.none != -1 {
		os.Exit(1)
	}
}

type answers struct {
	first, second time.Duration
	none          int64
}

func ask(ctx context.Context, addr string) (a answers) {
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(err)
	leases := pb.NewLeaseClient(conn)
	lease, err := leases.LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: ttl}, grpc.WaitForReady(true))
	must(err)
	stream, err := leases.LeaseKeepAlive(ctx)
	must(err)
	keep := func(id int64) (int64, time.Duration) {
		began := time.Now()
		must(stream.Send(&pb.LeaseKeepAliveRequest{ID: id}))
		answer, err := stream.Recv()
		must(err)
		return answer.TTL, time.Since(began).Round(time.Millisecond)
	}
	_, a.first = keep(lease.ID)
	_, a.second = keep(lease.ID)
	stream, err = leases.LeaseKeepAlive(ctx)
	must(err)
	a.none, _ = keep(0)
	return a
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
GO
export GOWORK=off GOFLAGS=-mod=mod CGO_ENABLED=0
go get go.etcd.io/etcd/server/v3@v3.7.3 go.etcd.io/etcd/api/v3@v3.7.3 >/dev/null 2>&1
go mod tidy >/dev/null 2>&1
go build -o bin/ ./etcd ./ask
bin/etcd --version | sed -n 1p # head would end it early, and so the script
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
client=$(port) peer=$(port) proxy=$(port)
bin/etcd --data-dir data --listen-client-urls "http://127.0.0.1:$client" --advertise-client-urls "http://127.0.0.1:$client" \
	--listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
	--initial-cluster "default=http://127.0.0.1:$peer" --log-level error >etcd.log 2>&1 &
bin/etcd grpc-proxy start --endpoints "127.0.0.1:$client" --listen-addr "127.0.0.1:$proxy" >proxy.log 2>&1 &
timeout 70 bin/ask "127.0.0.1:$client" "127.0.0.1:$proxy" || { echo "CHANGED, or it did not start:"; tail -n 3 etcd.log proxy.log; exit 1; }
