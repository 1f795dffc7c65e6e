package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/client"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/server"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(memberVariable); dir != "" {
		fmt.Fprintln(os.Stderr, play(dir))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// world is a cluster on a network and disks in memory.
type world struct {
	t       *testing.T
	net     network.Memory
	disks   map[string]*disk.Memory
	servers map[string]*server.Server
	change  func(*server.Config)
}

func newWorld(t *testing.T, change func(*server.Config), names ...string) *world {
	t.Helper()
	w := &world{t: t, disks: map[string]*disk.Memory{}, servers: map[string]*server.Server{}, change: change}
	for _, name := range names {
		w.disks[name] = disk.NewMemory()
	}
	for _, name := range names {
		w.start(name)
	}
	return w
}

func (w *world) start(name string) *server.Server {
	w.t.Helper()
	l, err := w.net.Listen(name)
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := server.Config{
		Member:   member.Config{Name: name, Cluster: "test", FS: w.disks[name]},
		Listener: l, Network: &w.net, Addr: name,
	}
	for n := range w.disks {
		cfg.Peers = append(cfg.Peers, statemachine.Member{Name: n, Addr: n})
	}
	if w.change != nil {
		w.change(&cfg)
	}
	s, err := server.Start(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(s.Kill)
	w.servers[name] = s
	return s
}

func (w *world) client() *client.Client {
	w.t.Helper()
	cfg := client.Config{Dial: w.net.Dial, Cluster: "test"}
	for name := range w.disks {
		cfg.Addrs = append(cfg.Addrs, name)
	}
	c := client.New(cfg)
	w.t.Cleanup(func() { _ = c.Close() })
	if err := c.Ready(within(w.t, 20*time.Second)); err != nil {
		w.t.Fatal(err)
	}
	return c
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func do(t *testing.T, c *client.Client, cmd command.Command) command.Reply {
	t.Helper()
	o := c.Do(within(t, 20*time.Second), cmd, nil)
	if o.Err != nil {
		t.Fatal(o.Err)
	}
	return o.Reply
}

func nop() command.Command { return command.Command{Op: command.Nop} }

// A member that was down for so long that the log it needs is gone gets a snapshot, in parts, on
// a connection of its own.
func TestSnapshotToSlowMember(t *testing.T) {
	w := newWorld(t, func(c *server.Config) { c.Member.SnapshotEntries, c.Member.KeepEntries = 20, 5 }, "a", "b", "c")
	c := w.client()
	down := ""
	for name, s := range w.servers {
		if s.Leader().ID != s.ID() {
			down = name
		}
	}
	w.servers[down].Kill()
	meta := strings.Repeat("x", 1000)
	for i := range 3000 {
		// More than a part is long.
		k, err := c.Start(command.Command{Op: command.Acquire, Key: fmt.Sprint(i), AttemptID: "o", Meta: meta, TTL: time.Hour, Wait: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if i%100 == 99 {
			if o := c.Wait(within(t, 20*time.Second), k); o.Err != nil || o.Reply.Code != command.Granted {
				t.Fatalf("%d: %+v", i, o)
			}
		}
	}
	back := w.start(down)
	var got member.Status
	if err := back.When(within(t, 20*time.Second), func(m *member.Member) (bool, error) {
		got = m.Status()
		return got.Machine.Claims == 3000, nil
	}); err != nil {
		t.Fatalf("%v: %+v", err, got)
	}
	if got.SnapshotBytes < wire.MaxPart {
		t.Errorf("its snapshot has %d bytes, so it was not in parts", got.SnapshotBytes)
	}
}

// A client that sends and never reads is cut off, and others are served meanwhile.
func TestClientThatDoesNotRead(t *testing.T) {
	w := newWorld(t, nil, "a")
	c := w.client()
	conn, err := w.net.Dial(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	hello := wire.AppendHello([]byte(wire.Preface), wire.Hello{Version: wire.Version, Cluster: "test", Role: wire.Client})
	if _, err := conn.Write(hello); err != nil {
		t.Fatal(err)
	}
	r := wire.NewReader(conn)
	if got, _, err := r.Next(); err != nil || got != wire.TypeWelcome {
		t.Fatalf("%v, %v", got, err)
	}
	id := command.SessionID{1}
	if _, err := conn.Write(wire.AppendCommands(nil, []command.Command{{Op: command.Open, ID: id, TTL: time.Hour}})); err != nil {
		t.Fatal(err)
	}
	_, body, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	answers, _, err := wire.ParseAnswers(body, nil, nil)
	if err != nil || len(answers) != 1 {
		t.Fatalf("%+v, %v", answers, err)
	}
	// Each answer has a status of some kilobytes.
	do(t, c, command.Command{Op: command.Acquire, Key: "k", AttemptID: "o", Meta: strings.Repeat("m", 1000), TTL: time.Hour})
	session, seq := answers[0].Reply.Number, uint64(0)
	_ = conn.SetWriteDeadline(time.Now().Add(20 * time.Second))
	for err == nil {
		var cmds []command.Command
		for range 1000 {
			seq++
			cmds = append(cmds, command.Command{Op: command.Inspect, Key: "k", Session: session, Seq: seq, Lowest: seq})
		}
		_, err = conn.Write(wire.AppendCommands(nil, cmds))
		do(t, c, nop())
	}
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the connection ends with %v", err)
	}
	do(t, c, nop())
}

// Whoever speaks nonsense is told, or cut off.
func TestStrangers(t *testing.T) {
	w := newWorld(t, func(c *server.Config) { c.Operate = http.NotFoundHandler() }, "a")
	hello := func(h wire.Hello) []byte { return wire.AppendHello([]byte(wire.Preface), h) }
	standing := func(json string) []byte {
		b, err := wire.AppendPeerHandshake(nil, []byte(json))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	ok := wire.Hello{Version: wire.Version, Cluster: "test", Role: wire.Client}
	for name, is := range map[string]struct {
		sent []byte
		want string // in what is answered; empty: nothing is
	}{
		"another protocol": {[]byte("SSH-2.0-OpenSSH\r\n\r\n"), "400 Bad Request"},
		"not a hello":      {append([]byte(wire.Preface), wire.AppendPing(nil, 1)...), "does not begin with a hello"},
		"another version":  {hello(wire.Hello{Version: 99}), "run the same release"},
		"another cluster":  {hello(wire.Hello{Version: wire.Version, Cluster: "x", Role: wire.Client}), `not of "x"`},
		"another role":     {hello(wire.Hello{Version: wire.Version, Cluster: "test", Role: 9}), "HTTP"},
		"a shy member":     {append(hello(wire.Hello{Version: wire.Version, Cluster: "test", Role: wire.Peer, Member: 7, Name: "x"}), wire.AppendPing(nil, 1)...), "introduce"},
		"a founder of two": {append(hello(wire.Hello{Version: wire.Version, Cluster: "test", Role: wire.Bootstrapper, Member: 7, Name: "x"}), standing(`{"id":8,"name":"x"}`)...), "of another"},
		"a mute founder":   {append(hello(wire.Hello{Version: wire.Version, Cluster: "test", Role: wire.Bootstrapper, Member: 7, Name: "x"}), standing(`{}`)...), "how it stands"},
		"a founder":        {append(hello(wire.Hello{Version: wire.Version, Cluster: "test", Role: wire.Bootstrapper, Member: 7, Name: "x"}), standing(`{"id":7,"name":"x"}`)...), `"begun":true`},
		"TLS":              {[]byte{0x16, 3, 1, 0, 1, 0}, "does not use TLS"},
		"a chatty client":  {append(hello(ok), wire.AppendMoved(nil, wire.Member{})...), "does not say moved"},
		"bad commands":     {append(hello(ok), 0, 0, 0, 2, byte(wire.TypeCommands), 1), "commands"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := w.net.Dial(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			go func() { _, _ = conn.Write(is.sent) }()
			got, err := io.ReadAll(conn)
			var late net.Error
			if errors.As(err, &late) && late.Timeout() || !strings.Contains(string(got), is.want) {
				t.Errorf("answered %q, %v; want %q in it", got, err, is.want)
			}
		})
	}
}

// A server whose disk fails ends, and says why.
func TestDiskFails(t *testing.T) {
	w := newWorld(t, nil, "a")
	c := w.client()
	do(t, c, nop())
	w.disks["a"].Hook(disk.FailNth(disk.OpSync, 1, errors.New("the disk is broken")))
	k, err := c.Start(nop(), nil)
	if err != nil {
		t.Fatal(err)
	}
	s := w.servers["a"]
	select {
	case <-s.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on")
	}
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), "the disk is broken") {
		t.Errorf("it has ended with %v", err)
	}
	if err := s.Trouble(); err == nil || !strings.Contains(err.Error(), "the disk is broken") {
		t.Errorf("what is wrong: %v", err)
	}
	if err := s.Do(t.Context(), func(*member.Member) error { return nil }); !errors.Is(err, server.ErrStopped) {
		t.Errorf("Do afterwards: %v", err)
	}
	w.disks["a"].Hook(nil)
	w.start("a")
	if o := c.Wait(within(t, 20*time.Second), k); o.Err != nil || o.Reply.Code != command.OK {
		t.Errorf("the command that was under way: %+v", o)
	}
}

// A leader that can make no files transfers its leadership, says what is missing, and goes on as a follower. It
// leads again if it must.
func TestNothingToMakeFilesOf(t *testing.T) {
	w := newWorld(t, func(c *server.Config) { c.Member.SegmentBytes = 64 << 10 }, "a", "b", "c")
	c := w.client()
	do(t, c, nop())
	var leader *server.Server
	var name string
	for n, s := range w.servers {
		if s.Leader().ID == s.ID() {
			leader, name = s, n
		}
	}
	w.disks[name].Hook(func(c disk.Call) (time.Duration, error) {
		if c.Op == disk.OpCreate {
			return 0, disk.Scarce(syscall.EMFILE)
		}
		return 0, nil
	})
	meta := strings.Repeat("x", 1000)
	for i := 0; leader.Leader().ID == leader.ID(); i++ {
		do(t, c, command.Command{Op: command.Acquire, Key: fmt.Sprint(i), AttemptID: "o", Meta: meta, TTL: time.Hour})
	}
	for i := range 200 {
		do(t, c, command.Command{Op: command.Acquire, Key: fmt.Sprint("more", i), AttemptID: "o", Meta: meta, TTL: time.Hour})
	}
	if err := leader.Err(); err != nil {
		t.Fatalf("it has ended: %v", err)
	}
	if why := leader.Trouble(); why == nil || !strings.Contains(why.Error(), "raise its limit") {
		t.Errorf("what is wrong: %v", why)
	}
	w.disks[name].Hook(nil)
	if err := leader.When(within(t, 20*time.Second), func(m *member.Member) (bool, error) {
		return m.Status().Machine.Claims >= 200 && leader.Trouble() == nil, nil
	}); err != nil {
		t.Errorf("it does not catch up: %v", err)
	}
}

// A member that can make no files can be stopped.
func TestStopWithoutFiles(t *testing.T) {
	w := newWorld(t, func(c *server.Config) { c.Member.SegmentBytes = 4096 }, "a")
	c := w.client()
	do(t, c, nop())
	w.disks["a"].Limit(1)
	for i := range 10 {
		if _, err := c.Start(command.Command{Op: command.Acquire, Key: fmt.Sprint(i), AttemptID: "o", Meta: strings.Repeat("x", 1000), TTL: time.Hour}, nil); err != nil {
			t.Fatal(err)
		}
	}
	s := w.servers["a"]
	for s.Trouble() == nil {
		<-time.After(time.Millisecond)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// Who has named no logger hears of it all by the process's own.
func TestLogger(t *testing.T) {
	var heard strings.Builder
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&heard, nil)))
	defer slog.SetDefault(before)
	l := server.Logger(nil)
	l.Error("that", "why", "because")
	if s := heard.String(); !strings.Contains(s, "that") || !strings.Contains(s, "backend=raft") || !strings.Contains(s, "why=because") {
		t.Errorf("heard %q", s)
	}
	named := slog.New(slog.DiscardHandler)
	if server.Logger(named) != named {
		t.Error("it is not the one that was named")
	}
}

// Stop and Kill end everything, whatever is going on, and can be called again.
func TestEnds(t *testing.T) {
	for _, kill := range []bool{false, true} {
		w := newWorld(t, nil, "a", "b", "c")
		c := w.client()
		do(t, c, nop())
		for _, s := range w.servers {
			for range 2 {
				if kill {
					s.Kill()
				} else if err := s.Stop(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if err := s.Err(); !errors.Is(err, server.ErrStopped) {
				t.Errorf("ended with %v", err)
			}
		}
	}
}
