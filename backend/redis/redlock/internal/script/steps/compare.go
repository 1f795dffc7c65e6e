package main

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/model"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
)

// guesses are when, by the server's clock, a request may have been carried out, between two readings:
// a number of the reply may be just that. What was near its end may have been there or not: the
// server counts in ms.
func guesses(from, to time.Time, reply any) []time.Time {
	at := []time.Time{from}
	add := func(us uint64) {
		if t := time.UnixMicro(int64(us)); !t.Before(from) && !t.After(to) { //nolint:gosec // a token is below 2^53
			at = append([]time.Time{t}, at...)
		}
	}
	switch r := reply.(type) {
	case wire.TakeReply:
		add(r.Count)
		add(r.Position)
	}
	return append(at, to, from.Add(-slack), to.Add(slack))
}

// slack is how far times that the server has cut to ms may be off.
const slack = 3 * time.Millisecond

// near reports whether two times in ms are the same, as far as that can be known.
func near(a, b int64, took time.Duration) bool {
	d := time.Duration(a-b) * time.Millisecond
	return d.Abs() <= took+slack
}

// sameReply reports whether the server's reply is the model's.
func sameReply(real, model any, took time.Duration) bool {
	switch r := real.(type) {
	case wire.TakeReply:
		m, ok := model.(wire.TakeReply)
		return ok && sameHolder(&r.Holder, &m.Holder, took) && r == m
	case wire.LookReply:
		m, ok := model.(wire.LookReply)
		return ok && sameHolder(&r.Holder, &m.Holder, took) && r == m
	case wire.HoldersReply:
		m, ok := model.(wire.HoldersReply)
		return ok && slices.EqualFunc(r.Holders, m.Holders, func(r, m wire.Holder) bool {
			return sameHolder(&r, &m, took) && r == m
		})
	case wire.ScanReply: // all parts together: the order is the server's own, and a key may come twice
		m, ok := model.(wire.ScanReply)
		slices.Sort(r.Keys)
		return ok && r.Boot == identity && slices.Equal(slices.Compact(r.Keys), m.Keys)
	}
	return reflect.DeepEqual(real, model)
}

// sameHolder makes what is left the same, if it is about that.
func sameHolder(r, m *wire.Holder, took time.Duration) bool {
	ok := near(r.Left.Milliseconds(), m.Left.Milliseconds(), took)
	r.Left = m.Left
	return ok
}

// sameState says what differs between what the server keeps and the model does, but for times that are about the same,
// and what the one had when the other did not is about to end. The model then gets the server's times.
func sameState(real, m *model.Node, now time.Time, took time.Duration) error {
	ending := func(until int64) bool { return near(until, now.UnixMilli(), took) }
	if err := sameMaps("counter", real.Counters, m.Counters, func(a, b uint64) bool {
		return a == b || near(int64(a/1000), int64(b/1000), took) && near(int64(a/1000), now.UnixMilli(), took) //nolint:gosec // below 2^53
	}, func(uint64) bool { return false }); err != nil {
		return err
	}
	if err := sameMaps("claim", real.Claims, m.Claims, func(a, b model.Claim) bool {
		ok := near(a.Until, b.Until, took)
		a.Until = b.Until
		return ok && a == b
	}, func(c model.Claim) bool { return ending(c.Until) }); err != nil {
		return err
	}
	if err := sameMaps("tombstone", real.Tombstones, m.Tombstones, func(a, b model.Tombstone) bool {
		return a.Try == b.Try && near(a.Until, b.Until, took)
	}, func(t model.Tombstone) bool { return ending(t.Until) }); err != nil {
		return err
	}
	if err := sameMaps("queue", real.Queues, m.Queues, func(a, b *model.Waiters) bool {
		return near(a.Until, b.Until, took) && sameMaps("waiter", a.By, b.By, func(v, w model.Waiter) bool {
			ok := near(v.Deadline, w.Deadline, took) && near(int64(v.Position/1000), int64(w.Position/1000), took) //nolint:gosec // below 2^53
			v.Deadline, v.Position = w.Deadline, w.Position
			return ok && v == w
		}, func(model.Waiter) bool { return false }) == nil
	}, func(q *model.Waiters) bool { return ending(q.Until) }); err != nil {
		return err
	}
	skew := m.Skew
	*m = *real.Snapshot()
	m.Skew = skew
	return nil
}

func sameMaps[K comparable, V any](what string, real, m map[K]V, same func(a, b V) bool, ending func(V) bool) error {
	for k, r := range real {
		if v, ok := m[k]; !ok && !ending(r) {
			return fmt.Errorf("%s %v: the server has %+v, the model nothing", what, k, r)
		} else if ok && !same(r, v) {
			return fmt.Errorf("%s %v: the server has %+v, the model %+v", what, k, r, v)
		}
	}
	for k, v := range m {
		if _, ok := real[k]; !ok && !ending(v) {
			return fmt.Errorf("%s %v: the server has nothing, the model %+v", what, k, v)
		}
	}
	return nil
}
