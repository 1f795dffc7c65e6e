package node

import (
	"context"
	"crypto/sha1" //nolint:gosec // Redis names scripts by their SHA-1
	"encoding/hex"
	"errors"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Script is a Lua script and the name by which the server knows it.
type Script struct {
	source       string
	name         any // a string, made an argument of a command once
	apart, twice bool
}

var evalsha any = "evalsha"

// NewScript makes a script of parts, each on lines of its own.
func NewScript(parts ...string) *Script {
	source := strings.Join(parts, "\n")
	sum := sha1.Sum([]byte(source)) //nolint:gosec // not a secret
	return &Script{source: source, name: hex.EncodeToString(sum[:])}
}

// Dedicated marks a script that has connections of its own, so that other requests, however many, do not
// delay it: a renewal. It returns the script, and is for when it is made.
func (s *Script) Dedicated() *Script {
	s.apart = true
	return s
}

// Idempotent marks a script that may be carried out twice: Eval sends it again if the connection was idle,
// and closed. It returns the script, and is for when it is made.
func (s *Script) Idempotent() *Script {
	s.twice = true
	return s
}

// Source is the text of the script.
func (s *Script) Source() string { return s.source }

// Eval runs a script in one round trip; args are its keys, of which there are so many, and its
// arguments. The request has timeout for itself, and may have waited as long for a connection. A server
// that has forgotten the script (it was restarted, or somebody flushed its scripts) says so without
// having run it, and gets the source.
//
// The error is raw: see Fault. If ctx ends first, the outcome is not known.
func (n *Node) Eval(ctx context.Context, timeout time.Duration, s *Script, keys int, args ...any) (any, error) {
	pipe := n.pipeOf(s)
	words := s.words(keys, args)
	cmd := goredis.NewCmd(ctx, words...)
	err := pipe.do(ctx, timeout, cmd)
	if s.twice && errors.Is(err, ErrStale) {
		cmd = goredis.NewCmd(ctx, words...)
		err = pipe.do(ctx, timeout, cmd)
	}
	if err != nil && isUnknownScript(err) {
		cmd = goredis.NewCmd(ctx, s.inFull(keys, args)...)
		err = pipe.do(ctx, timeout, cmd)
	}
	if err != nil {
		return nil, err // cmd may still be under way: do not look at it
	}
	return cmd.Val(), nil
}

// Do runs a command in one round trip, twice where the connection was idle, and closed: so it is one that
// may be carried out twice. It has a timeout as Eval has. The error is raw: see Classify.
func (n *Node) Do(ctx context.Context, timeout time.Duration, words ...any) (any, error) {
	cmd := goredis.NewCmd(ctx, words...)
	err := n.calls.do(ctx, timeout, cmd)
	if errors.Is(err, ErrStale) {
		cmd = goredis.NewCmd(ctx, words...)
		err = n.calls.do(ctx, timeout, cmd)
	}
	if err != nil {
		return nil, err // cmd may still be under way: do not look at it
	}
	return cmd.Val(), nil
}

// words are the command that runs a script which the server knows.
func (s *Script) words(keys int, args []any) []any {
	return append(append(make([]any, 0, 3+len(args)), evalsha, s.name, keys), args...)
}

// inFull are the command that runs a script, and makes it known.
func (s *Script) inFull(keys int, args []any) []any {
	return append(append(make([]any, 0, 3+len(args)), "eval", s.source, keys), args...)
}

func isUnknownScript(err error) bool { return goredis.HasErrorPrefix(err, "NOSCRIPT") }
