package batch

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	seeds = flag.Uint64("seeds", 200, "how many seeds")
	first = flag.Uint64("first", 1, "the first of them")
)

var (
	errRefused = errors.New("the server refuses a part")
	errNoReply = errors.New("there is no answer")
	errTooMany = errors.New("the server takes fewer parts")
	errEnded   = errors.New("the test has ended the context")
)

const (
	maxSize   = 100
	takesOnly = 7 // parts that the server takes in a request, in some runs
)

// part is what a caller sends.
type part struct {
	id, size int
	lock     string
	bad      bool          // the server refuses it
	delay    time.Duration // of the answer to a request in which it is the first
	unheard  bool          // that answer is lost
	sent     int           // times that a server which carries it out has got it
	waits    bool          // as all requests that may be under way were
	ended    time.Time
	patience time.Duration // to be taken
	came     time.Time
	arrived  bool // at the server
	givenUp  bool // Do has said that it was not taken
}

// server answers after some time, and notes which rules were broken.
type server struct {
	Sender[*part, int]
	do    func(ctx context.Context, lock string, p *part) (int, error) // Sender.Do, or what a mutant makes of it
	rnd   *rand.Rand
	fewer bool // it takes takesOnly parts
	limit int  // of requests under way

	gathers bool // parts that wait go once nothing else is under way

	mu       sync.Mutex
	requests int            // under way, those after a refusal counted as one
	single   map[int]*int   // parts that were refused together: how many of them have no answer yet
	underWay map[string]int // parts by lock
	broken   map[string]string
	running  sync.WaitGroup
}

func newServer(seed uint64) *server {
	s := &server{
		rnd: rand.New(rand.NewPCG(seed, 0)), single: make(map[int]*int), underWay: make(map[string]int), broken: make(map[string]string),
	}
	s.fewer = s.rnd.IntN(3) == 0
	s.Sender = Sender[*part, int]{
		Alone:     func(ctx context.Context, p *part) (int, error) { return s.alone(ctx, p) },
		Together:  s.together,
		Refused:   func(err error) bool { return errors.Is(err, errRefused) || errors.Is(err, errTooMany) },
		Go:        func(f func()) { s.running.Go(f) },
		Exclusive: s.rnd.IntN(2) == 0,
	}
	if s.rnd.IntN(2) == 0 {
		s.Size, s.MaxSize = func(p *part) int { return p.size }, maxSize
	}
	s.InFlight = s.rnd.IntN(7)
	s.limit = cmp.Or(s.InFlight, maxInFlight)
	s.Parts = []int{0, 0, 3}[s.rnd.IntN(3)]
	s.Gather = s.rnd.IntN(2) == 0
	if s.rnd.IntN(2) == 0 {
		s.Patience = func(p *part) time.Duration { return p.patience }
	}
	s.gathers = s.Gather
	s.do = s.Do
	return s
}

// wrong notes that a rule was broken. Called with mu held.
func (s *server) wrong(rule, format string, args ...any) {
	if s.broken[rule] == "" {
		s.broken[rule] = fmt.Sprintf(format, args...)
	}
}

