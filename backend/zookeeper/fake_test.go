package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/backend/zookeeper/internal/session"
	"github.com/fencelock/fencelock/driver/drivertest"
)

// fake is a session with a server that is not one: for what a real server does only after two
// thousand million locks, or not any more, and for the race detector, which go-zookeeper's own
// connection does not stand. A backend on it makes more of them, one for each of its sessions.
type fake struct {
	*fakeServer
	session int64
	timeout time.Duration
	closed  chan struct{}
	events  chan zk.Event  // closed when it is
	told    func(zk.Event) // gets the events; nil: nobody
	link    *session.Link
	opened  *[]*fake // by the backends on this one
}

type fakeServer struct {
	mu         sync.Mutex
	clients    sync.Mutex // guards the next one, and fake.opened: a backend makes sessions while it is locked
	sessions   int64      // the last one
	zxid       int64
	nodes      map[string]*fakeNode
	watches    map[string][]watcher
	dead       map[int64]bool // the sessions that have ended
	shortest   time.Duration  // of the sessions that it grants
	containers bool
	from       int32       // where the numbers of a new parent begin
	overlap    func() bool // whether a create comes before the last one is carried out; nil: none does
	unanswered map[string]int
	calls      map[string]int
	unwritable bool               // by us
	multis     [][]any            // that were sent
	onMulti    func([]any)        // called before one is carried out
	refuse     func(op any) error // what a transaction is refused for; nil: nothing
}

// watcher is told of an event, by the channel and by its session.
type watcher struct {
	session *fake
	channel chan zk.Event
}

type fakeNode struct {
	data    []byte
	czxid   int64
	mzxid   int64
	session int64

	// counter is of the children that were made, and the number of the next, as the
	// server keeps it: it only ever rises, so at its end it stands still. What is under way
	// counts from the last that is, and wraps.
	counter int32
	latest  int32
}

const fakeSession = 0x5e55

func newFake() *fake {
	return (&fakeServer{
		sessions: fakeSession, zxid: 1 << 32, containers: true,
		nodes: map[string]*fakeNode{"/": {}}, watches: make(map[string][]watcher), dead: make(map[int64]bool),
		unanswered: make(map[string]int), calls: make(map[string]int),
	}).another()
}

// another is another client of the same server.
func (s *fakeServer) another() *fake {
	s.clients.Lock()
	defer s.clients.Unlock()
	s.sessions++
	return &fake{fakeServer: s, session: s.sessions, closed: make(chan struct{}), events: make(chan zk.Event), opened: new([]*fake)}
}

// on opens a backend on it.
func on(t drivertest.T, f *fake) *backend {
	t.Helper()
	b := newBackend(config{namespace: "ns", acl: zk.WorldACL(zk.PermAll), connect: f.connect})
	if err := b.probe(t.Context()); err != nil {
		t.Fatalf("opening: %v", err)
	}
	f.mu.Lock()
	clear(f.calls) // of the probe
	f.mu.Unlock()
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// connect is the connect of a backend's config. The server grants what is asked for, within limits.
func (f *fake) connect(l *session.Link, _ []string, timeout time.Duration, onEvent func(zk.Event)) (session.Conn, <-chan zk.Event, error) {
	c := f.another()
	c.timeout, c.told, c.link = min(max(timeout, f.shortest), 31*time.Second), onEvent, l
	f.clients.Lock()
	*f.opened = append(*f.opened, c)
	f.clients.Unlock()
	l.Granted(c.timeout)
	go c.told(zk.Event{Type: zk.EventSession, State: zk.StateHasSession})
	return c, c.events, nil
}

// answer is the end of each call: its answer may be lost.
func (f *fake) answer(op string, err error) error {
	f.calls[op]++
	if f.unanswered[op] > 0 {
		f.unanswered[op]--
		return zk.ErrConnectionClosed
	}
	return err
}

func (f *fake) create(p string, data []byte, flags int32) (string, error) {
	parent := f.nodes[path.Dir(p)]
	if parent == nil {
		return "", zk.ErrNoNode
	}
	n := &fakeNode{data: data, counter: f.from, latest: f.from}
	number := parent.counter
	if f.overlap != nil && f.overlap() {
		number = parent.latest
	}
	if flags == zk.FlagEphemeralSequential {
		if f.dead[f.session] {
			return "", zk.ErrSessionExpired
		}
		p = fmt.Sprintf("%s%010d", p, number)
		n.session = f.session
	}
	if f.nodes[p] != nil {
		return "", zk.ErrNodeExists
	}
	parent.latest = number + 1
	parent.counter = max(parent.counter, parent.latest)
	n.czxid, n.mzxid = f.zxid, f.zxid
	f.nodes[p] = n
	return p, nil
}

func (f *fake) Create(p string, data []byte, flags int32, _ []zk.ACL) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.zxid++
	p, err := f.create(p, data, flags)
	return p, f.answer("create", err)
}

