package redis_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

var (
	luaSeeds = flag.Uint64("lua.seeds", 6, "TestLuaModel: how many seeds, each with and without a counter")
	luaFirst = flag.Uint64("lua.first", uint64(time.Now().UnixNano())%1e9, "TestLuaModel: the first of them") //nolint:gosec // not negative
	luaSteps = flag.Int("lua.steps", 150, "TestLuaModel: how many steps of each seed")
)

// TestLuaModel runs the scripts on real servers and a model of them in Go beside them: random calls, for one lock
// and for several, over few locks and attempts, while leases end, waiters die, the counter gets lost and the server is
// full. After each step the answers, the notifications and all that is kept have to be the same.
func TestLuaModel(t *testing.T) {
	t.Parallel()
	scripts, err := readScripts(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			c := raw(t, servers.Start(t, kind).Addr())
			tally := map[string]int{}
			seed := *luaFirst
			for n := uint64(0); n < *luaSeeds || *luaSeeds > 1 && n < 10**luaSeeds && len(lacking(tally)) > 0; n++ {
				for _, single := range []bool{false, true} {
					if err := runLua(t.Context(), c, scripts, single, seed, *luaSteps, tally); err != nil {
						t.Fatalf("single %v: %v\nagain: go test ./redis -run TestLuaModel -lua.first %d -lua.seeds 1 -lua.steps %d",
							single, err, seed, *luaSteps)
					}
				}
				seed++
			}
			t.Logf("seeds %d to %d: %v", *luaFirst, seed-1, tally)
			if lacks := lacking(tally); len(lacks) > 0 && *luaSeeds > 1 {
				t.Errorf("this proves little: there was no %q", lacks)
			}
		})
	}
}

// lacking lists what has not happened. A run in which little has proves nothing.
func lacking(tally map[string]int) (lacks []string) {
	for _, what := range []string{
		"acquire token", "acquire first", "acquire behind", "acquire held", "acquire others wait", "acquire released",
		"release 0", "release 1", "release 2", "renew 0", "renew 1", "evict 0", "evict 1", "inspect nobody",
		"error OOM", "error FORMAT", "error WRONGTYPE", "ask", "granted", "evicted", "string", "hash",
	} {
		if tally[what] == 0 {
			lacks = append(lacks, what)
		}
	}
	return lacks
}

// luaRun is a seed.
type luaRun struct {
	s        *luaServer
	model    *luaModel
	r        *rand.Rand
	now      int64    // of the server, when what it keeps was read last
	floor    uint64   // tokens of the namespace are greater
	keyFloor []uint64 // and those of a key that keeps its token
	tally    map[string]int
}

func runLua(ctx context.Context, c *goredis.Client, scripts luaScripts, single bool, seed uint64, steps int, tally map[string]int) (err error) {
	const keys = 3
	s, err := newLuaServer(ctx, c, scripts, locktest.Namespace(), single, keys)
	if err != nil {
		return err
	}
	defer s.news.Close()
	x := &luaRun{
		s: s, model: &luaModel{single: single}, r: rand.New(rand.NewPCG(seed, 0)), keyFloor: make([]uint64, keys), tally: tally,
	}
	for i := range keys {
		x.model.keys = append(x.model.keys, &modelKey{id: i})
	}
	defer func() { _ = x.fill(context.WithoutCancel(ctx), false) }()
	x.now = s.Time(ctx).Val().UnixMilli()
	for i := range steps {
		if err := x.between(ctx); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
		if step := drawStep(x.r, s.ns, x.model); !x.tooVague(step) {
			if err := x.step(ctx, step); err != nil {
				return fmt.Errorf("step %d, %+v, full %v, counter %q: %w", i, *step, x.model.full, x.model.counterBad, err)
			}
		}
	}
	return x.end(ctx)
}

// between is what happens between two steps.
func (x *luaRun) between(ctx context.Context) error {
	if !x.model.full && x.r.IntN(4) == 0 {
		if err := x.mend(ctx); err != nil {
			return err
		}
	}
	if x.r.IntN(15) == 0 {
		if err := x.fill(ctx, !x.model.full); err != nil {
			return err
		}
	}
	if !x.model.full && x.r.IntN(3) == 0 {
		return x.spoilStep(ctx)
	}
	return nil
}

// tooVague reports whether the model cannot tell what a step does: the scripts take what is simple first.
func (x *luaRun) tooVague(s *luaStep) bool {
	return x.model.full && len(s.keys) > 1 && s.script != "acquire"
}

