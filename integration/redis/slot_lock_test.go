package redis_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// slotLock is one lock in a slot, and a model of it. Each step is carried out on the server and compared: who
// holds the lock, in which order those that wait get it, and that tokens rise.
type slotLock struct {
	t       testing.TB
	slot    *slot
	scripts lockScripts
	hearers *hearers
	key     string

	holder string
	ends   time.Time // when its lease ends, by its own clock; zero while it renews
	over   time.Time // when the server surely counts it as ended
	token  uint64    // the last one granted
	tokens []uint64  // all of them
	queue  []string
	dead   map[string]bool // of the queue, those that do not ask any more
	gone   map[string]bool // released, and a packet may be late

	commands int
	before   map[int]func() // what to do before which command
}

const (
	slotTTL  = 10 * time.Minute // of those that do not die
	dyingTTL = 20 * time.Millisecond
	soon     = 10 * time.Second // how long a notification may take
)

func (s *slot) newLock(t testing.TB, x lockScripts, h *hearers, name string) *slotLock {
	t.Helper()
	return &slotLock{
		t: t, slot: s, scripts: x, hearers: h, key: h.namespace + ":{" + s.tag + "}:" + name + ":l",
		dead: map[string]bool{}, gone: map[string]bool{}, before: map[int]func(){},
	}
}

func (l *slotLock) do(words []any) any {
	l.t.Helper()
	if f := l.before[l.commands]; f != nil {
		f()
	}
	l.commands++
	reply, err := l.slot.do(l.t.Context(), words...)
	if err != nil {
		l.t.Fatalf("%s, command %d %v: %v", l.key, l.commands, words[4:], err)
	}
	return reply
}

// attempt names one of this lock.
func (l *slotLock) attempt(name string) string {
	return strings.ReplaceAll(l.key, " ", "-") + "/" + name
}

// first is the first of the queue that lives; another one that asks comes after them.
func (l *slotLock) first(another string) string {
	for _, w := range l.queue {
		if !l.dead[w] {
			return w
		}
	}
	return another
}

// acquire asks for an attempt: to "try" or to "wait". One that waits asks again in the same way.
func (l *slotLock) acquire(attempt, mode string) {
	l.t.Helper()
	l.acquireFor(attempt, mode, slotTTL)
}

func (l *slotLock) acquireFor(attempt, mode string, ttl time.Duration) {
	l.t.Helper()
	sent := time.Now()
	got, err := parseAcquired(l.do(l.scripts.acquireCall(l.key, attempt, l.hearers.channel(), mode, ttl)))
	wrong := func(why string) {
		l.t.Helper()
		l.t.Fatalf("%s: %s, which asks to %s, gets %+v, but %s; queue %v", l.key, attempt, mode, got, why, l.queue)
	}
	switch {
	case err != nil:
		l.t.Fatal(err)
	case got.released || l.gone[attempt]:
		if !got.released || !l.gone[attempt] {
			wrong(fmt.Sprintf("that it was released is %v", l.gone[attempt]))
		}
	case attempt == l.holder && l.ends.IsZero():
		if got.token != l.token {
			wrong(fmt.Sprintf("it has had token %d", l.token))
		}
	case got.token != 0:
		delete(l.dead, attempt)
		l.granted(attempt, got.token)
	case mode == "try":
		if !got.held || l.isFree(sent) && l.first("") == "" {
			wrong("the lock is free")
		}
	default:
		l.waits(attempt, got, sent, wrong)
	}
}

// waits is when the answer was that the attempt waits. If the holder has died, the next one has got the lock.
func (l *slotLock) waits(attempt string, got answer, sent time.Time, wrong func(string)) {
	l.t.Helper()
	if !slices.Contains(l.queue, attempt) {
		l.queue = append(l.queue, attempt)
	}
	delete(l.dead, attempt)
	switch {
	case !got.waits:
		wrong("it waits")
	case l.isFree(sent):
		if l.first("") == attempt {
			wrong("the lock is free")
		}
		l.handOff()
	case !l.ends.IsZero() && got.first != (l.first("") == attempt):
		// It is not known whether the holder's death was seen.
	case got.first != (l.first("") == attempt):
		wrong("that it is the first is not so")
	}
}

// isFree reports whether the lock is nobody's that lives.
func (l *slotLock) isFree(now time.Time) bool {
	return l.holder == "" || !l.over.IsZero() && now.After(l.over)
}

