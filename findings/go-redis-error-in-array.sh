#!/usr/bin/env bash
# A Lua script returns an array of three: an error, and two numbers. It is sent in one pipeline with two more commands.
# An array may have errors among its elements: the protocol says so, and EXEC answers in this way.
#
# Guess: go-redis puts the error into the array, as it does with any error of the server: then all three commands have
# their own answers.
# Seen with go-redis 9.23.0 and Redis 7.0.15: so it is for an error that begins with ERR. One that go-redis has a Go
# type for (OOM, NOPERM, READONLY and others) ends the reading of the array in the middle; what is left of it is then
# taken for the answers to the commands that come next, each of which is off by two, without an error.
#
# What follows for users of locks: a script that answers for several locks must not put an error that a command of the
# script met (redis.pcall) into its reply as an error, only as a string.
#
# Needs bash, Go, and redis-server on PATH. It takes a few seconds. Fails if the answers are right.
set -euo pipefail
dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
port=$((20000 + RANDOM % 10000))
redis-server --port $port --bind 127.0.0.1 --save '' --dir "$dir" >server.log 2>&1 &

cat >go.mod <<'MOD'
module array

go 1.25.0

require github.com/redis/go-redis/v9 v9.23.0
MOD
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
)

func main() {
	ctx := context.Background()
	off := map[string]bool{}
	for _, prefix := range []string{"ERR", "OOM"} {
		c := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + os.Args[1], MaxRetries: -1})
		for range 100 {
			if c.Ping(ctx).Err() == nil {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		pipeline := c.Pipeline()
		array := pipeline.Eval(ctx, "return { redis.error_reply('"+prefix+" as a script met it'), 1, 2 }", nil)
		hello, world := pipeline.Echo(ctx, "hello"), pipeline.Echo(ctx, "world")
		_, _ = pipeline.Exec(ctx)
		fmt.Printf("%s: the array is %v (%v); ECHO hello: %q (%v), ECHO world: %q (%v)\n",
			prefix, array.Val(), array.Err(), hello.Val(), hello.Err(), world.Val(), world.Err())
		off[prefix] = hello.Val() != "hello" || world.Val() != "world"
		_ = c.Close()
	}
	if off["ERR"] || !off["OOM"] {
		fmt.Println("CHANGED: answers are off with ERR, or are right with OOM")
		os.Exit(1)
	}
}
GO
go mod tidy >tidy.log 2>&1 || { tail -n 5 tidy.log && exit 1; }
go run . $port
