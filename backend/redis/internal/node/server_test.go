package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
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
func sound() Server {
	return Server{
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
		{"redis_version", "", "does not tell its version"},
		{"role", "slave", "is a replica"},
		{"redis_mode", "cluster", "write redis+cluster://"},
		{"redis_mode", "sentinel", "write redis+sentinel://"},
		{"role", "", "does not tell"},
	} {
		s := sound()
		if tc.name != "" {
			s.info[tc.name] = tc.value
		}
		err := s.Usable()
		switch {
		case tc.why == "" && err != nil:
			t.Errorf("%s %s: %v", tc.name, tc.value, err)
		case tc.why != "" && (!errors.Is(err, driver.ErrUnsupported) || !strings.Contains(err.Error(), tc.why)):
			t.Errorf("%s %s: %v; want ErrUnsupported that says %q", tc.name, tc.value, err, tc.why)
		}
	}
}

// In a Cluster it must be a member of one.
func TestUsableInCluster(t *testing.T) {
	for _, tc := range []struct{ name, value, why string }{
		{"redis_mode", "cluster", ""},
		{"redis_mode", "standalone", "write redis://"},
		{"redis_mode", "", "write redis://"},
		{"redis_mode", "sentinel", "write redis+sentinel://"},
		{"redis_version", "6.2.14", "7.0"},
		{"redis_version", "", "does not tell its version"},
		{"role", "slave", "is a replica"},
		{"role", "", "does not tell"},
	} {
		s := sound()
		s.info["redis_mode"] = "cluster"
		s.info[tc.name] = tc.value
		err := s.UsableInCluster()
		switch {
		case tc.why == "" && err != nil:
			t.Errorf("%s %s: %v", tc.name, tc.value, err)
		case tc.why != "" && (!errors.Is(err, driver.ErrUnsupported) || !strings.Contains(err.Error(), tc.why)):
			t.Errorf("%s %s: %v; want ErrUnsupported that says %q", tc.name, tc.value, err, tc.why)
		}
	}
}

func TestReplicas(t *testing.T) {
	s := sound()
	if got := s.Replicas(); len(got) != 0 || s.NeedsReplicas() {
		t.Errorf("without any: %v", got)
	}
	s.info["slave0"] = "ip=10.0.0.2,port=6379,state=online,offset=1,lag=0"
	s.info["slave1"] = "ip=::1,port=6380,state=wait_bgsave,offset=0,lag=7"
	s.info["min_slaves_good_slaves"] = "1"
	got := s.Replicas()
	if len(got) != 2 || got["10.0.0.2:6379"]["state"] != "online" || got["[::1]:6380"]["lag"] != "7" || !s.NeedsReplicas() {
		t.Errorf("with two: %v", got)
	}
}

// A member of a Cluster and a Sentinel are refused whatever the fork calls the mode: as
// Redis 8.6, Valkey 8.1 and 9.1, and redict 7.3 tell it.
func TestUsableForks(t *testing.T) {
	for _, name := range []string{"redis_mode", "server_mode", "redict_mode"} {
		for mode, why := range map[string]string{"standalone": "", "cluster": "Cluster", "sentinel": "Sentinel"} {
			s := sound()
			delete(s.info, "redis_mode")
			s.info[name] = mode
			err := s.Usable()
			if why == "" && err != nil || why != "" && (!errors.Is(err, driver.ErrUnsupported) || !strings.Contains(err.Error(), why)) {
				t.Errorf("%s %s: %v; want a reason that says %q", name, mode, err, why)
			}
		}
	}
}

// What weakens the promise is warned of, and what could lose a grant is refused
// with durable=true; each for its own reason.
func TestSettings(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Server)
		weak   string // in the reason of the refusal; "" for none
		warned string // in the warning; "" for none
	}{
		{"sound", func(*Server) {}, "", ""},
		{"no file", func(s *Server) { s.info["aof_enabled"] = "0" }, "appendonly", "append-only"},
		{"synced each second", func(s *Server) { s.appendfsync = "everysec" }, "it is everysec", "appendfsync everysec"},
		{"never synced", func(s *Server) { s.appendfsync = "no" }, "it is no", "appendfsync no"},
		{"not synced in a rewrite", func(s *Server) { s.noFsyncOnRewrite = "yes" }, "no-appendfsync-on-rewrite", ""},
		{"appendfsync not told", func(s *Server) { s.appendfsync, s.fsyncKnown = "", false }, "CONFIG GET", "does not tell its appendfsync"},
		{"file not told", func(s *Server) { delete(s.info, "aof_enabled") }, "appendonly", "whether it keeps"},
		{"miniredis", func(s *Server) { s.name, s.info = miniredis, nil }, "miniredis", "FastForward"},
		{"rewrite not told", func(s *Server) { s.noFsyncOnRewrite, s.rewriteKnown = "", false }, "CONFIG GET", ""},
		{"evicts", func(s *Server) { s.info["maxmemory"], s.info["maxmemory_policy"] = "1000000", "allkeys-lru" }, "allkeys-lru", "allkeys-lru"},
		{"evicts what expires", func(s *Server) { s.info["maxmemory"], s.info["maxmemory_policy"] = "1000000", "volatile-ttl" }, "volatile-ttl", "volatile-ttl"},
		{"would evict, without a limit", func(s *Server) { s.info["maxmemory_policy"] = "allkeys-lru" }, "", ""},
		{"limit, but no eviction", func(s *Server) { s.info["maxmemory"] = "1000000" }, "", ""},
		{"replicas", func(s *Server) { s.info["connected_slaves"] = "2" }, "", "replicas"},
	} {
		s := sound()
		tc.change(&s)
		if weak := s.NotDurable(); (weak == "") != (tc.weak == "") || !strings.Contains(weak, tc.weak) {
			t.Errorf("%s: refused with durable=true for %q, want %q", tc.name, weak, tc.weak)
		}
		w := s.Warnings()
		if tc.warned == "" && len(w) > 0 || tc.warned != "" && (len(w) != 1 || !strings.Contains(w[0], tc.warned)) {
			t.Errorf("%s: warnings %q, want %q", tc.name, w, tc.warned)
		}
	}
}