func (f *fake) CreateContainer(p string, data []byte, flags int32, _ []zk.ACL) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.containers {
		return "", f.answer("createContainer", errors.New("unknown error: -6"))
	}
	f.zxid++
	p, err := f.create(p, data, flags)
	return p, f.answer("createContainer", err)
}

func (f *fake) children(p string) (names []string) {
	for other := range f.nodes {
		if path.Dir(other) == p && other != p {
			names = append(names, path.Base(other))
		}
	}
	return names
}

func (f *fake) delete(p string) error {
	err := f.remove(p)
	if err == nil {
		f.tell(p, zk.EventNodeDeleted)
	}
	return err
}

func (f *fake) remove(p string) error {
	switch {
	case f.nodes[p] == nil:
		return zk.ErrNoNode
	case len(f.children(p)) > 0:
		return zk.ErrNotEmpty
	}
	delete(f.nodes, p)
	return nil
}

// tell fires the watches of a node, once.
func (f *fake) tell(p string, what zk.EventType) {
	for _, w := range f.watches[p] {
		event := zk.Event{Type: what, Path: p}
		w.channel <- event
		if w.session.told != nil && !f.dead[w.session.session] {
			w.session.told(event) // before any later answer, as go-zookeeper does
		}
	}
	delete(f.watches, p)
}

// Delete is a transaction, as a deletion in one is.
func (f *fake) Delete(p string, version int32) error {
	_, err := f.Multi(&zk.DeleteRequest{Path: p, Version: version})
	return err
}

func (f *fake) stat(p string) (*zk.Stat, error) {
	n := f.nodes[p]
	if n == nil {
		return nil, zk.ErrNoNode
	}
	return &zk.Stat{Czxid: n.czxid, Mzxid: n.mzxid, EphemeralOwner: n.session, NumChildren: int32(len(f.children(p)))}, nil
}

func (f *fake) Exists(p string) (bool, *zk.Stat, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	st, err := f.stat(p)
	return err == nil, st, f.answer("exists", nil)
}

func (f *fake) Get(p string) ([]byte, *zk.Stat, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	st, err := f.stat(p)
	if err != nil {
		return nil, nil, f.answer("get", err)
	}
	return f.nodes[p].data, st, f.answer("get", nil)
}

func (f *fake) Children(p string) ([]string, *zk.Stat, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	st, err := f.stat(p)
	return f.children(p), st, f.answer("children", err)
}

func (f *fake) GetW(p string) ([]byte, *zk.Stat, <-chan zk.Event, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	st, err := f.stat(p)
	if err != nil {
		return nil, nil, nil, f.answer("watch", err)
	}
	w := watcher{f, make(chan zk.Event, 1)}
	f.watches[p] = append(f.watches[p], w)
	return nil, st, w.channel, f.answer("watch", nil)
}