func (x *luaRun) step(ctx context.Context, step *luaStep) error {
	before := x.now
	answers, err := x.s.run(ctx, step)
	if err != nil {
		return fmt.Errorf("as a whole: %w", err)
	}
	told, err := x.s.told(ctx)
	if err != nil {
		return fmt.Errorf("what it tells: %w", err)
	}
	locks, counter, now, err := x.s.kept(ctx)
	if err != nil {
		return fmt.Errorf("what it keeps: %w", err)
	}
	x.now, x.model.now = now, span{before, now}
	was := x.model.String()
	want := x.model.do(*step)
	known := map[uint64]uint64{}
	for i, a := range answers {
		x.tally[step.script+" "+a.word]++
		if text, ok := strings.CutPrefix(a.word, "error "); ok {
			x.tally["error "+text]++
		}
		if err := x.sameAnswer(a, want[i], known); err != nil {
			return fmt.Errorf("lock %d of %d: %w\nthe model had %s", i+1, len(answers), err, was)
		}
	}
	if err := x.sameTold(told, known); err != nil {
		return err
	}
	for i, k := range x.model.keys {
		if err := x.sameLock(locks[i], k, known); err != nil {
			return fmt.Errorf("%w\nof key %d the server keeps %+v\nthe model has %+v\nand had %s", err, i, locks[i], k.String(), was)
		}
	}
	return x.tokens(answers, counter, known)
}

// sameToken compares tokens. It learns one that is new.
func sameToken(real, model uint64, known map[uint64]uint64) error {
	if model&unknown != 0 {
		if known[model] == 0 {
			known[model] = real
		}
		model = known[model]
	}
	if real != model {
		return fmt.Errorf("the token is %d, the model's %d", real, model)
	}
	return nil
}

func (s span) near(v int64) bool { return v >= s.from-2 && v <= s.to+2 }

func (x *luaRun) sameAnswer(a, want luaAnswer, known map[uint64]uint64) error {
	if a.word != want.word || a.identity != want.identity || a.n != want.n || !want.left.near(a.left.from) {
		return fmt.Errorf("the server says %+v, the model %+v", a, want)
	}
	if want.token == 0 {
		return nil
	}
	return sameToken(a.token, want.token, known)
}

func (x *luaRun) sameTold(told []string, known map[uint64]uint64) error {
	wanted := x.model.told
	if len(told) != len(wanted) {
		return fmt.Errorf("the server tells %q, the model %q", told, wanted)
	}
	for i, w := range wanted {
		real, model := strings.Fields(told[i]), strings.Fields(w)
		x.tally[model[1]]++
		if model[1] == "granted" && len(real) == 4 {
			a, _ := strconv.ParseUint(real[3], 10, 64)
			b, _ := strconv.ParseUint(model[3], 10, 64)
			if err := sameToken(a, b, known); err != nil {
				return err
			}
			real, model = real[:3], model[:3]
		}
		if !slices.Equal(real, model) {
			return fmt.Errorf("the server tells %q, the model %q", told, wanted)
		}
	}
	return nil
}

// sameLock compares what is kept of a lock.
func (x *luaRun) sameLock(real keptLock, k *modelKey, known map[uint64]uint64) error {
	kind := "none"
	switch {
	case k.foreign != "":
		return nil
	case k.hash:
		kind = "hash"
	case k.lock != nil:
		kind = "string"
	}
	x.tally[kind]++
	if real.kind != kind {
		return fmt.Errorf("it is a %s, want a %s", real.kind, kind)
	}
	if kind == "none" {
		return nil
	}
	need := int64(1) // how long the key has to last
	text, there := real.fields["l"]
	if k.lock == nil {
		if err := x.sameLast(real, k, known); err != nil {
			return err
		}
	} else {
		f, err := recordWords(text, 6)
		if !there || err != nil {
			return fmt.Errorf("there is no holder: %w", err)
		}
		token, _ := strconv.ParseUint(f[3], 10, 64)
		l, ends := k.lock, x.now+real.life
		if kind == "hash" {
			ends, _ = strconv.ParseInt(f[0], 10, 64)
		}
		if f[1] != l.attempt || f[2] != l.client || f[4] != strconv.FormatInt(l.ttl, 10) || f[5] != l.identity {
			return fmt.Errorf("another holder")
		}
		if err := sameToken(token, l.token, known); err != nil {
			return err
		}
		if until := l.since.plus(l.ttl); !l.over {
			need = until.from - x.now
			if !until.near(ends) {
				return fmt.Errorf("the lease ends at %d, want %+v", ends, until)
			}
		} else if ends > x.now {
			return fmt.Errorf("the lease has not ended")
		}
	}
	if kind == "hash" {
		n, err := x.sameQueue(real, k)
		if err != nil {
			return err
		}
		need = max(need, n)
	}
	if real.life < need-2 || real.life > 100_000_000 {
		return fmt.Errorf("the key lasts %d ms, want %d", real.life, need)
	}
	return nil
}

// sameLast compares the token that a key keeps whose lock nobody has.
func (x *luaRun) sameLast(real keptLock, k *modelKey, known map[uint64]uint64) error {
	if text, there := real.fields["l"]; there {
		return fmt.Errorf("there is a holder, %q", text)
	}
	if !x.model.single {
		return nil
	}
	token, _ := strconv.ParseUint(real.fields["t"], 10, 64)
	return sameToken(token, k.last, known)
}