func (s *server) alone(ctx context.Context, p *part) (int, error) {
	if err := s.arrive([]*part{p}, true); err != nil {
		return 0, err
	}
	defer s.leave([]*part{p}, true)
	select {
	case <-time.After(p.delay):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if p.bad {
		return 0, errRefused
	}
	return p.id, nil
}

func (s *server) together(parts []*part) ([]int, error) {
	again := len(parts) == 1 && s.isSingle(parts[0])
	refused := false
	if err := s.arrive(parts, !again); err != nil {
		return nil, err
	}
	defer func() { s.leave(parts, !again && !refused) }()
	time.Sleep(parts[0].delay)
	var answers []int
	for _, p := range parts {
		if p.bad {
			s.mu.Lock()
			refused = s.refuse(parts)
			s.mu.Unlock()
			return nil, errRefused
		}
		answers = append(answers, p.id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range parts {
		p.sent++
	}
	if parts[0].unheard {
		return nil, errNoReply
	}
	return answers, nil
}

func (s *server) isSingle(p *part) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.single[p.id] != nil
}

// refuse notes that parts come again by themselves, which counts as one request until the last is answered.
func (s *server) refuse(parts []*part) bool {
	if len(parts) == 1 {
		return false
	}
	n := len(parts)
	for _, p := range parts {
		s.single[p.id] = &n
	}
	return true
}

// arrive checks a request that comes.
func (s *server) arrive(parts []*part, counts bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	locks, size, last := make(map[string]bool), 0, -1
	for _, p := range parts {
		switch {
		case p.lock != "" && locks[p.lock]:
			s.wrong("one lock once in a request", "%s is there twice", p.lock)
		case p.lock != "" && s.Exclusive && s.underWay[p.lock] > 0:
			s.wrong("one part of a lock under way", "there are two of %s", p.lock)
		case p.sent > 0:
			s.wrong("sent once", "%d was carried out, and comes again", p.id)
		case p.waits && !p.ended.IsZero() && time.Since(p.ended) > moment && s.single[p.id] == nil:
			s.wrong("a cancelled part that waits is not sent", "%d is sent", p.id)
		case p.givenUp:
			s.wrong("what was not taken in time is not sent", "%d is sent", p.id)
		case s.Patience != nil && time.Since(p.came) > p.patience && !p.arrived:
			s.wrong("a part waits as long as its patience", "%d comes after %v, its patience was %v", p.id, time.Since(p.came), p.patience)
		case s.gathers && counts && p.waits && s.requests > 0:
			s.wrong("parts are gathered", "%d waited, and comes while %d requests are under way", p.id, s.requests)
		case p.id < last:
			s.wrong("first come, first sent", "%d comes before %d", last, p.id)
		}
		locks[p.lock], p.arrived = true, true
		size, last = size+p.size, p.id
	}
	if s.fewer && len(parts) > takesOnly {
		s.requests++
		s.refuse(parts)
		if _, told := s.broken["told"]; told {
			s.wrong("the server's limit", "%d parts come after it was told", len(parts))
		}
		s.Lower(takesOnly)
		s.broken["told"] = ""
		return errTooMany
	}
	if len(parts) > cmp.Or(s.Parts, maxParts) {
		s.wrong("the limit", "%d parts come together", len(parts))
	}
	if s.MaxSize > 0 && len(parts) > 1 && size > maxSize {
		s.wrong("the size", "%d parts have %d bytes", len(parts), size)
	}
	for _, p := range parts {
		s.underWay[p.lock]++
	}
	if counts {
		if s.requests++; s.requests > s.limit {
			s.wrong("requests in flight", "there are %d", s.requests)
		}
	}
	return nil
}

func (s *server) leave(parts []*part, counts bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range parts {
		s.underWay[p.lock]--
		if n := s.single[p.id]; n != nil && len(parts) == 1 {
			*n--
			counts = *n == 0
		}
	}
	if counts {
		s.requests--
	}
}

// call is one caller, which may give up.
func (s *server) call(p *part, patience time.Duration) {
	ctx, cancel := context.WithCancelCause(context.Background())
	if patience > 0 {
		time.AfterFunc(patience, func() {
			s.mu.Lock()
			p.ended = time.Now()
			s.mu.Unlock()
			cancel(errEnded)
		})
	} else {
		time.AfterFunc(time.Hour, func() { cancel(errEnded) })
		patience = time.Hour
	}
	p.came = time.Now()
	answer, err := s.do(ctx, p.lock, p)
	took := time.Since(p.came)
	s.mu.Lock()
	defer s.mu.Unlock()
	p.givenUp = errors.Is(err, ErrNotTaken)
	switch {
	case p.givenUp && p.arrived:
		s.wrong("a part that was taken is waited for", "%d was given up after %v", p.id, took)
	case p.givenUp && (took != p.patience || s.Patience == nil):
		s.wrong("a part waits as long as its patience", "%d was given up after %v, its patience was %v", p.id, took, p.patience)
	case took > patience+moment:
		s.wrong("a caller returns when its context ends", "%d took %v, its context %v", p.id, took, patience)
	case errors.Is(err, errEnded) && patience == time.Hour:
		s.wrong("each part is answered", "%d is not", p.id)
	case errors.Is(err, errRefused) && !p.bad:
		s.wrong("nobody suffers from another's", "%d was refused", p.id)
	case errors.Is(err, errTooMany):
		s.wrong("nobody suffers from another's", "%d met the limit", p.id)
	case err == nil && answer != p.id:
		s.wrong("each has its own answer", "%d has %d's", p.id, answer)
	case took > 10*time.Millisecond && !p.waits:
		s.wrong("a lone caller is not delayed", "%d took %v", p.id, took)
	}
}

// run is a random time of many callers. It returns the rules that were broken.
func (s *server) run() map[string]string {
	for i := range 200 {
		p := &part{id: i, size: s.rnd.IntN(maxSize / 2), bad: s.rnd.IntN(40) == 0, unheard: s.rnd.IntN(8) == 0}
		p.delay = time.Duration(1+s.rnd.IntN(9))*time.Millisecond + time.Duration(i)*time.Microsecond // no two end together
		if s.rnd.IntN(4) > 0 {
			p.lock = fmt.Sprint(s.rnd.IntN(30))
		}
		if s.rnd.IntN(50) == 0 {
			p.size = 3 * maxSize
		}
		p.patience = time.Hour
		if s.rnd.IntN(3) == 0 {
			p.patience = time.Duration(s.rnd.IntN(10))*time.Millisecond + time.Duration(s.rnd.IntN(i+1))*time.Microsecond
		}
		patience := time.Duration(0)
		if s.rnd.IntN(5) == 0 {
			patience = time.Duration(1+s.rnd.IntN(20))*time.Millisecond + 500*time.Nanosecond
		}
		s.mu.Lock()
		s.Sender.mu.Lock()
		p.waits = s.requests == s.limit || s.Exclusive && s.busy[p.lock]
		if s.Gather {
			p.waits = p.waits || s.requests > 0 && (s.Sender.underWay >= s.limit || len(s.waiting) > 0)
		}
		s.Sender.mu.Unlock()
		s.mu.Unlock()
		s.running.Go(func() { s.call(p, patience) })
		synctest.Wait()
		if s.rnd.IntN(10) == 0 {
			time.Sleep(time.Duration(s.rnd.IntN(8)) * time.Millisecond)
			synctest.Wait()
		}
	}
	s.running.Wait()
	time.Sleep(time.Hour) // of the timers
	if inFlight, waiting := s.Load(); inFlight != 0 || waiting != 0 || len(s.busy) > 0 {
		s.wrong("nothing is left", "%d requests, %d parts that wait, and %v", inFlight, waiting, s.busy)
	}
	delete(s.broken, "told")
	return s.broken
}

// TestSender has many callers of random parts, on a server that takes its time, refuses some, and
// loses answers.
func TestSender(t *testing.T) {
	for seed := *first; seed < *first+*seeds && !t.Failed(); seed++ {
		synctest.Test(t, func(t *testing.T) {
			for rule, how := range newServer(seed).run() {
				t.Errorf("%s: %s\nrepeat with: go test ./driver/batch -run 'TestSender$' -first %d -seeds 1", rule, how, seed)
			}
		})
	}
}

// Mutants: senders that are broken in one way, each of which TestSender notices by the rule named.
func TestSenderMutants(t *testing.T) {
	type mutant struct {
		name, rule string
		breaks     func(s *server)
	}
	// each has f done, with the lock, before each request of many.
	each := func(f func(s *server)) func(s *server) {
		return func(s *server) {
			together := s.Together
			s.Together = func(parts []*part) ([]int, error) {
				s.Sender.mu.Lock()
				f(s)
				s.Sender.mu.Unlock()
				return together(parts)
			}
		}
	}
	for _, m := range []mutant{
		{"locks are not looked at", "one lock once in a request", func(s *server) {
			s.do = func(ctx context.Context, _ string, p *part) (int, error) { return s.Do(ctx, "", p) }
		}},
		{"what may not be under way together is only kept out of one request", "one part of a lock under way", func(s *server) {
			together := s.Together
			s.Together = func(parts []*part) ([]int, error) { // in both ways that there are: alone, and together
				s.Sender.mu.Lock()
				clear(s.busy)
				s.Sender.mu.Unlock()
				return together(parts)
			}
		}},
		{"the server's limit is forgotten", "the server's limit", each(func(s *server) { s.Sender.fewer = 0 })},
		{"parts have no size", "the size", func(s *server) { s.Size = nil }},
		{"what is refused is refused for all", "nobody suffers from another's", func(s *server) {
			s.Refused = func(error) bool { return false }
		}},
		{"a lost answer is taken for a refusal", "sent once", func(s *server) { s.Refused = func(error) bool { return true } }},
		{"those that wait are not sent", "each part is answered", func(s *server) { s.Go = func(func()) {} }},
		{"a caller sends what waits before it returns", "a lone caller is not delayed", func(s *server) { s.Go = func(f func()) { f() } }},
		{"a request is counted twice", "nothing is left", each(func(s *server) { s.inFlight = min(s.inFlight+1, s.limit+1) })},
		{"a request is not counted", "requests in flight", each(func(s *server) { s.live-- })},
		{"a cancelled part goes on waiting", "a cancelled part that waits is not sent", func(s *server) {
			s.do = func(ctx context.Context, lock string, p *part) (int, error) {
				if !p.waits {
					return s.Do(ctx, lock, p)
				}
				answered, err := make(chan int, 1), error(nil)
				s.running.Go(func() {
					answer, e := s.Do(context.WithoutCancel(ctx), lock, p)
					err = e
					answered <- answer
				})
				select {
				case answer := <-answered:
					return answer, err
				case <-ctx.Done():
					return 0, context.Cause(ctx)
				}
			}
		}},
		{"a cancelled caller waits", "a caller returns when its context ends", func(s *server) {
			s.do = func(ctx context.Context, lock string, p *part) (int, error) {
				return s.Do(context.WithoutCancel(ctx), lock, p)
			}
		}},
		{"answers are mixed up", "each has its own answer", func(s *server) {
			together := s.Together
			s.Together = func(parts []*part) ([]int, error) {
				answers, err := together(parts)
				slices.Reverse(answers)
				return answers, err
			}
		}},
		{"the last come are the first", "first come, first sent", each(func(s *server) { slices.Reverse(s.waiting) })},
		{"a lone caller waits for company", "a lone caller is not delayed", func(s *server) {
			s.do = func(ctx context.Context, lock string, p *part) (int, error) {
				time.Sleep(11 * time.Millisecond)
				return s.Do(ctx, lock, p)
			}
		}},
		{"more requests are under way than may be", "requests in flight", func(s *server) { s.InFlight = s.limit + 1 }},
		{"fewer requests are under way than may be", "a lone caller is not delayed", func(s *server) {
			s.InFlight = max(s.limit-1, 1)
		}},
		{"parts go before all that were under way have been answered", "parts are gathered", func(s *server) { s.Gather = false }},
		{"patience has no end", "a part waits as long as its patience", func(s *server) {
			if s.Patience != nil {
				s.Patience = func(*part) time.Duration { return time.Hour }
			}
		}},
		{"patience ends too soon", "a part waits as long as its patience", func(s *server) {
			if s.Patience != nil {
				s.Patience = func(p *part) time.Duration { return p.patience / 2 }
			}
		}},
		{"patience goes on for what has been taken", "a part that was taken is waited for", func(s *server) {
			s.do = func(ctx context.Context, lock string, p *part) (int, error) {
				if s.Patience == nil {
					return s.Do(ctx, lock, p)
				}
				ctx, cancel := context.WithTimeoutCause(ctx, p.patience, ErrNotTaken)
				defer cancel()
				answer, err := s.Do(ctx, lock, p)
				return answer, cmp.Or(context.Cause(ctx), err)
			}
		}},
		{"what was not taken in time is sent all the same", "what was not taken in time is not sent", func(s *server) {
			s.do = func(ctx context.Context, lock string, p *part) (int, error) {
				answer, err := s.Do(ctx, lock, p)
				if errors.Is(err, ErrNotTaken) {
					s.running.Go(func() { _, _ = s.Do(context.WithoutCancel(ctx), lock, p) })
				}
				return answer, err
			}
		}},
	} {
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) {
			for seed := range uint64(50) {
				caught := ""
				synctest.Test(t, func(*testing.T) {
					s := newServer(seed)
					m.breaks(s)
					caught = s.run()[m.rule]
				})
				if caught != "" {
					t.Logf("seed %d: %s", seed, caught)
					return
				}
			}
			t.Errorf("nobody notices by the rule %q", m.rule)
		})
	}
}

