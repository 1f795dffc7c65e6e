package sim

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// toy is a lock service of forty lines, right or wrong in one way: what the checks of
// promises must pass, and must see.
type toy struct {
	// Ways to be wrong.
	early, sameToken, tokensGoBack, releasedByAnyone, revives, grantsTwice, lateCount bool

	schedule
	r        *rand.Rand
	holder   int
	token    uint64
	last     uint64
	deadline time.Duration
	p        *promises
	found    string
}

const toyTTL = 100 * time.Millisecond

func (y *toy) acquire(who int) uint64 {
	if y.holder != 0 && y.now < y.deadline && (!y.grantsTwice || y.r.IntN(40) > 0) {
		return 0
	}
	if !y.sameToken || y.r.IntN(5) > 0 {
		y.last++
	}
	if y.tokensGoBack && y.r.IntN(60) == 0 {
		y.last = 1
	}
	y.holder, y.token = who, y.last
	y.extend()
	return y.token
}

func (y *toy) extend() {
	y.deadline = y.now + toyTTL
	if y.early {
		y.deadline -= toyTTL * 4 / 10
	}
}

func (y *toy) renew(who int, token uint64) bool {
	if y.holder != who || y.now >= y.deadline {
		if !y.revives || y.holder != 0 && y.now < y.deadline {
			return false
		}
		y.holder, y.token = who, token
	}
	y.extend()
	return true
}

func (y *toy) release(who int) {
	if y.holder == who || y.releasedByAnyone {
		y.holder = 0
	}
}

// later is one way over a network that is slow now and then.
func (y *toy) later(run func()) {
	d := time.Millisecond + time.Duration(y.r.Int64N(int64(6*time.Millisecond)))
	if y.r.IntN(20) == 0 {
		d += time.Duration(y.r.Int64N(int64(120 * time.Millisecond)))
	}
	y.after(d, run)
}

func (y *toy) client(who, left int) {
	if left == 0 {
		return
	}
	again := func() {
		y.after(time.Duration(y.r.Int64N(int64(40*time.Millisecond))), func() { y.client(who+100, left-1) })
	}
	until := func(sent time.Duration) time.Duration {
		if y.lateCount {
			sent = y.now
		}
		return sent + toyTTL
	}
	a := y.p.begin(fmt.Sprint(who), "key")
	sent := y.now
	y.later(func() {
		token := y.acquire(who)
		y.later(func() {
			if token == 0 {
				again()
				return
			}
			y.p.granted(a, token, until(sent))
			renewals := y.r.IntN(4)
			var hold func()
			hold = func() {
				if renewals--; renewals < 0 {
					y.p.end(a)
					y.later(func() { y.release(who) })
					again()
					return
				}
				y.later(func() { y.p.write(a) })
				pause := 20 * time.Millisecond
				if y.r.IntN(8) == 0 {
					pause += 150 * time.Millisecond
				}
				y.after(pause, func() {
					sent := y.now
					y.later(func() {
						held := y.renew(who, token)
						y.later(func() {
							if !held {
								y.p.refused(a, "renewal")
								y.p.end(a)
								again()
								return
							}
							y.p.extended(a, token, until(sent))
							hold()
						})
					})
				})
			}
			hold()
		})
	})
}

func (y *toy) run(seed uint64) string {
	y.r = rand.New(rand.NewPCG(seed, 0))
	y.p = newPromises(&y.now, func(format string, args ...any) {
		if y.found == "" {
			y.found = fmt.Sprintf(format, args...)
		}
	})
	for who := 1; who <= 5; who++ {
		y.after(time.Duration(who)*time.Millisecond, func() { y.client(who, 20) })
	}
	for y.step() && y.found == "" {
	}
	return y.found
}

func TestPromisesOfToys(t *testing.T) {
	const seeds = 200
	for _, c := range []struct {
		name  string
		wrong toy
		right bool
	}{
		{name: "right", right: true},
		{name: "early expiry", wrong: toy{early: true}},
		{name: "token repeats", wrong: toy{sameToken: true}},
		{name: "tokens go back", wrong: toy{tokensGoBack: true}},
		{name: "release by anyone", wrong: toy{releasedByAnyone: true}},
		{name: "renewal revives", wrong: toy{revives: true}},
		{name: "grants twice", wrong: toy{grantsTwice: true}},
		{name: "counts from the answer", wrong: toy{lateCount: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad, first := 0, ""
			for seed := range uint64(seeds) {
				y := c.wrong
				if found := y.run(seed); found != "" {
					bad++
					first = found
				}
			}
			t.Logf("%d of %d seeds; %s", bad, seeds, first)
			if c.right && bad > 0 {
				t.Errorf("a service that is right: %s", first)
			}
			if !c.right && bad < seeds/20 {
				t.Errorf("seen in %d of %d seeds", bad, seeds)
			}
		})
	}
}