// sameQueue compares the waiters and the tombstones, and returns how long they need the key.
func (x *luaRun) sameQueue(real keptLock, k *modelKey) (need int64, err error) {
	places := placesOf(real.fields)
	others := len(real.fields) - 2*len(places)
	for _, name := range []string{"l", "h", "n", "m", "x", "t"} {
		if _, ok := real.fields[name]; ok {
			others--
		}
	}
	if others != 0 || len(places) != len(k.queue) {
		return 0, fmt.Errorf("%d places and %d other fields, want %d waiters", len(places), others, len(k.queue))
	}
	h, _ := strconv.Atoi(real.fields["h"])
	n, _ := strconv.Atoi(real.fields["n"])
	for i, w := range k.queue {
		place := strconv.Itoa(places[i])
		f, err := recordWords(real.fields[place], 5)
		if err != nil {
			return 0, err
		}
		deadline, _ := strconv.ParseInt(f[1], 10, 64)
		switch until := w.since.plus(w.ttl); {
		case f[0] != w.attempt || f[2] != w.client || f[3] != strconv.FormatInt(w.ttl, 10) || f[4] != w.identity:
			return 0, fmt.Errorf("another waiter: %q, want %+v", f, *w)
		case real.fields["w"+w.attempt] != place || places[i] < h || places[i] > n:
			return 0, fmt.Errorf("the waiter %q cannot be found", f)
		case !w.dead && !until.near(deadline):
			return 0, fmt.Errorf("the waiter's deadline is %d, want %+v", deadline, until)
		case !w.dead:
			need = max(need, until.from-x.now)
		}
	}
	if len(places) > 0 && real.fields["m"] != strconv.FormatInt(k.least, 10) {
		return 0, fmt.Errorf("the least ttl is %s, want %d", real.fields["m"], k.least)
	}
	f := strings.Fields(real.fields["x"])
	if len(f) != 2*len(k.graves) {
		return 0, fmt.Errorf("tombstones %q, want %d", f, len(k.graves))
	}
	for i, g := range k.graves {
		end, _ := strconv.ParseInt(f[2*i+1], 10, 64)
		if f[2*i] != g.attempt || !g.over && !g.until.near(end) {
			return 0, fmt.Errorf("tombstones %q, want %+v", f, *g)
		}
		if !g.over {
			need = max(need, g.until.from-x.now)
		}
	}
	return need, nil
}

// tokens looks at those that are new, and makes them known to the model.
func (x *luaRun) tokens(answers []luaAnswer, counter string, known map[uint64]uint64) error {
	floor, keyFloor := x.floor, slices.Clone(x.keyFloor)
	seen := map[uint64]bool{}
	for _, b := range x.model.born {
		token := known[b.token]
		if token <= x.floor && !x.model.single || token <= keyFloor[b.key] || seen[token] && !x.model.single {
			return fmt.Errorf("token %d is not greater than the key's %d and the namespace's %d", token, keyFloor[b.key], x.floor)
		}
		if token < uint64(x.model.now.from)*1000 { //nolint:gosec // after 1970
			return fmt.Errorf("token %d is below the clock", token)
		}
		seen[token] = true
		keyFloor[b.key], floor = token, max(floor, token)
	}
	x.floor, x.keyFloor = floor, keyFloor
	if !x.model.single && x.model.counterBad == "" && floor > 0 && counter != strconv.FormatUint(floor, 10) {
		return fmt.Errorf("the counter is %s, want %d", counter, floor)
	}
	for _, a := range answers { // a waiter's answer tells of all tokens that were granted by then
		if (a.word == "first" || a.word == "behind") && len(x.model.born) == 0 && !x.model.single && x.model.counterBad == "" && a.token < floor {
			return fmt.Errorf("an answer says that tokens after %d are new, and there is %d", a.token, floor)
		}
	}
	for _, k := range x.model.keys {
		if l := k.lock; l != nil && l.token&unknown != 0 {
			l.token = known[l.token]
		}
		if k.last&unknown != 0 {
			k.last = known[k.last]
		}
	}
	return nil
}

// end ends all claims. Nothing may be left.
func (x *luaRun) end(ctx context.Context) error {
	if err := x.fill(ctx, false); err != nil {
		return err
	}
	if err := x.mend(ctx); err != nil {
		return err
	}
	for k := range x.model.keys {
		for _, a := range stepAttempts {
			s := luaStep{script: "release", keys: []int{k}, attempts: []string{a}, ttls: []int64{1}}
			if err := x.step(ctx, &s); err != nil {
				return fmt.Errorf("at the end, %+v: %w", s, err)
			}
		}
		if m := x.model.keys[k]; m.lock != nil || len(m.queue) > 0 {
			return fmt.Errorf("at the end: key %d: %+v", k, m)
		}
	}
	return nil
}

func (m *luaModel) String() string {
	var text string
	for _, k := range m.keys {
		text += fmt.Sprintf("\n  %d: %s", k.id, k.String())
	}
	return text
}

func (k *modelKey) String() string {
	text := fmt.Sprintf("hash %v, last %d, least %d", k.hash, k.last, k.least)
	if k.lock != nil {
		text += fmt.Sprintf(", lock %+v", *k.lock)
	}
	for _, w := range k.queue {
		text += fmt.Sprintf(", waiter %+v", *w)
	}
	for _, g := range k.graves {
		text += fmt.Sprintf(", tombstone %+v", *g)
	}
	return text
}
