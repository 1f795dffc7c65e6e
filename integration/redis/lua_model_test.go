package redis_test

import (
	"fmt"
	"slices"
)

// luaModel says what the scripts of backend/redis are to do. It knows no times, only whether a lease, a waiter or a
// tombstone has ended; and no numbers of tokens, only that a new one is greater than those before.
type luaModel struct {
	single     bool // there is no counter
	keys       []*modelKey
	counterBad string // how the error begins, if the counter is lost or not ours
	full       bool
	now        span // of the step, by the server's clock, in ms

	dirty, wrote bool // of the script that runs: it has called a command that writes; it has changed the lock
	fresh        uint64
	born         []birth
	told         []string
}

// span is a time between two others.
type span struct{ from, to int64 }

func (s span) plus(ms int64) span { return span{s.from + ms, s.to + ms} }

// birth is a new token: its number is not known yet.
type birth struct {
	token uint64
	key   int
}

const unknown = 1 << 63 // and a number: a token that was born in this step

type modelKey struct {
	id      int
	lock    *modelLock
	queue   []*modelWaiter
	graves  []*modelGrave
	least   int64
	last    uint64 // of a key that keeps a token, and has no lock
	hash    bool
	foreign string // what somebody else has there
}

type modelLock struct {
	attempt, client, identity string
	token                     uint64
	ttl                       int64
	since                     span
	over, old                 bool
}

type modelWaiter struct {
	attempt, client, identity string
	ttl                       int64
	since                     span
	dead                      bool
}

type modelGrave struct {
	attempt string
	until   span
	over    bool
}

// luaStep is one call of a script.
type luaStep struct {
	script   string
	keys     []int
	attempts []string
	ttls     []int64 // one, but for renew
	mode     string
	identity string
	client   string
	late     bool
}

// luaAnswer is what a script says of one lock.
type luaAnswer struct {
	word     string
	token    uint64
	left     span
	identity string
	n        int64
}

func failure(text string) luaAnswer { return luaAnswer{word: "error " + text} }

func (m *luaModel) do(s luaStep) []luaAnswer {
	m.dirty, m.told, m.born = false, nil, nil
	out := make([]luaAnswer, len(s.keys))
	rest := make([]int, 0, len(s.keys))
	for i, key := range s.keys {
		k := m.keys[key]
		if s.script != "acquire" || k.exists() || m.single || m.full && !m.dirty {
			rest = append(rest, i)
			continue
		}
		switch { // the head of the script
		case m.counterBad != "":
			out[i], m.dirty = failure(m.counterBad), true
		default:
			m.dirty = true
			k.lock = m.newLock(s.attempts[i], s.client, s.identity, s.ttls[0])
			k.lock.token = m.bear(k)
			out[i] = luaAnswer{word: "token", token: k.lock.token}
		}
	}
	for _, i := range rest {
		m.wrote = false
		k := m.keys[s.keys[i]]
		a, err := m.one(k, s, i)
		if err != "" {
			if m.wrote {
				err = "HALFWAY " + err
			}
			a = failure(err)
		}
		out[i] = a
	}
	return out
}

func (m *luaModel) one(k *modelKey, s luaStep, i int) (luaAnswer, string) {
	if k.foreign != "" {
		return luaAnswer{}, "WRONGTYPE"
	}
	switch s.script {
	case "acquire":
		return m.acquire(k, s, s.attempts[i])
	case "release":
		return m.release(k, s, s.attempts[i])
	case "renew":
		if l := k.lock; l != nil && !l.over && l.attempt == s.attempts[i] {
			m.extend(k, s.ttls[i])
			return luaAnswer{word: "1"}, ""
		}
		return luaAnswer{word: "0"}, ""
	case "evict":
		return m.evict(k, s.attempts[i])
	case "inspect":
		a := luaAnswer{word: "nobody", n: int64(len(k.queue))}
		if l := k.lock; l != nil && !l.over {
			a.word, a.token, a.identity, a.left = "holder "+l.attempt, l.token, l.identity, l.left(m.now)
		}
		return a, ""
	}
	panic(s.script)
}

func (m *luaModel) acquire(k *modelKey, s luaStep, attempt string) (luaAnswer, string) {
	ttl := s.ttls[0]
	if k.buried(attempt) {
		return luaAnswer{word: "released"}, ""
	}
	l := k.lock
	held := l != nil && !l.over
	if held && l.attempt == attempt {
		m.extend(k, ttl)
		return luaAnswer{word: "token", token: l.token}, ""
	}
	if held && l.since.from > m.now.to { // the clock was set back
		l.since, m.dirty, m.wrote = m.now, true, true
	}
	if s.mode == "try" {
		switch {
		case held:
			return luaAnswer{word: "held", left: l.left(m.now), identity: l.identity}, ""
		case m.first(k) != nil:
			return luaAnswer{word: "others wait"}, ""
		}
		return m.give(k, s, attempt)
	}
	if held && l.old {
		return m.waits(luaAnswer{word: "first", left: l.left(m.now)})
	}
	w := &modelWaiter{attempt: attempt, client: s.client, identity: s.identity, ttl: ttl, since: m.now}
	place := k.place(attempt)
	switch {
	case place >= 0:
		k.queue[place] = w
		m.dirty, m.wrote = true, true
	case !held && m.first(k) == nil:
		return m.give(k, s, attempt)
	case m.full && !m.dirty:
		return luaAnswer{}, "OOM"
	default:
		if len(k.queue) == 0 {
			k.least = ttl
		}
		k.least = min(k.least, ttl)
		k.queue = append(k.queue, w)
		m.save(k)
	}
	if !held {
		if err := m.handOff(k); err != "" {
			return luaAnswer{}, err
		}
		if k.lock.attempt == attempt {
			return luaAnswer{word: "token", token: k.lock.token}, ""
		}
	}
	if m.first(k).attempt == attempt {
		return m.waits(luaAnswer{word: "first", left: k.lock.left(m.now)})
	}
	return m.waits(luaAnswer{word: "behind", left: span{k.least, k.least}})
}