// TestSenderCloses: what waits when the owner closes has an answer, whichever comes first.
func TestSenderCloses(t *testing.T) {
	for _, one := range []string{"close", "take"} {
		synctest.Test(t, func(t *testing.T) {
			closing, end := context.WithCancel(context.Background())
			var (
				mu      sync.Mutex
				running sync.WaitGroup
			)
			send := func(ctx context.Context) error {
				select {
				case <-time.After(time.Second):
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			s := &Sender[int, int]{
				Alone:    func(ctx context.Context, n int) (int, error) { return n, send(ctx) },
				Together: func(parts []int) ([]int, error) { return parts, send(closing) },
				Refused:  func(error) bool { return false },
				Go: func(f func()) {
					mu.Lock()
					open := closing.Err() == nil
					if open {
						running.Go(f)
					}
					mu.Unlock()
					if !open {
						f()
					}
				},
			}
			var failed, callers sync.WaitGroup
			for i := range maxInFlight + 3 {
				callers.Go(func() {
					if _, err := s.Do(context.Background(), fmt.Sprint(i), i); i >= maxInFlight && err != nil {
						failed.Add(1)
						failed.Done()
					} else if i >= maxInFlight {
						t.Errorf("%s first: %d was sent after Close", one, i)
					}
				})
				synctest.Wait()
			}
			if one == "take" {
				time.Sleep(time.Second) // the first four are answered
				synctest.Wait()
			}
			mu.Lock()
			end()
			mu.Unlock()
			running.Wait()
			callers.Wait()
			if inFlight, waiting := s.Load(); inFlight != 0 || waiting != 0 {
				t.Errorf("%s first: %d requests, %d parts that wait are left", one, inFlight, waiting)
			}
		})
	}
}

// patient has a part wait for a request that is answered after so long, with a patience of a second. It
// returns how often it was sent, and its error after how long.
func patient(answeredAfter, answerTakes time.Duration) (sent int, took time.Duration, err error) {
	var running sync.WaitGroup
	s := &Sender[int, int]{
		Alone: func(context.Context, int) (int, error) { time.Sleep(answeredAfter); return 0, nil },
		Together: func(parts []int) ([]int, error) {
			sent += len(parts)
			time.Sleep(answerTakes)
			return parts, nil
		},
		Refused:  func(error) bool { return false },
		Go:       func(f func()) { running.Go(f) },
		InFlight: 1,
		Patience: func(int) time.Duration { return patience },
	}
	running.Go(func() { _, _ = s.Do(context.Background(), "", 0) })
	synctest.Wait()
	began := time.Now()
	_, err = s.Do(context.Background(), "", 1)
	took = time.Since(began)
	running.Wait()
	return sent, took, err
}

// patience is so short that no request stalls.
const patience = 20 * time.Millisecond

// TestSenderPatience: whichever of take and the end of patience comes first decides.
func TestSenderPatience(t *testing.T) {
	for _, c := range []struct {
		name        string
		answered    time.Duration
		taken, tied bool
	}{
		{"patience ends first", patience + 1, false, false},
		{"it is taken first", patience - 1, true, false},
		{"both at once", patience, false, true},
	} {
		for range 20 {
			synctest.Test(t, func(t *testing.T) {
				sent, took, err := patient(c.answered, time.Minute)
				taken := c.taken || c.tied && sent > 0
				switch {
				case taken && (err != nil || sent != 1 || took != c.answered+time.Minute):
					t.Errorf("%s: error %v after %v, sent %d times; want an answer after %v", c.name, err, took, sent, c.answered+time.Minute)
				case !taken && (!errors.Is(err, ErrNotTaken) || sent != 0 || took != patience):
					t.Errorf("%s: error %v after %v, sent %d times; want ErrNotTaken after %v", c.name, err, took, sent, patience)
				}
			})
		}
	}
}

// leave has a caller leave while its part is under way, and then another come, which gets a waiter that
// is there to be used again: meddle is called in between. It returns the answer to the second part, which
// is 2.
func leave(meddle func(s *Sender[int, int], left *waiter[int, int])) (answer int, err error) {
	var running sync.WaitGroup
	var s *Sender[int, int]
	s = &Sender[int, int]{
		Alone: func(context.Context, int) (int, error) { time.Sleep(time.Second); return 0, nil },
		Together: func(parts []int) ([]int, error) {
			time.Sleep(time.Second)
			s.Load() // what the mutant broke is over, and by this mutex the race detector knows
			return slices.Clone(parts), nil
		},
		Refused:  func(error) bool { return false },
		Go:       func(f func()) { running.Go(f) },
		InFlight: 1,
		Patience: func(int) time.Duration { return 10 * time.Minute },
	}
	running.Go(func() { _, _ = s.Do(context.Background(), "", 0) })
	synctest.Wait()
	ctx, cancel := context.WithCancel(context.Background())
	running.Go(func() { _, _ = s.Do(ctx, "", 1) })
	synctest.Wait()
	s.mu.Lock()
	left := s.waiting[0]
	s.mu.Unlock()
	time.Sleep(time.Second) // it is taken
	synctest.Wait()
	cancel()
	synctest.Wait()
	s.mu.Lock()
	meddle(s, left)
	s.mu.Unlock()
	answer, err = s.Do(context.Background(), "", 2)
	running.Wait()
	return answer, err
}

// TestSenderReuses: a waiter whose caller has left is not used again while its answer is due.
func TestSenderReuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if answer, err := leave(func(*Sender[int, int], *waiter[int, int]) {}); answer != 2 || err != nil {
			t.Errorf("answer %d, error %v; want 2", answer, err)
		}
	})
	t.Run("mutant", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			answer, err := leave(func(s *Sender[int, int], left *waiter[int, int]) {
				// Its channel is what is used wrongly. The rest would be a data race, too.
				s.unused = append(s.unused, &waiter[int, int]{answered: left.answered})
			})
			if answer == 2 && err == nil {
				t.Error("nobody notices that the waiter of a caller who has left is used again")
			}
		})
	})
}

