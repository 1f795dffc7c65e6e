#!/usr/bin/env bash
# A go-redis client is made for a host name: as it comes, and with everything switched off that might need the
# name (RESP2, maintenance notifications disabled). Its Dialer is the application's own, and needs no name either.
#
# Guess: making a client does nothing on the network. That begins with the first command, under its context.
# Seen with go-redis 9.23.0 (Go 1.26): redis.NewClient itself looks the name up, to tell whether the server is
# "internal". If the name server does not answer, it blocks for 2 s, which no context and none of the time-outs of
# redis.Options shorten. It does not when maintenance notifications are disabled. 9.22.0 looks the name up even
# then, unless an EndpointType is set as well.
#
# What follows for users of locks: a program that makes a client for each try of a lock, or for each tenant, waits
# for the name server each time; and a test with a fake Dialer and a made-up name asks the real one. In a bubble of
# testing/synctest that may be a panic: the resolver's semaphore belongs to another bubble.
#
# Needs bash, Go 1.26 and its module proxy. Takes some seconds. Fails if that has changed.
set -euo pipefail
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
cat >main.go <<'GO'
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

func main() {
	var asked atomic.Int32
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		asked.Add(1)
		<-ctx.Done() // a name server that does not answer
		return nil, ctx.Err()
	}}
	changed := false
	old := os.Args[1] == "v9.22.0"
	for _, c := range []struct {
		name     string
		addr     string
		protocol int
		config   *maintnotifications.Config
		lookup   bool
	}{
		{"a name, all as it comes", "redis.example.internal:6379", 0, nil, true},
		{"a name, disabled", "redis.example.internal:6379", 2, &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}, old},
		{"a name, disabled, no type", "redis.example.internal:6379", 2, &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled, EndpointType: maintnotifications.EndpointTypeNone,
		}, false},
		{"an address", "192.0.2.1:6379", 0, nil, false},
	} {
		before, began := asked.Load(), time.Now()
		client := redis.NewClient(&redis.Options{
			Addr:     c.addr,
			Protocol: c.protocol,
			Dialer: func(context.Context, string, string) (net.Conn, error) {
				return nil, errors.New("not dialled")
			},
			MaintNotificationsConfig: c.config,
		})
		took := time.Since(began)
		looked := asked.Load() > before
		fmt.Printf("%-28s asked a name server: %-5v blocked: %v\n", c.name, looked, took.Round(time.Second))
		changed = changed || looked != c.lookup || (took >= time.Second) != c.lookup
		_ = client.Close()
	}
	if changed {
		fmt.Println("CHANGED")
		os.Exit(1)
	}
}
GO
for version in v9.22.0 v9.23.0; do
	cat >go.mod <<MOD
module finding

go 1.26.0

require github.com/redis/go-redis/v9 $version
MOD
	rm -f go.sum
	GOFLAGS=-mod=mod GOWORK=off go mod tidy >tidy.log 2>&1 || { cat tidy.log; exit 1; }
	echo "go-redis $version"
	GOWORK=off go run . "$version"
done