// Multi carries out all or nothing. What begins with a create is called one here, and
// what follows in it finds what came before done.
func (f *fake) Multi(ops ...any) ([]zk.MultiResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := "multi"
	if _, ok := ops[0].(*zk.CreateRequest); ok {
		name = "create"
	}
	f.multis = append(f.multis, ops)
	if hook := f.onMulti; hook != nil {
		f.mu.Unlock()
		hooked := make(chan struct{})
		go func() {
			defer close(hooked)
			hook(ops)
		}()
		select {
		case <-hooked:
		case <-f.closed:
			f.mu.Lock()
			return nil, zk.ErrConnectionClosed
		}
		f.mu.Lock()
	}
	if f.dead[f.session] {
		return nil, zk.ErrSessionExpired
	}
	before := make(map[string]*fakeNode, len(f.nodes))
	for p, n := range f.nodes {
		was := *n
		before[p] = &was
	}
	f.zxid++
	answers := make([]zk.MultiResponse, len(ops))
	var tell []zk.Event
	for i, op := range ops {
		err := f.refusal(op)
		if err != nil {
			f.nodes = before
			answers[i].Error = err
			return answers, f.answer(name, err)
		}
		switch op := op.(type) {
		case *zk.CreateRequest:
			answers[i].String, err = f.create(op.Path, op.Data, op.Flags)
		case *zk.DeleteRequest:
			if err = f.remove(op.Path); err == nil {
				tell = append(tell, zk.Event{Type: zk.EventNodeDeleted, Path: op.Path})
			}
		case *zk.SetDataRequest:
			if answers[i].Stat, err = f.set(op.Path, op.Data); err == nil {
				tell = append(tell, zk.Event{Type: zk.EventNodeDataChanged, Path: op.Path})
			}
		case *zk.CheckVersionRequest:
			_, err = f.stat(op.Path)
		}
		if err != nil {
			f.nodes = before
			answers[i].Error = err
			return answers, f.answer(name, err)
		}
	}
	for _, event := range tell {
		f.tell(event.Path, event.Type)
	}
	return answers, f.answer(name, nil)
}

func (f *fake) refusal(op any) error {
	if f.refuse == nil {
		return nil
	}
	return f.refuse(op)
}

func (f *fake) set(p string, data []byte) (*zk.Stat, error) {
	n := f.nodes[p]
	switch {
	case n == nil:
		return nil, zk.ErrNoNode
	case f.unwritable:
		return nil, zk.ErrNoAuth
	}
	n.data, n.mzxid = data, f.zxid
	return f.stat(p)
}

func (f *fake) Sync(p string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return p, f.answer("sync", nil)
}

func (f *fake) SessionID() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.session
}

// total counts requests of all kinds.
func (f *fake) total() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, calls := range f.calls {
		n += calls
	}
	return n
}

func (f *fake) count(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

func (f *fake) State() zk.State              { return zk.StateHasSession }
func (f *fake) AddAuth(string, []byte) error { return nil }

// Close ends the session, if the server can still be told so; else it ends after its timeout.
func (f *fake) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.closed:
		return
	default:
	}
	close(f.closed)
	close(f.events)
	f.told = nil
	if f.link.Muted() {
		time.AfterFunc(f.timeout, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.end()
		})
		return
	}
	f.end()
}

// end ends the session. Call with mu held.
func (f *fake) end() {
	f.dead[f.session] = true
	for p, n := range f.nodes {
		if n.session == f.session {
			_ = f.delete(p)
		}
	}
}

// nodeOf returns the node of an attempt's claim. Call with mu held.
func (f *fake) nodeOf(id string) string {
	for p := range f.nodes {
		if strings.HasPrefix(path.Base(p), id+"#") {
			return p
		}
	}
	return ""
}

// under returns the names of all nodes below a path.
func (f *fake) under(p string) (names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for other := range f.nodes {
		if strings.HasPrefix(other, p+"/") {
			names = append(names, other)
		}
	}
	return names
}

// expire lets the sessions of the backends on it expire.
func (f *fake) expire() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clients.Lock()
	opened := slices.Clone(*f.opened)
	f.clients.Unlock()
	for _, c := range opened {
		if !f.dead[c.session] {
			c.end()
			if c.told != nil {
				c.told(zk.Event{Type: zk.EventSession, State: zk.StateExpired})
			}
		}
	}
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}