// TestSenderAllocatesNothing: a part that goes by itself costs its caller nothing but what Alone does.
func TestSenderAllocatesNothing(t *testing.T) {
	type request struct{ conditions, then []int }
	for _, exclusive := range []bool{false, true} {
		s := &Sender[request, *int]{
			Alone:     func(context.Context, request) (*int, error) { return nil, nil },
			Exclusive: exclusive,
		}
		conditions := []int{1}
		if n := testing.AllocsPerRun(100, func() {
			_, _ = s.Do(context.Background(), "lock", request{conditions: conditions, then: conditions})
		}); n != 0 {
			t.Errorf("%v allocations, want none", n)
		}
	}
}

// crowd has callers that each send parts as often as they are told. The server takes no time, and others
// go on meanwhile.
type crowd struct {
	sender Sender[int, struct{}]
	callers,
	sent,
	requests int
	start, over chan struct{}
}

func newCrowd(callers int, exclusive bool) *crowd {
	c := &crowd{callers: callers, start: make(chan struct{}), over: make(chan struct{})}
	c.sender = Sender[int, struct{}]{
		Alone: func(context.Context, int) (struct{}, error) { runtime.Gosched(); return struct{}{}, nil },
		Together: func(parts []int) ([]struct{}, error) {
			runtime.Gosched()
			c.sent, c.requests = c.sent+len(parts), c.requests+1
			return make([]struct{}, len(parts)), nil // needs no memory
		},
		Refused:   func(error) bool { return false },
		Go:        func(f func()) { go f() },
		Exclusive: exclusive,
		InFlight:  1,
		Patience:  func(int) time.Duration { return time.Hour },
	}
	for i := range callers {
		lock := fmt.Sprint(i)
		go func() {
			for range c.start {
				_, _ = c.sender.Do(context.Background(), lock, i)
				c.over <- struct{}{}
			}
		}()
	}
	return c
}

