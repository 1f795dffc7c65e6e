package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
)

// checkServer looks at what kind of server it is and how it is set. It refuses
// what cannot work, and with durable whatever could lose a grant; it returns a
// sentence for each setting that weakens the promise.
func checkServer(ctx context.Context, client *goredis.Client, durable bool) (warnings []string, err error) {
	text, err := client.Info(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("asking the server about itself: %w", fault(ctx, err))
	}
	s := settings{info: parseInfo(text)}
	if err := s.usable(); err != nil {
		return nil, err
	}
	s.appendfsync, s.fsyncKnown = configGet(ctx, client, "appendfsync")
	s.noFsyncOnRewrite, s.rewriteKnown = configGet(ctx, client, "no-appendfsync-on-rewrite")
	if weak := s.notDurable(); durable && weak != "" {
		return nil, fmt.Errorf("%w: durable=true, but %s", fencelock.ErrUnsupported, weak)
	}
	return s.warnings(), nil
}

type settings struct {
	info                          map[string]string
	appendfsync, noFsyncOnRewrite string
	fsyncKnown, rewriteKnown      bool // CONFIG GET may be forbidden
}

func (s settings) usable() error {
	version := s.info["redis_version"] // Valkey tells the Redis version that it speaks
	major, _ := strconv.Atoi(strings.SplitN(version, ".", 2)[0])
	switch {
	case major < 7:
		return fmt.Errorf("%w: the server is Redis %s; 7.0 is the oldest that works", fencelock.ErrUnsupported, version)
	case s.info["role"] != "master":
		return fmt.Errorf("%w: the server is a %s, and takes no writes; connect to its master",
			fencelock.ErrUnsupported, s.info["role"])
	case s.info["redis_mode"] == "cluster":
		return fmt.Errorf("%w: the server is part of a Cluster; this backend takes a single server", fencelock.ErrUnsupported)
	}
	return nil
}

func (s settings) evicts() bool {
	policy := s.info["maxmemory_policy"]
	return policy != "" && policy != "noeviction" && s.info["maxmemory"] != "0"
}

// notDurable says what keeps the server from keeping every grant through a crash.
func (s settings) notDurable() string {
	switch {
	case s.info["aof_enabled"] != "1":
		return "the server keeps no append-only file: set appendonly yes"
	case !s.fsyncKnown || !s.rewriteKnown:
		return "the server does not tell its settings: allow CONFIG GET"
	case s.appendfsync != "always":
		return "the server may lose what it has answered: set appendfsync always, it is " + s.appendfsync
	case s.noFsyncOnRewrite != "no":
		return "the server does not sync while it rewrites its file: set no-appendfsync-on-rewrite no"
	case s.evicts():
		return "the server deletes locks when memory is short: set maxmemory-policy noeviction, it is " + s.info["maxmemory_policy"]
	}
	return ""
}

func (s settings) warnings() (w []string) {
	if s.evicts() {
		w = append(w, "the server deletes keys, locks among them, when memory is short (maxmemory-policy "+
			s.info["maxmemory_policy"]+"); set noeviction")
	}
	if s.info["aof_enabled"] != "1" {
		w = append(w, "the server keeps no append-only file, so a restart frees every lock; holders are told, "+
			"tokens keep rising, but two holders may overlap until then")
	} else if s.fsyncKnown && s.appendfsync != "always" {
		w = append(w, "the server syncs its file now and then (appendfsync "+s.appendfsync+
			"), so a crash may free locks of the last second")
	}
	if n, _ := strconv.Atoi(s.info["connected_slaves"]); n > 0 {
		w = append(w, "the server has replicas; a fail-over to one of them may lose locks, as replication is asynchronous")
	}
	return w
}

// configGet reads a setting; ok is false if the server does not tell.
func configGet(ctx context.Context, client *goredis.Client, name string) (value string, ok bool) {
	m, err := client.ConfigGet(ctx, name).Result()
	if err != nil {
		return "", false
	}
	value, ok = m[name]
	return value, ok
}

// parseInfo reads the lines "name:value" of INFO.
func parseInfo(text string) map[string]string {
	m := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			m[name] = value
		}
	}
	return m
}
