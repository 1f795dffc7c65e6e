package redis

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/fencelock/fencelock"
)

func TestParseInfo(t *testing.T) {
	got := parseInfo("# Server\r\nredis_version:8.0.2\r\nexecutable:/usr/bin/redis-server\r\n\r\n" +
		"# Replication\r\nrole:master\r\nslave0:ip=10.0.0.2,port=6379\r\nempty:\r\nnot a field\r\nlast:1")
	want := map[string]string{
		"redis_version": "8.0.2", "executable": "/usr/bin/redis-server", "role": "master",
		"slave0": "ip=10.0.0.2,port=6379", "empty": "", "last": "1",
	}
	if !maps.Equal(got, want) {
		t.Errorf("parseInfo = %q, want %q", got, want)
	}
}

// sound is a server that durable=true accepts.
func sound() settings {
	return settings{
		info: map[string]string{
			"redis_version": "7.2.4", "redis_mode": "standalone", "role": "master",
			"aof_enabled": "1", "maxmemory": "0", "maxmemory_policy": "noeviction", "connected_slaves": "0",
		},
		appendfsync: "always", fsyncKnown: true,
		noFsyncOnRewrite: "no", rewriteKnown: true,
	}
}

func TestUsable(t *testing.T) {
	for _, tc := range []struct{ name, value, why string }{
		{"", "", ""},
		{"redis_version", "7.0.0", ""},
		{"redis_version", "8.10.2", ""},
		{"redis_version", "255.255.255", ""}, // a build from the repository
		{"redis_version", "6.2.14", "7.0"},
		{"redis_version", "", "7.0"},
		{"role", "slave", "master"},
		{"redis_mode", "cluster", "Cluster"},
		{"role", "", "master"}, // a Sentinel tells none
	} {
		s := sound()
		if tc.name != "" {
			s.info[tc.name] = tc.value
		}
		err := s.usable()
		switch {
		case tc.why == "" && err != nil:
			t.Errorf("%s %s: %v", tc.name, tc.value, err)
		case tc.why != "" && (!errors.Is(err, fencelock.ErrUnsupported) || !strings.Contains(err.Error(), tc.why)):
			t.Errorf("%s %s: %v; want ErrUnsupported that says %q", tc.name, tc.value, err, tc.why)
		}
	}
}

// What weakens the promise is warned of, and what could lose a grant is refused
// with durable=true; each for its own reason.
func TestSettings(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*settings)
		weak   string // in the reason of the refusal; "" for none
		warned string // in the warning; "" for none
	}{
		{"sound", func(*settings) {}, "", ""},
		{"no file", func(s *settings) { s.info["aof_enabled"] = "0" }, "appendonly", "append-only"},
		{"synced each second", func(s *settings) { s.appendfsync = "everysec" }, "it is everysec", "appendfsync everysec"},
		{"never synced", func(s *settings) { s.appendfsync = "no" }, "it is no", "appendfsync no"},
		{"not synced in a rewrite", func(s *settings) { s.noFsyncOnRewrite = "yes" }, "no-appendfsync-on-rewrite", ""},
		{"appendfsync not told", func(s *settings) { s.appendfsync, s.fsyncKnown = "", false }, "CONFIG GET", ""},
		{"rewrite not told", func(s *settings) { s.noFsyncOnRewrite, s.rewriteKnown = "", false }, "CONFIG GET", ""},
		{"evicts", func(s *settings) { s.info["maxmemory"], s.info["maxmemory_policy"] = "1000000", "allkeys-lru" }, "allkeys-lru", "allkeys-lru"},
		{"evicts what expires", func(s *settings) { s.info["maxmemory"], s.info["maxmemory_policy"] = "1000000", "volatile-ttl" }, "volatile-ttl", "volatile-ttl"},
		{"would evict, without a limit", func(s *settings) { s.info["maxmemory_policy"] = "allkeys-lru" }, "", ""},
		{"limit, but no eviction", func(s *settings) { s.info["maxmemory"] = "1000000" }, "", ""},
		{"replicas", func(s *settings) { s.info["connected_slaves"] = "2" }, "", "replicas"},
	} {
		s := sound()
		tc.change(&s)
		if weak := s.notDurable(); (weak == "") != (tc.weak == "") || !strings.Contains(weak, tc.weak) {
			t.Errorf("%s: refused with durable=true for %q, want %q", tc.name, weak, tc.weak)
		}
		w := s.warnings()
		if tc.warned == "" && len(w) > 0 || tc.warned != "" && (len(w) != 1 || !strings.Contains(w[0], tc.warned)) {
			t.Errorf("%s: warnings %q, want %q", tc.name, w, tc.warned)
		}
	}
}
