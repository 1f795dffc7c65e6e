#!/usr/bin/env bash
# A Go program is stopped (SIGSTOP) for longer than the deadline of a context, and data comes on
# a socket meanwhile. When it goes on, who reads the socket looks at the context first thing.
#
# Guess: the context has ended, since its deadline passed more than a second ago.
# Seen with go1.26.8 on Linux 6.18, two processors: in 10 to 15 of 20 rounds ctx.Err() was nil and
# ctx.Done() open, while time.Now() was past ctx.Deadline() already: the runtime lets goroutines whose
# sockets are ready run before timers that are due. Shown with the standard library alone.
#
# What follows for users of locks: after a wait compare the clock with the deadline; a context
# that a timer ends says nothing yet.
#
# Needs Go and bash. Takes a minute. Fails if no round shows it any more.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >go.mod <<'MOD'
module stopped

go 1.25
MOD
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const (
	rounds   = 20
	deadline = time.Second
	stopped  = 2500 * time.Millisecond
)

// child reads one byte, and looks at a context whose deadline has passed by then.
func child(addr string) {
	conn, err := net.Dial("tcp", addr)
	must(err)
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	fmt.Println("ready")
	_, err = conn.Read(make([]byte, 1))
	must(err)
	due, _ := ctx.Deadline()
	late := time.Since(due)
	open := true
	select {
	case <-ctx.Done():
		open = false
	default:
	}
	fmt.Println(late > time.Second, open && ctx.Err() == nil)
}

func main() {
	if len(os.Args) > 1 {
		child(os.Args[1])
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	unaware := 0
	for range rounds {
		cmd := exec.Command(os.Args[0], l.Addr().String())
		out, err := cmd.StdoutPipe()
		must(err)
		must(cmd.Start())
		conn, err := l.Accept()
		must(err)
		var word string
		_, err = fmt.Fscan(out, &word)
		must(err)
		must(cmd.Process.Signal(syscall.SIGSTOP))
		time.Sleep(stopped / 2)
		_, err = conn.Write([]byte{1})
		must(err)
		time.Sleep(stopped / 2)
		must(cmd.Process.Signal(syscall.SIGCONT))
		var late, nothing bool
		_, err = fmt.Fscan(out, &late, &nothing)
		must(err)
		if late && nothing {
			unaware++
		}
		must(cmd.Wait())
		must(conn.Close())
	}
	fmt.Printf("%d of %d contexts said nothing, more than a second after their deadline\n", unaware, rounds)
	if unaware == 0 {
		os.Exit(1)
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
GO
go version
GOWORK=off go build -o stopped .
timeout 120 ./stopped || { echo "CHANGED: every context had ended at the first look"; exit 1; }
