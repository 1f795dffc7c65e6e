package work

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/bench/internal/contest"
)

// shop gives locks that nobody else wants, each for 10 ms at the least.
type shop struct {
	mu     sync.Mutex
	keys   map[string]int // times that each was taken
	held   int
	lose   string // the key whose lock is lost
	closed bool
}

func (s *shop) Lock(_ context.Context, key string) (contest.Held, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		s.keys = map[string]int{}
	}
	s.keys[key]++
	s.held++
	return &item{s, key}, nil
}

func (s *shop) Close() error {
	s.closed = true
	return nil
}

type item struct {
	shop *shop
	key  string
}

func (i *item) Release(context.Context) error {
	time.Sleep(10 * time.Millisecond)
	i.shop.mu.Lock()
	defer i.shop.mu.Unlock()
	i.shop.held--
	if i.key == i.shop.lose {
		return errors.New("lost")
	}
	return nil
}

func TestManyCallersHaveKeysOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shop{}
		d, err := For(s).Work(t.Context(), contest.Work{Key: "k", Callers: 3, For: 95 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if d.Pairs != 30 || d.Took != 100*time.Millisecond || s.keys["k/0"] != 10 || s.keys["k/2"] != 10 {
			t.Errorf("%+v of %v, want 10 of each in 100 ms", d, s.keys)
		}
		if d.Allocs < d.Pairs || d.Goroutines != 0 { // an item for each
			t.Errorf("%v allocations, %v goroutines", d.Allocs, d.Goroutines)
		}
	})
}

func TestOneCallerIsTimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shop{}
		d, err := For(s).Work(t.Context(), contest.Work{Key: "k", Pairs: 4})
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Times) != 4 || d.Times[3] != 10*time.Millisecond || d.Pairs != 4 || s.keys["k"] != 4 {
			t.Errorf("%+v of %v", d, s.keys)
		}
	})
}

func TestKeptUntilFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shop{lose: "k/1"}
		w := For(s)
		if _, err := w.Work(t.Context(), contest.Work{Key: "k", Take: 100}); err != nil {
			t.Fatal(err)
		}
		if s.held != 100 {
			t.Errorf("%d are held", s.held)
		}
		if _, err := w.Work(t.Context(), contest.Work{Look: true}); err != nil {
			t.Fatal(err)
		}
		d, err := w.Work(t.Context(), contest.Work{Free: true})
		if err != nil || d.Lost != 1 || s.held != 0 {
			t.Errorf("%+v, %v; %d are held", d, err, s.held)
		}
	})
}

func TestServeAnswersEachRequest(t *testing.T) {
	s := &shop{}
	var out strings.Builder
	in := `{"work": {"key": "k", "pairs": 1}}
		{"open": {"url": "nowhere://", "ttl": 1}}
		{"open": {"url": "shop://", "ttl": 15000000000}}
		{"work": {"key": "k", "pairs": 2}}
		{"work": {}}`
	err := Serve(t.Context(), strings.NewReader(in), &out, func(_ context.Context, o Open) (contest.Client, error) {
		if o.URL == "nowhere://" {
			return nil, errors.New("no server")
		}
		if o.TTL != 15*time.Second {
			t.Errorf("TTL %s", o.TTL)
		}
		return s, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	answers := json.NewDecoder(strings.NewReader(out.String()))
	for i, want := range []Answer{
		{Error: "a request out of order"}, {Error: "no server"}, {}, {Done: contest.Done{Pairs: 2}}, {Error: "nothing to do"},
	} {
		var got Answer
		if err := answers.Decode(&got); err != nil {
			t.Fatal(err)
		}
		if got.Error != want.Error || got.Done.Pairs != want.Done.Pairs {
			t.Errorf("answer %d: %+v, want %+v", i, got, want)
		}
	}
	if err := answers.Decode(new(Answer)); !errors.Is(err, io.EOF) {
		t.Errorf("more answers than requests: %v", err)
	}
	if !s.closed {
		t.Error("the client was not closed")
	}
}