// each has each of the callers send a part.
func (c *crowd) each() {
	for range c.callers {
		c.start <- struct{}{}
	}
	for range c.callers {
		<-c.over
	}
}

// TestManyCallersAllocateNothing: where callers come back, their parts need no memory of the Sender, but
// for the goroutine of a request that begins.
func TestManyCallersAllocateNothing(t *testing.T) {
	for _, exclusive := range []bool{false, true} {
		for _, callers := range []int{8, 64} {
			c := newCrowd(callers, exclusive)
			for range 100 {
				c.each()
			}
			c.sent, c.requests = 0, 0
			if n := testing.AllocsPerRun(100, c.each); n > 5 {
				t.Errorf("%d callers: %v allocations, want no more than the goroutine needs", callers, n)
			} else {
				t.Logf("%d callers: %v allocations; %d of %d parts went in %d requests together", callers, n, c.sent, 101*callers, c.requests)
			}
			if c.sent < 50*callers {
				t.Errorf("%d callers: only %d of %d parts waited", callers, c.sent, 101*callers)
			}
			close(c.start)
		}
	}
}

func BenchmarkSender(b *testing.B) {
	for _, callers := range []int{8, 64} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			c := newCrowd(callers, false)
			defer close(c.start)
			b.ReportAllocs()
			for range b.N/callers + 1 {
				c.each()
			}
		})
	}
}

