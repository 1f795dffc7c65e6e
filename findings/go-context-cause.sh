#!/usr/bin/env bash
# A context of one's own finds out in its Err that it is over, and cancels then, with a cause. It is asked for its
# cause first.
#
# Guess: context.Cause gives the cause, as Err would have brought it about; or nil, if Cause asks nobody.
# Seen: with Go 1.25.0 and 1.25.9 Cause says "context canceled". It looks for a cause, finds none yet, and only then asks
# Err, which cancels. With Go 1.26.0, 1.26.8 and 1.27.3 it asks Err before, and gives the cause.
#
# What follows for users of locks: a process that was paused or suspended asks the context of its lease why it has
# ended. With Go 1.25 it is told of a loss if it asks Err first, and of any odd cancellation if it asks Cause.
#
# Needs Go 1.21 or later; it downloads Go 1.25.9 and 1.26.0 as modules. Fails if that has changed.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >go.mod <<'MOD'
module cause

go 1.25.0
MOD
cat >main.go <<'GO'
package main

import (
	"context"
	"errors"
	"fmt"
)

var errOver = errors.New("the lease is over")

type lease struct {
	context.Context
	end context.CancelCauseFunc
}

// Err looks at the clock, say.
func (l lease) Err() error {
	l.end(errOver)
	return l.Context.Err()
}

func main() {
	var l lease
	l.Context, l.end = context.WithCancelCause(context.Background())
	first := context.Cause(l)
	fmt.Printf("%v, and then %v\n", first, context.Cause(l))
}
GO
export GOWORK=off
failed=
with() { # a version of Go, and what is expected of it
	local seen
	seen=$(GOTOOLCHAIN=go$1 go run . 2>go.log) || { cat go.log; exit 1; }
	printf 'Go %s: %s\n' "$1" "$seen"
	[[ $seen == "$2" ]] || failed=1
}
with 1.25.9 'context canceled, and then the lease is over'
with 1.26.0 'the lease is over, and then the lease is over'
[[ -z $failed ]] || { echo CHANGED; exit 1; }
