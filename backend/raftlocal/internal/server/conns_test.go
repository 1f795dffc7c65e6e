package server

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

// startWithFiles starts a member of a process that may have a number of files open.
func startWithFiles(t *testing.T, files uint64) (*Server, func() net.Conn) {
	t.Helper()
	var memory network.Memory
	l, err := memory.Listen("a")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Start(Config{
		Member: member.Config{
			Name: "a", Cluster: "test", FS: disk.NewMemory(), SegmentBytes: 1 << 16,
			Members: []statemachine.Member{{ID: member.ID("test", "a"), Name: "a", Addr: "a"}},
		},
		Listener: l, Network: &memory, Addr: "a",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	s.conns.begin(files)
	return s, func() net.Conn {
		t.Helper()
		conn, err := memory.Dial(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
}

func closed(conn net.Conn) bool {
	_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := conn.Read(make([]byte, 1))
	return err == io.EOF //nolint:errorlint // a pipe's is bare
}

// Of those who say nothing the newest are kept, and the others closed at once.
func TestStrangersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, dial := startWithFiles(t, 8*leastStrangers)
		var conns []net.Conn
		for range 5 * leastStrangers {
			conns = append(conns, dial())
			synctest.Wait()
		}
		for i, conn := range conns {
			if want := i < len(conns)-leastStrangers; closed(conn) != want {
				t.Errorf("connection %d of %d: closed: %v, want %v", i, len(conns), !want, want)
			}
		}
		if got := greeted(t, dial(), wire.Client); !strings.HasPrefix(got, "welcome") {
			t.Errorf("a client: %s", got)
		}
		time.Sleep(2 * helloTimeout)
		if !closed(conns[len(conns)-1]) {
			t.Error("it may take as long as it likes to say who it is")
		}
	})
}

// greeted says hello, and returns what is answered.
func greeted(t *testing.T, conn net.Conn, role wire.Role) string {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	b := wire.AppendHello([]byte(wire.Preface), wire.Hello{
		Version: wire.Version, Cluster: "test", Role: role, Member: 7, Name: "b", To: member.ID("test", "a"),
	})
	if role == wire.Peer {
		var err error
		if b, err = wire.AppendPeerHandshake(b, []byte(`{"life":7}`)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
	typ, body, err := wire.NewReader(conn).Next()
	if err != nil {
		t.Fatal(err)
	}
	return typ.String() + " " + string(body)
}

// Clients get a half, and leave room for members, and for each other's when they go.
func TestClientsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, dial := startWithFiles(t, 40)
		var last net.Conn
		for i := range 20 {
			last = dial()
			if got := greeted(t, last, wire.Client); !strings.HasPrefix(got, "welcome") {
				t.Fatalf("client %d: %s", i, got)
			}
		}
		if got := greeted(t, dial(), wire.Client); !strings.HasPrefix(got, "refusal") || !strings.Contains(got, "limit of open files") {
			t.Errorf("a client too many: %s", got)
		}
		if got := greeted(t, dial(), wire.Peer); !strings.HasPrefix(got, "welcome") {
			t.Errorf("a member: %s", got)
		}
		_ = last.Close()
		synctest.Wait()
		if got := greeted(t, dial(), wire.Client); !strings.HasPrefix(got, "welcome") {
			t.Errorf("a client when another has gone: %s", got)
		}
	})
}
