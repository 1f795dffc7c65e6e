package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/script"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// fake is a server of which a test decides what it does. It carries out the scripts of this package; of
// the others it compares the record, and answers a Look.
type fake struct {
	mu       sync.Mutex
	trip     time.Duration
	rand     *rand.Rand // if it is not nil, a trip takes up to ten times as long
	run      string
	id       string
	list     string
	cert     string
	counters map[string]uint64
	weak     string
	unusable error
	down     error // all requests fail with this
	failing  *failing
	hang     bool // all requests end with their time
	prepare  error
	adopted  func() // before an adopt, if it is not nil
	asked    int
	looked   int
	calls    []string // the records with which calls came
	again    []func() // of subscriptions
	take     []func(string)
	closed   bool
}

func newFake(i int) *fake {
	return &fake{run: fmt.Sprint("run", i), trip: time.Millisecond, counters: make(map[string]uint64)}
}

// begin waits for a round trip, and locks.
func (s *fake) begin(ctx context.Context, within time.Duration) error {
	s.mu.Lock()
	s.asked++
	down, hang, trip := s.down, s.hang, s.trip
	if s.rand != nil {
		trip += time.Duration(s.rand.Int64N(9 * int64(trip)))
	}
	if s.failing != nil && down == nil {
		down = s.failing.take()
	}
	s.mu.Unlock()
	if hang {
		trip = within
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(trip):
	}
	if hang {
		return node.ErrNoAnswer
	}
	s.mu.Lock()
	return down
}

func (s *fake) end(err error) {
	if !errors.Is(err, node.ErrNoAnswer) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		s.mu.Unlock()
	}
}

func (s *fake) Look(ctx context.Context) (Told, error) {
	err := s.begin(ctx, time.Hour)
	defer s.end(err)
	if err != nil {
		return Told{}, node.Classify(ctx, err)
	}
	s.looked++
	return Told{RunID: s.run, Unusable: s.unusable, Weak: s.weak}, nil
}

func (s *fake) Prepare(ctx context.Context, _ []*node.Script, _ node.Permissions) error {
	err := s.begin(ctx, time.Hour)
	defer s.end(err)
	if err != nil {
		return node.Classify(ctx, err)
	}
	return s.prepare
}

func (s *fake) Eval(ctx context.Context, timeout time.Duration, sc *node.Script, _ int, args ...any) (any, error) {
	err := s.begin(ctx, timeout)
	defer s.end(err)
	if err != nil {
		return nil, err
	}
	text := make([]string, len(args))
	for i, a := range args {
		text[i] = fmt.Sprint(a)
	}
	switch sc {
	case observeScript:
		return []any{s.run, s.id, s.list, s.cert}, nil
	case claimScript:
		if s.id == "" {
			s.id = text[1]
		}
		return s.id, nil
	case adoptScript:
		if s.adopted != nil {
			s.adopted()
		}
		if text[1] != s.run || text[2] != s.id || text[3] != s.list || text[4] != s.cert {
			return int64(0), nil
		}
		for i := 8; i < len(text); i += 2 {
			n, _ := strconv.ParseUint(text[i+1], 10, 64)
			s.counters[text[i]] = max(s.counters[text[i]], n)
		}
		s.id, s.list, s.cert = text[5], text[6], text[7]
		return int64(1), nil
	case countersScript:
		if text[1] != "" && text[1] != s.cert {
			return int64(0), nil
		}
		all := make([]any, script.Shards)
		for i := range all {
			if n := s.counters[strconv.Itoa(i)]; n > 0 {
				all[i] = strconv.FormatUint(n, 10)
			}
		}
		return all, nil
	}
	return nil, errors.New("unknown script")
}

func (s *fake) Go(c *node.Call) {
	go func() {
		err := s.begin(context.Background(), c.Timeout)
		defer s.end(err)
		switch cert := fmt.Sprint(c.Args[c.Keys]); {
		case err != nil:
		case c.Boot != s.run:
			err = &node.BootError{Want: c.Boot, Got: s.run}
		case cert != s.cert:
			err = errors.New("UNFIT " + s.cert)
		default:
			s.calls = append(s.calls, cert)
			c.Done([]any{"", int64(0), "0", int64(0)}, nil)
			return
		}
		c.Done(nil, err)
	}()
}

func (s *fake) Subscribe(ctx context.Context, _ string, take func(string), again func()) error {
	err := s.begin(ctx, time.Hour)
	defer s.end(err)
	if err != nil {
		return node.Classify(ctx, err)
	}
	s.again, s.take = append(s.again, again), append(s.take, take)
	return nil
}

func (s *fake) Trip() time.Duration { return s.trip }

func (s *fake) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// set changes a server.
func (s *fake) set(change func(s *fake)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *fake) looks() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looked
}

// restart makes it another process, which has its data or not.
func (s *fake) restart(empty bool) {
	s.set(func(s *fake) {
		s.run += "'"
		if empty {
			s.id, s.list, s.cert, s.counters = "", "", "", make(map[string]uint64)
		}
	})
}

var errDown = errors.New("connection refused")

// servers are some that know nothing.
func servers(n int) (all []*fake) {
	for i := range n {
		all = append(all, newFake(i+1))
	}
	return all
}

type notices struct {
	mu  sync.Mutex
	got []string
}

func (n *notices) take(node int, w wire.Notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.got = append(n.got, fmt.Sprint(node, w))
}

// journal is a log.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// pass lets time pass, and all that is due be done.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func config(all []*fake, log *journal) Config {
	c := Config{Keys: script.NewNames("ns"), Channel: "ns:redlock:c:x", Notify: func(int, wire.Notice) {}}
	c.Logger = slog.New(slog.DiscardHandler)
	if log != nil {
		c.Logger = slog.New(slog.NewTextHandler(log, nil))
	}
	for i, s := range all {
		c.Names = append(c.Names, fmt.Sprintf("h%d:1", i+1))
		c.Servers = append(c.Servers, s)
	}
	return c
}

// run runs a test in virtual time.
func run(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// open makes a fleet of servers.
func open(t *testing.T, c Config) *Fleet {
	t.Helper()
	f := New(c)
	t.Cleanup(f.Close)
	if err := f.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

// fit tells which members take part, as "yyn".
func fit(f *Fleet) (text string) {
	for _, m := range f.members {
		if m.Fit() == nil {
			text += "y"
		} else {
			text += "n"
		}
	}
	return text
}

// send sends a request to a member, and returns its error.
func send(f *Fleet, i int) error {
	done := make(chan error, 1)
	f.members[i].Send(context.Background(), wire.Look{Key: "k"}, time.Second, func(_ any, err error) { done <- err })
	return <-done
}

func is(err error, kinds ...error) bool {
	for _, kind := range []error{driver.ErrUnavailable, driver.ErrRefused, wire.ErrNotSent} {
		want := false
		for _, k := range kinds {
			want = want || errors.Is(k, kind)
		}
		if errors.Is(err, kind) != want {
			return false
		}
	}
	return true
}