// What INFO leaves out, as that of some services does, HELLO tells.
func TestLookWhereInfoIsCutShort(t *testing.T) {
	for name, tc := range map[string]struct {
		info, hello               string
		version, mode, role, says string
	}{
		"all is told":      {"redis_version:8.0.2\r\nredis_mode:standalone\r\nrole:master\r\n", "", "8.0.2", "standalone", "master", ""},
		"no version":       {"redis_mode:standalone\r\nrole:master\r\n", "version 8.0.2", "8.0.2", "standalone", "master", ""},
		"no mode":          {"redis_version:8.0.2\r\nrole:master\r\n", "version 9.9.9 mode cluster role replica", "8.0.2", "cluster", "master", "redis+cluster://"},
		"no role":          {"redis_version:8.0.2\r\nredis_mode:standalone\r\n", "mode cluster role replica", "8.0.2", "standalone", "replica", "is a replica"},
		"a Sentinel":       {"redis_version:8.0.2\r\nredis_mode:sentinel\r\n", "role sentinel", "8.0.2", "sentinel", "", "redis+sentinel://"},
		"nothing":          {"", "server redis version 7.2.4 mode standalone role master", "7.2.4", "standalone", "master", ""},
		"nothing anywhere": {"", "", "", "", "", "does not tell its version"},
	} {
		s := newScriptServer()
		s.serves = func(c net.Conn) { serveLook(c, tc.info, strings.Fields(tc.hello)) }
		withNode(t, s, func(t *testing.T, n *Node) {
			got, err := n.Look(t.Context())
			if err != nil || got.Version() != tc.version || got.Mode() != tc.mode || got.Role() != tc.role {
				t.Errorf("%s: version %q, mode %q, role %q, %v", name, got.Version(), got.Mode(), got.Role(), err)
			}
			if why := got.Usable(); (why == nil) != (tc.says == "") || why != nil && !strings.Contains(why.Error(), tc.says) {
				t.Errorf("%s: %v; want it to say %q", name, why, tc.says)
			}
		})
	}
}

// serveLook answers INFO with a text, and HELLO with words, or not at all if there are none. The first HELLO is
// go-redis's own.
func serveLook(c net.Conn, info string, hello []string) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		words, err := readCommand(r)
		if err != nil {
			return
		}
		answer := "-ERR unknown command\r\n"
		switch {
		case words[0] == "info":
			answer = fmt.Sprintf("$%d\r\n%s\r\n", len(info), info)
		case words[0] == "hello" && len(hello) > 0:
			answer = fmt.Sprintf("*%d\r\n", len(hello))
			for _, word := range hello {
				answer += "+" + word + "\r\n"
			}
		}
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

// Look ends with its context, though the server says nothing, and leaves no connection behind that a
// late answer could come on.
func TestLookEndsWithItsContext(t *testing.T) {
	s := newScriptServer()
	withNode(t, s, func(t *testing.T, n *Node) {
		<-call(t, n, Call{Script: apartScript, Args: args("known")}) // on the connection that Look has
		s.silent.Store(true)
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(why) })
		began := time.Now()
		if _, err := n.Look(ctx); !errors.Is(err, why) || time.Since(began) != time.Second {
			t.Errorf("Look = %v after %v", err, time.Since(began))
		}
		s.silent.Store(false)
		if got := <-call(t, n, Call{Script: apartScript, Args: args("next")}); got != (outcome{reply: "next"}) || s.dials.Load() != 2 {
			t.Errorf("the next: %v, on connection %d", got, s.dials.Load())
		}
	})
}
