package proxy

import (
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// zooServer answers a few requests as a ZooKeeper does, and notes them. The event
// of a deletion comes right behind the answer to the request that asked for it.
type zooServer struct {
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex
	done  []string // each operation and its path
	conns []net.Conn
}

func startZooServer(t *testing.T) *zooServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &zooServer{listener: l}
	s.running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			s.running.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.mu.Lock()
		for _, c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
		s.running.Wait()
	})
	return s
}

func (s *zooServer) serve(c net.Conn) {
	defer c.Close()
	in := &reader{conn: c, framer: &zkFramer{}}
	if _, err := in.next(); err != nil {
		return
	}
	if _, err := c.Write([]byte(zkConnectResponse)); err != nil {
		return
	}
	for {
		request, err := in.next()
		if err != nil {
			return
		}
		request = request[4:]
		xid, op, path := int(zkInt(request)), ZKOpOf(request), ZKPath(request)
		s.mu.Lock()
		s.done = append(s.done, op+" "+path)
		s.mu.Unlock()
		reply := zkReply(xid)
		switch op {
		case "create":
			reply = zkReply(xid, path)
		case "exists":
			reply = zkReply(xid, zkStat...) + zkPacket(zkWatchEvent, int64(-1), 0, int(zk.EventNodeDeleted), 3, path)
		}
		if _, err := c.Write([]byte(reply)); err != nil {
			return
		}
	}
}

// zkStat are the fields of a node's description.
var zkStat = []any{int64(5), int64(5), int64(0), int64(0), 0, 0, 0, int64(9), 0, 0, int64(5)}

func (s *zooServer) carriedOut(request string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.done {
		if r == request {
			n++
		}
	}
	return n
}

type zkSilent struct{}

func (zkSilent) Printf(string, ...any) {}

// zkDial connects a real client, and returns when it has a session.
func zkDial(t *testing.T, addr string) *zk.Conn {
	t.Helper()
	c, events, err := zk.Connect([]string{addr}, 30*time.Second, zk.WithLogger(zkSilent{}))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	session := make(chan struct{}, 64)
	go func() {
		defer close(ended)
		for e := range events {
			if e.State == zk.StateHasSession {
				session <- struct{}{}
			}
		}
	}()
	t.Cleanup(func() { c.Close(); <-ended })
	select {
	case <-session:
	case <-time.After(5 * time.Second):
		t.Fatal("not in time: a session")
	}
	return c
}

func TestZooKeeperLosesTheReplyToACreate(t *testing.T) {
	s := startZooServer(t)
	p := Start(t, s.listener.Addr().String(), ZooKeeper)
	c := zkDial(t, p.Addr())
	f := p.LoseReplyTo(func(r []byte) bool {
		return ZKOp("create")(r) && strings.HasSuffix(ZKPath(r), "/lost")
	}, 1)
	if path, err := c.Create("/kept", nil, 0, nil); path != "/kept" || err != nil {
		t.Fatalf("Create = %q, %v", path, err)
	}
	if _, err := c.Create("/lost", nil, 0, nil); !errors.Is(err, zk.ErrConnectionClosed) {
		t.Errorf("Create = %v, want ErrConnectionClosed", err)
	}
	fired(t, "the reply is lost", f.Fired())
	if s.carriedOut("create /lost") != 1 {
		t.Error("the request was not carried out")
	}
	eventually(t, "the client is back", func() bool { return p.Counts().Accepted == 2 })
}

func TestZooKeeperSwallowsAWatchEvent(t *testing.T) {
	s := startZooServer(t)
	p := Start(t, s.listener.Addr().String(), ZooKeeper)
	c := zkDial(t, p.Addr())
	f := p.SwallowPush(func(push []byte) bool { return strings.Contains(string(push), "/secret") }, 1)
	_, _, public, err := c.ExistsW("/public")
	if err != nil {
		t.Fatal(err)
	}
	_, _, secret, err := c.ExistsW("/secret")
	if err != nil {
		t.Fatal(err)
	}
	fired(t, "the event is swallowed", f.Fired())
	select {
	case e := <-public:
		if e.Type != zk.EventNodeDeleted {
			t.Errorf("got %+v", e)
		}
	case <-time.After(5 * time.Second):
		t.Error("not in time: the event of the other node")
	}
	// What comes after the event is delivered, so the event itself would be here.
	if _, err := c.Create("/after", nil, 0, nil); err != nil {
		t.Fatal(err)
	}
	select {
	case e := <-secret:
		t.Errorf("got %+v, want it swallowed", e)
	default:
	}
	if got := p.Counts(); got.Pushes != 2 || got.Requests != got.Replies || got.Unframed != 0 {
		t.Errorf("Counts() = %+v", got)
	}
}

func TestZooKeeperHoldsARequest(t *testing.T) {
	s := startZooServer(t)
	p := Start(t, s.listener.Addr().String(), ZooKeeper)
	c := zkDial(t, p.Addr())
	h := p.HoldRequest(ZKOp("delete"), 1)
	answered := make(chan error, 1)
	go func() { answered <- c.Delete("/held", -1) }()
	fired(t, "the request is held", h.Fired())
	if s.carriedOut("delete /held") != 0 {
		t.Error("the request was carried out")
	}
	h.Release()
	fired(t, "the request is delivered", h.Delivered())
	if err := <-answered; err != nil || s.carriedOut("delete /held") != 1 {
		t.Errorf("Delete = %v", err)
	}
}