// waits is the answer to one that waits. It tells of the counter.
func (m *luaModel) waits(a luaAnswer) (luaAnswer, string) {
	if m.counterBad == "WRONGTYPE" {
		return a, m.counterBad
	}
	return a, ""
}

func (m *luaModel) give(k *modelKey, s luaStep, attempt string) (luaAnswer, string) {
	if m.counterBad != "" {
		return luaAnswer{}, m.counterBad
	}
	if m.full && !m.dirty {
		return luaAnswer{}, "OOM"
	}
	l := m.newLock(attempt, s.client, s.identity, s.ttls[0])
	l.token, k.lock = m.bear(k), l
	m.save(k)
	return luaAnswer{word: "token", token: l.token}, ""
}

func (m *luaModel) release(k *modelKey, s luaStep, attempt string) (luaAnswer, string) {
	l := k.lock
	holds := l != nil && l.attempt == attempt
	place := k.place(attempt)
	switch {
	case s.late && k.buried(attempt) && !holds:
		return luaAnswer{word: "2"}, ""
	case place < 0 && !holds && (!s.late || l != nil && l.old):
		return luaAnswer{word: "0"}, ""
	}
	m.dirty = m.dirty || s.late || place >= 0
	if s.late && !k.buried(attempt) {
		k.graves = append(k.graves, &modelGrave{attempt: attempt, until: m.now.plus(s.ttls[0])})
	}
	if place >= 0 {
		before := m.first(k)
		m.wrote = true
		if place = k.place(attempt); place >= 0 {
			k.queue = slices.Delete(k.queue, place, place+1)
		}
		if before != nil && before.attempt == attempt {
			if w := m.first(k); w != nil {
				m.told = append(m.told, w.client+" ask "+w.attempt)
			}
		}
	}
	if s.late || !holds {
		m.save(k)
	}
	if !holds {
		return luaAnswer{word: "0"}, ""
	}
	if err := m.handOff(k); err != "" {
		return luaAnswer{}, err
	}
	if l.over {
		return luaAnswer{word: "0"}, ""
	}
	return luaAnswer{word: "1"}, ""
}

func (m *luaModel) evict(k *modelKey, attempt string) (luaAnswer, string) {
	l := k.lock
	if l == nil || attempt != "" && l.attempt != attempt {
		return luaAnswer{word: "0"}, ""
	}
	if err := m.handOff(k); err != "" {
		return luaAnswer{}, err
	}
	if l.over {
		return luaAnswer{word: "0"}, ""
	}
	m.told = append(m.told, l.client+" evicted "+l.attempt)
	return luaAnswer{word: "1"}, ""
}

func (m *luaModel) extend(k *modelKey, ttl int64) {
	m.dirty, m.wrote = true, true
	k.lock.ttl, k.lock.since, k.lock.old = ttl, m.now, false
}

// first is the first living waiter; dead ones before it are taken off.
func (m *luaModel) first(k *modelKey) *modelWaiter {
	for len(k.queue) > 0 && k.queue[0].dead {
		k.queue = k.queue[1:]
		m.dirty, m.wrote = true, true
	}
	if len(k.queue) == 0 {
		return nil
	}
	return k.queue[0]
}

func (m *luaModel) handOff(k *modelKey) string {
	m.dirty = m.dirty || k.hash
	w := m.first(k)
	if w == nil {
		k.last, k.lock = k.lock.token, nil
		m.save(k)
		return ""
	}
	if m.counterBad != "" {
		return m.counterBad
	}
	k.queue = k.queue[1:]
	k.lock = m.newLock(w.attempt, w.client, w.identity, w.ttl)
	k.lock.token = m.bear(k)
	m.save(k)
	m.told = append(m.told, fmt.Sprintf("%s granted %s %d", w.client, w.attempt, k.lock.token))
	return ""
}

func (m *luaModel) save(k *modelKey) {
	m.dirty, m.wrote = true, true
	for len(k.graves) > 0 && k.graves[0].over { // what comes behind one that has not ended goes later
		k.graves = k.graves[1:]
	}
	k.hash = m.single || len(k.queue) > 0 || len(k.graves) > 0
	if !k.hash && k.lock != nil && k.lock.over {
		k.lock = nil
	}
	if !m.single {
		k.last = 0
	}
}

func (m *luaModel) newLock(attempt, client, identity string, ttl int64) *modelLock {
	return &modelLock{attempt: attempt, client: client, identity: identity, ttl: ttl, since: m.now}
}

func (m *luaModel) bear(k *modelKey) uint64 {
	m.fresh++
	m.born = append(m.born, birth{unknown | m.fresh, k.id})
	return unknown | m.fresh
}

func (l *modelLock) left(now span) span {
	return span{l.since.from + l.ttl - now.to, l.since.to + l.ttl - now.from}
}

func (k *modelKey) exists() bool {
	return k.lock != nil || k.hash || k.last != 0 || k.foreign != ""
}

func (k *modelKey) place(attempt string) int {
	return slices.IndexFunc(k.queue, func(w *modelWaiter) bool { return w.attempt == attempt })
}

func (k *modelKey) buried(attempt string) bool {
	return slices.ContainsFunc(k.graves, func(g *modelGrave) bool { return g.attempt == attempt && !g.over })
}
