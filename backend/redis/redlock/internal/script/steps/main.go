// Command steps runs the scripts on a server and the model beside it, step for step: random requests,
// from seeds that it prints, over few keys and attempts. Replies, notices and what is kept must be the
// same after each step. It is how the scripts are tested: integration/redlock starts a server
// for it.
//
//	go run ./backend/redis/redlock/internal/script/steps -addr 127.0.0.1:6379
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/model"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/script"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:6379", "the server")
	seeds := flag.Uint64("seeds", 20, "how many seeds; several are followed by more, if too little has happened in them")
	first := flag.Uint64("first", uint64(time.Now().UnixNano())%1e9, "the first of them") //nolint:gosec // not negative
	steps := flag.Int("steps", 300, "how many steps of each")
	full := flag.Bool("full", false, "fill the server up, now and then (CONFIG SET maxmemory)")
	flag.Parse()

	client := goredis.NewClient(&goredis.Options{Addr: *addr, MaxRetries: -1, DisableIdentity: true})
	began := time.Now()
	var sum tally
	enough := func(n uint64) bool { return n >= *seeds && (*seeds == 1 || n >= 4**seeds || sum.lacking(*full) == nil) }
	seed := *first
	for ; !enough(seed - *first); seed++ {
		if err := run(context.Background(), client, seed, *steps, *full, &sum); err != nil {
			fmt.Printf("seed %d: %v\nagain with: -first %d -seeds 1 -steps %d -full=%v\n", seed, err, seed, *steps, *full)
			os.Exit(1)
		}
	}
	fmt.Printf("seeds %d to %d: %v in %.1fs\n", *first, seed-1, &sum, time.Since(began).Seconds())
	if err := errors.Join(sum.lacking(*full), client.Close()); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// run is one seed.
func run(ctx context.Context, client *goredis.Client, seed uint64, steps int, full bool, sum *tally) (err error) {
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // to be repeated
	s, err := newServer(ctx, client, fmt.Sprintf("steps-%d-%d", seed, time.Now().UnixNano()))
	if err != nil {
		return err
	}
	p := pair{server: s, model: model.New(), sum: sum}
	defer func() {
		err = errors.Join(err, p.fill(ctx, false), s.news.Close(), s.drop(ctx))
	}()
	for i := range steps {
		if full && r.IntN(12) == 0 {
			if err := p.fill(ctx, !p.full); err != nil {
				return err
			}
		}
		if !p.full {
			if err := p.spoil(ctx, r); err != nil {
				return err
			}
		}
		if r.IntN(5) == 0 {
			time.Sleep(time.Duration(r.IntN(25_000)) * time.Microsecond)
		}
		request := draw(r, p.model)
		if err := p.step(ctx, r, request); errors.Is(err, errLastMoment) {
			p.sum.count("ended by a last millisecond")
			return nil
		} else if err != nil {
			return fmt.Errorf("step %d, %T%+v: %w", i, request, request, err)
		}
	}
	return nil
}

// pair is the server and the model beside it.
type pair struct {
	*server
	model *model.Node
	full  bool
	sum   *tally
}

// step carries out a request on both.
func (p *pair) step(ctx context.Context, r *rand.Rand, request wire.Request) error {
	expected := identity
	if r.IntN(40) == 0 {
		expected = "list 1 node boot2"
	}
	began := time.Now()
	from, err1 := p.now(ctx)
	reply, failed := p.do(ctx, expected, request)
	to, err2 := p.now(ctx)
	told, err3 := p.told(ctx)
	kept, err4 := p.kept(ctx)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	took := time.Since(began)

	if actual, unfit := script.Unfit(failed); unfit || expected != identity {
		if !unfit || actual != identity {
			return fmt.Errorf("as another node it says %v, %w", reply, failed)
		}
		p.sum.count("unfit")
		p.model.Expire(to)
		return sameState(kept, p.model, to, took)
	}
	if p.full && failed != nil && strings.HasPrefix(failed.Error(), "OOM ") {
		switch request.(type) {
		case wire.Take, wire.Repair:
		default:
			return failed
		}
		p.sum.count("refused since it is full")
		p.model.Expire(to)
		return sameState(kept, p.model, to, took)
	}
	if t, ok := reply.(wire.TakeReply); ok && p.full && t.Outcome == wire.Done {
		return errors.New("a full server has granted")
	}
	var first error
	for _, at := range guesses(from, to, reply) {
		m := p.model.Snapshot()
		want, wantTold := m.Do(at, request)
		m.Expire(to)
		var err error
		switch {
		case failed != nil:
			err = p.expected(failed, want)
		case !sameReply(reply, want, took):
			err = fmt.Errorf("the server says %+v, the model %+v", reply, want)
		}
		if err == nil && !reflect.DeepEqual(told, wantTold) {
			err = fmt.Errorf("the server tells %+v, the model %+v", told, wantTold)
		}
		if err == nil {
			err = sameState(kept, m, to, took)
		}
		if err == nil {
			p.model = m
			p.sum.add(reply, told)
			return nil
		}
		if first == nil {
			first = err
		}
	}
	if t, ok := reply.(wire.TakeReply); ok && t.Outcome == wire.Other && t.Holder.Left == 0 {
		return errLastMoment
	}
	return first
}

// errLastMoment ends a seed: a claim was there in the last millisecond of its time, and the model, which counts
// in µs, has it no more. What the server did then, and when, no one guess has.
var errLastMoment = errors.New("a claim was met in its last millisecond")

// expected looks at an error of the server.
func (p *pair) expected(failed error, want any) error {
	if err, ok := want.(error); ok && errors.Is(err, model.ErrCounter) && strings.Contains(failed.Error(), err.Error()) {
		p.sum.count("counter at its end")
		return nil
	}
	return fmt.Errorf("the server fails, %w; the model says %+v", failed, want)
}
