package fleet

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/script"
)

//go:embed lua/observe.lua
var observeLua string

//go:embed lua/claim.lua
var claimLua string

//go:embed lua/adopt.lua
var adoptLua string

//go:embed lua/counters.lua
var countersLua string

var (
	observeScript  = node.NewScript(observeLua).Idempotent()
	claimScript    = node.NewScript(claimLua).Idempotent()
	adoptScript    = node.NewScript(adoptLua)
	countersScript = node.NewScript(countersLua).Idempotent()

	ownScripts = []*node.Script{observeScript, claimScript, adoptScript, countersScript}
)

// askTimeout bounds each question to a node that has a connection, or can have one.
const askTimeout = 2 * time.Second

// counters are the highest counts of the shards; zero where there is none.
type counters [script.Shards]uint64

// raise records other counters, where they are higher.
func (c *counters) raise(other counters) {
	for i := range c {
		c[i] = max(c[i], other[i])
	}
}

// asker asks one server.
type asker struct {
	server Server
	prefix string // of all names
}

func (a asker) eval(ctx context.Context, s *node.Script, args ...any) (any, error) {
	reply, err := a.server.Eval(ctx, askTimeout, s, 0, append([]any{a.prefix}, args...)...)
	if err != nil {
		return nil, node.Classify(ctx, err)
	}
	return reply, nil
}

// look finds out all about a server that a client has to know. It never returns an error but in the observation.
func (a asker) look(ctx context.Context) observation {
	told, err := a.server.Look(ctx)
	if err != nil {
		return observation{seen: true, err: err}
	}
	s := observation{seen: true, run: told.RunID, err: told.Unusable, weak: told.Weak}
	if s.err == nil && s.run == "" {
		s.err = lasting("the server does not tell its run_id (INFO server), by which a restart is noticed")
	}
	if s.err != nil {
		return s
	}
	reply, err := a.eval(ctx, observeScript)
	if err != nil {
		return observation{seen: true, run: s.run, err: err}
	}
	words, err := stringsOf(reply, 4)
	if err == nil && words[0] != s.run {
		err = passing("the server has just been restarted")
	}
	if err == nil {
		s.list, err = parseList(words[2])
	}
	if err == nil {
		s.cert, err = parseRecord(words[3])
	}
	if err != nil {
		return observation{seen: true, run: s.run, err: err}
	}
	s.id = words[1]
	return s
}

// claim gives a server an identity, if it has none, and returns the one that it has.
func (a asker) claim(ctx context.Context, identity string) (string, error) {
	reply, err := a.eval(ctx, claimScript, identity)
	if err != nil {
		return "", err
	}
	id, ok := reply.(string)
	if !ok || id == "" {
		return "", unexpected(reply)
	}
	return id, nil
}

// adopt makes of a server what a step says, if it is what was seen. It reports whether it was.
func (a asker) adopt(ctx context.Context, saw observation, st step, raise counters) (bool, error) {
	listText := ""
	if saw.list != nil {
		listText = saw.list.text
	}
	args := []any{saw.run, saw.id, listText, saw.cert.String(), st.id, st.list.text, st.cert.String()}
	for shard, count := range raise {
		if count > 0 {
			args = append(args, shard, strconv.FormatUint(count, 10))
		}
	}
	reply, err := a.eval(ctx, adoptScript, args...)
	if err != nil {
		return false, err
	}
	return reply == int64(1), nil
}

// read reads the counters of a server, if its record is the given one, or whichever it is if that is zero.
func (a asker) read(ctx context.Context, cert record) (c counters, err error) {
	reply, err := a.eval(ctx, countersScript, cert.String(), script.Shards)
	if err != nil {
		return c, err
	}
	list, ok := reply.([]any)
	if reply == int64(0) {
		return c, passing("the node has changed meanwhile")
	}
	if !ok || len(list) != len(c) {
		return c, unexpected(reply)
	}
	for i, v := range list {
		text, ok := v.(string)
		if !ok {
			continue
		}
		if c[i], err = strconv.ParseUint(text, 10, 64); err != nil {
			return c, lasting("counter %d of the node is no number: %q", i, text)
		}
	}
	return c, nil
}

func stringsOf(reply any, n int) ([]string, error) {
	list, ok := reply.([]any)
	if !ok || len(list) != n {
		return nil, unexpected(reply)
	}
	words := make([]string, n)
	for i, v := range list {
		words[i], ok = v.(string)
		if !ok {
			return nil, unexpected(reply)
		}
	}
	return words, nil
}

func unexpected(reply any) error {
	text := fmt.Sprint(reply)
	return lasting("the server gives an unexpected reply to a script: %s", strings.TrimSpace(text[:min(len(text), 100)]))
}
