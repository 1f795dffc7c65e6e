package node

import (
	"context"
	"crypto/sha1" //nolint:gosec // Redis names scripts by their SHA-1
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/driver"
)

// Script is a Lua script and the name by which the server knows it.
type Script struct {
	source                string
	name                  any // a string, made an argument of a command once
	dedicated, idempotent bool
}

var evalsha any = "evalsha"

// NewScript makes a script of parts, each on lines of its own.
func NewScript(parts ...string) *Script {
	source := strings.Join(parts, "\n")
	sum := sha1.Sum([]byte(source)) //nolint:gosec // not a secret
	return &Script{source: source, name: hex.EncodeToString(sum[:])}
}

// Dedicated marks a script that has connections of its own, so that other requests, however many, do not
// delay it. Renewals are. Call it when the script is made; it returns the script.
func (s *Script) Dedicated() *Script {
	s.dedicated = true
	return s
}

// Idempotent marks a script that may be carried out twice: Eval sends it again if the connection was
// idle, and had been closed. Call it when the script is made; it returns the script.
func (s *Script) Idempotent() *Script {
	s.idempotent = true
	return s
}

// Source is the text of the script.
func (s *Script) Source() string { return s.source }

// Eval runs a script in one round trip; args are its keys, of which there are so many, and its
// arguments. The request has timeout for itself, and may have waited as long for a connection. A server
// that has forgotten the script (it was restarted, or somebody flushed its scripts) says so without
// having run it, and gets the source.
//
// The error is raw: see Classify. If ctx ends first, the outcome is not known.
func (n *Node) Eval(ctx context.Context, timeout time.Duration, s *Script, keys int, args ...any) (any, error) {
	pipeline := n.pipelineOf(s)
	words := s.words(keys, args)
	cmd := goredis.NewCmd(ctx, words...)
	err := pipeline.do(ctx, timeout, cmd)
	if s.idempotent && errors.Is(err, ErrStale) {
		cmd = goredis.NewCmd(ctx, words...)
		err = pipeline.do(ctx, timeout, cmd)
	}
	if err != nil && isUnknownScript(err) {
		cmd = goredis.NewCmd(ctx, s.inFull(keys, args)...)
		err = pipeline.do(ctx, timeout, cmd)
	}
	if err != nil {
		return nil, err // cmd may still be under way: do not look at it
	}
	return cmd.Val(), nil
}

// outcome is what Call.Done gets.
type outcome struct {
	reply any
	err   error
}