// TestSenderStall: requests that hang keep nobody else back for longer than it takes to see that they do.
func TestSenderStall(t *testing.T) {
	for _, gather := range []bool{false, true} {
		for _, together := range []bool{false, true} { // what hangs: requests of one part, or of several
			synctest.Test(t, func(t *testing.T) {
				const hangs = -1
				var running sync.WaitGroup
				defer running.Wait()
				hang := func(part int) {
					if part == hangs {
						time.Sleep(3 * time.Second)
					}
				}
				s := &Sender[int, int]{
					Alone:    func(_ context.Context, part int) (int, error) { hang(part); return part, nil },
					Together: func(parts []int) ([]int, error) { hang(parts[0]); return slices.Clone(parts), nil },
					Refused:  func(error) bool { return false },
					Go:       func(f func()) { running.Go(f) },
					InFlight: 2,
					Gather:   gather,
				}
				do := func(part int) { _, _ = s.Do(context.Background(), "", part) }
				for range 2 {
					running.Go(func() { do(hangs) })
				}
				synctest.Wait()
				if together {
					running.Go(func() { do(hangs) })
					time.Sleep(2 * stall) // it is under way, too
				}
				for i := range 100 {
					began := time.Now()
					if answer, err := s.Do(context.Background(), "", i); answer != i || err != nil {
						t.Errorf("Do = %v, %v", answer, err)
					}
					if took := time.Since(began); took > 2*stall || i > 0 && took > 0 {
						t.Errorf("gather %v, together %v: part %d took %v, though the server answers", gather, together, i, took)
					}
				}
				running.Wait()
				if inFlight, waiting := s.Load(); inFlight != 0 || waiting != 0 || s.live != 0 || s.underWay != 0 {
					t.Errorf("left: %d requests, %d live, %d parts that wait, %d under way", inFlight, s.live, waiting, s.underWay)
				}
			})
		}
	}
}
