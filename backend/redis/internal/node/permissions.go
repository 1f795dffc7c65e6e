package node

import (
	"context"
	"fmt"
	"slices"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/driver"
)

// Permissions are what Prepare asks the server about.
type Permissions struct {
	// Script returns a list of the commands that would be refused: '-' and the name of one that is not
	// allowed, '?' and the name of one that the server does not know. Its arguments are Args and
	// the number of the database.
	Script *Script
	Args   []any

	// What to allow, for the error: Keys, as "~fencelock:*", where KeyCommands or more of the commands
	// that name a key are refused; Channels, as "&fencelock:c:*", where publish or subscribe is.
	Keys, Channels string
	KeyCommands    int
}

// Prepare makes scripts known to the server, and asks it whether all that they and the recipe need is
// allowed: one round trip. Otherwise the first Unlock would find out, or the first that comes after a
// holder who has died. The error has been sorted by Fault.
func (n *Node) Prepare(ctx context.Context, scripts []*Script, p Permissions) error {
	return n.with(ctx, func(client *goredis.Client) error {
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
		case r[0] == '?':
			unknown = append(unknown, command)
			continue
		case command == "subscribe", command == "publish":
			channel = true
		case !slices.Contains([]string{"time", "ping", "select"}, command):
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