// granted is when an attempt has got the lock.
func (l *slotLock) granted(attempt string, token uint64) {
	l.t.Helper()
	switch now := time.Now(); {
	case l.holder != "" && (l.ends.IsZero() || now.Before(l.ends)):
		l.t.Fatalf("%s: two holders: %s with token %d, and %s with %d", l.key, l.holder, l.token, attempt, token)
	case l.first(attempt) != attempt:
		l.t.Fatalf("%s: %s overtakes %s; queue %v", l.key, attempt, l.first(""), l.queue)
	case token <= l.token:
		l.t.Fatalf("%s: the token falls from %d to %d", l.key, l.token, token)
	}
	l.holder, l.token, l.ends, l.over = attempt, token, time.Time{}, time.Time{}
	l.tokens = append(l.tokens, token)
	at := slices.Index(l.queue, attempt)
	if at < 0 {
		at = len(l.queue) - 1 // it did not wait: all that do are dead
	}
	for _, w := range l.queue[:at+1] {
		delete(l.dead, w)
	}
	l.queue = l.queue[at+1:]
}

// handOff is when the lock has gone to the next, who is told.
func (l *slotLock) handOff() {
	l.t.Helper()
	l.holder, l.ends, l.over = "", time.Time{}, time.Time{}
	next := l.first("")
	if next == "" {
		l.queue, l.dead = nil, map[string]bool{}
		return
	}
	l.granted(next, l.hearers.await(l.t, next, l.tokens))
}

// release ends an attempt, and leaves a tombstone if a packet of it may be late.
func (l *slotLock) release(attempt string, late bool) {
	l.t.Helper()
	sent := time.Now()
	got, err := parseCount(l.do(l.scripts.releaseCall(l.key, attempt, late)))
	if err != nil {
		l.t.Fatal(err)
	}
	want := 0
	switch {
	case late && l.gone[attempt]:
		want = 2
	case attempt == l.holder && (l.ends.IsZero() || sent.Before(l.ends) && got == 1):
		want = 1
	}
	if got != want {
		l.t.Fatalf("%s: release of %s: %d, want %d; the holder is %s", l.key, attempt, got, want, l.holder)
	}
	if late {
		l.gone[attempt] = true
	}
	if attempt == l.holder {
		l.handOff()
		return
	}
	l.queue = slices.DeleteFunc(l.queue, func(w string) bool { return w == attempt })
	delete(l.dead, attempt)
}

// evict ends the grant of an attempt that may hold the lock or not.
func (l *slotLock) evict(attempt string) {
	l.t.Helper()
	holds := attempt == l.holder && l.ends.IsZero()
	got, err := parseCount(l.do(l.scripts.evictCall(l.key, attempt)))
	if err != nil || holds != (got == 1) {
		l.t.Fatalf("%s: eviction of %s: %d, %v; the holder is %s", l.key, attempt, got, err, l.holder)
	}
	if attempt == l.holder {
		l.handOff()
	}
}

// renew is of an attempt that may hold the lock or not.
func (l *slotLock) renew(attempt string) {
	l.t.Helper()
	got, err := parseCount(l.do(l.scripts.renewCall(l.key, attempt, slotTTL)))
	if err != nil {
		l.t.Fatal(err)
	}
	want := 0
	if attempt == l.holder && l.ends.IsZero() {
		want = 1
	}
	if got != want {
		l.t.Fatalf("%s: renewal of %s: %d, want %d; the holder is %s", l.key, attempt, got, want, l.holder)
	}
}

// die renews the holder's lease for the last time.
func (l *slotLock) die() {
	l.t.Helper()
	sent := time.Now()
	if got, err := parseCount(l.do(l.scripts.renewCall(l.key, l.holder, dyingTTL))); err != nil || got != 1 {
		l.t.Fatalf("%s: renewal of %s: %v, %v", l.key, l.holder, got, err)
	}
	l.ends, l.over = sent.Add(dyingTTL), time.Now().Add(dyingTTL+5*time.Millisecond)
}

// awaitEnd waits until the lease of a holder that has died is over.
func (l *slotLock) awaitEnd() { time.Sleep(time.Until(l.over)) }

// dieWaiting has a waiter ask for the last time, and waits until the server sees that it has died.
func (l *slotLock) dieWaiting(attempt string) {
	l.t.Helper()
	l.acquireFor(attempt, "wait", dyingTTL)
	time.Sleep(dyingTTL + 5*time.Millisecond)
	l.dead[attempt] = true
}