// EvalThen runs a call's script, and then another call on the same connection, in the same write. It returns the outcome
// of the first when both have theirs; Done of the second has been called then. The error is raw: see Classify; a nil reply
// is none. If ctx ends first, the outcome is not known, and Done of the second may be called later.
func (n *Node) EvalThen(ctx context.Context, then, c *Call) (any, error) {
	ended := make(chan outcome, 1)
	go func() { // it ends in its time, or with the node
		var first outcome
		c.Ctx, c.Done = ctx, func(reply any, err error) { first = outcome{reply, err} }
		n.EvalAll([]*Call{c, then})
		ended <- first
	}()
	select {
	case o := <-ended:
		return o.reply, o.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// EvalAsking is Eval at the server that another's ASK has named; see Call.Asking. Unlike with Eval, a nil reply is
// no error.
func (n *Node) EvalAsking(ctx context.Context, timeout time.Duration, s *Script, keys int, args ...any) (any, error) {
	ended := make(chan outcome, 1)
	n.Go(&Call{
		Ctx: ctx, Timeout: timeout, Script: s, Keys: keys, Args: args, Asking: true,
		Done: func(reply any, err error) { ended <- outcome{reply, err} },
	})
	select {
	case o := <-ended:
		return o.reply, o.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Do runs a command that may be carried out twice, in one round trip: it sends the command again if the
// connection was idle, and had been closed. timeout is as for Eval. The error is raw: see Classify.
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

// Once runs a command that must not be carried out twice, in one round trip. Unlike Do it does not send the
// command again: ErrStale is the caller's to resolve. A nil reply is the error goredis.Nil. timeout is as for
// Eval. The error is raw: see Classify. If ctx ends first, the outcome is not known.
func (n *Node) Once(ctx context.Context, timeout time.Duration, words ...any) (any, error) {
	cmd := goredis.NewCmd(ctx, words...)
	if err := n.calls.do(ctx, timeout, cmd); err != nil {
		return nil, err // cmd may still be under way: do not look at it
	}
	return cmd.Val(), nil
}

// words is the command that runs a script which the server knows.
func (s *Script) words(keys int, args []any) []any {
	return append(append(make([]any, 0, 3+len(args)), evalsha, s.name, keys), args...)
}

// inFull is the command that runs a script, and makes it known.
func (s *Script) inFull(keys int, args []any) []any {
	return append(append(make([]any, 0, 3+len(args)), "eval", s.source, keys), args...)
}

func isUnknownScript(err error) bool { return goredis.HasErrorPrefix(err, "NOSCRIPT") }

// Permissions are what Prepare asks the server about.
type Permissions struct {
	// Script returns a list of the commands that would be refused: '-' and the name of one that is not
	// allowed, '?' and the name of one that the server does not know. '+' and a name are no refusal: the
	// server knows that command, which is of use and not needed, and allows it; see Features. Its
	// arguments are Args and the number of the database.
	Script *Script
	Args   []any

	// What to allow, for the error: Keys, as "~fencelock:*", where KeyCommands or more of the commands
	// that name a key are refused; Channels, as "&fencelock:c:*", where publish or subscribe is.
	Keys, Channels string
	KeyCommands    int
}

// Prepare makes scripts known to the server, and asks it whether all that they and the recipe need is
// allowed: one round trip. Otherwise the first Unlock would find out, or the first attempt after a
// holder that has died. The error has been through Classify.
func (n *Node) Prepare(ctx context.Context, scripts []*Script, p Permissions) error {
	return n.withConn(ctx, func(client *goredis.Client) error {
		pipeline := client.Pipeline()
		loads := make([]*goredis.StringCmd, 0, len(scripts)+1)
		for _, s := range append([]*Script{p.Script}, scripts...) {
			loads = append(loads, pipeline.ScriptLoad(ctx, s.source))
		}
		words := append([]any{evalsha, p.Script.name, 0}, p.Args...)
		asked := pipeline.Do(ctx, append(words, client.Options().DB)...)
		_, _ = pipeline.Exec(ctx) // each command has its own error
		for _, l := range loads {
			if err := l.Err(); err != nil {
				return fmt.Errorf("loading the scripts (SCRIPT LOAD): %w", Classify(ctx, err))
			}
		}
		refused, err := asked.StringSlice()
		if err != nil {
			return fmt.Errorf("running a script (EVALSHA): %w", Classify(ctx, err))
		}
		n.features.Store(featuresOf(refused))
		return p.judge(refused)
	})
}

// judge makes an error of what the script has found, with what to do about it.
func (p Permissions) judge(refused []string) error {
	var unknown, allow []string
	var channel bool
	keys := 0
	for _, r := range refused {
		command := r[1:]
		switch {
		case r[0] == '+':
			continue
		case r[0] == '?':
			unknown = append(unknown, command)
			continue
		case command == "subscribe", command == "publish":
			channel = true
		case !slices.Contains([]string{"time", "ping", "select", "asking"}, command):
			keys++
		}
		allow = append(allow, "+"+command)
	}
	if len(unknown) > 0 {
		return fmt.Errorf("%w: the server does not know %s (rename-command?), and locks need it",
			driver.ErrRefused, strings.Join(unknown, ", "))
	}
	if len(allow) == 0 {
		return nil
	}
	if channel {
		allow = append(allow, p.Channels)
	}
	if keys >= p.KeyCommands { // rather than each command with one
		allow = append([]string{p.Keys}, allow...)
	}
	return fmt.Errorf("%w: NOPERM: locks need what the server does not allow to this user: ACL SETUSER … %s",
		driver.ErrRefused, strings.Join(allow, " "))
}
