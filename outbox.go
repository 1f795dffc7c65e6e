package fencelock

import (
	"context"
	"log/slog"
	"sync"
)

// outboxSize is how much may wait for somebody who does not take it.
const outboxSize = 1024

// outbox hands things, in order, to somebody who may take long over each, or for ever: a
// log with a full pipe, an observer that waits for a lock. put never
// waits. It has a goroutine only while there is something to deliver. What does not fit
// is dropped, and counted, and the count is delivered in its place.
type outbox[T any] struct {
	give    func(T)         // called by one goroutine at a time
	giveGap func(count int) // the same: so many were dropped here

	mu    sync.Mutex
	queue []parcel[T]
	empty chan struct{} // closed when all has been delivered; nil while nothing is
}

// parcel is a thing, or a number of things that were dropped.
type parcel[T any] struct {
	thing   T
	dropped int
}

func (o *outbox[T]) put(thing T) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch n := len(o.queue); {
	case n > outboxSize: // its last is the gap
		o.queue[n-1].dropped++
		return
	case n == outboxSize:
		o.queue = append(o.queue, parcel[T]{dropped: 1})
		return
	}
	o.queue = append(o.queue, parcel[T]{thing: thing})
	if o.empty == nil {
		o.empty = make(chan struct{})
		go o.drain()
	}
}

func (o *outbox[T]) drain() {
	for {
		o.mu.Lock()
		if len(o.queue) == 0 {
			o.queue = nil // with what the queue had grown to
			close(o.empty)
			o.empty = nil
			o.mu.Unlock()
			return
		}
		p := o.queue[0]
		o.queue[0] = parcel[T]{}
		o.queue = o.queue[1:]
		o.mu.Unlock()
		if p.dropped > 0 {
			o.giveGap(p.dropped)
		} else {
			o.give(p.thing)
		}
	}
}

// flush waits until all has been delivered, or ctx ends.
func (o *outbox[T]) flush(ctx context.Context) {
	o.mu.Lock()
	empty := o.empty
	o.mu.Unlock()
	if empty == nil {
		return
	}
	select {
	case <-empty:
	case <-ctx.Done():
	}
}

// record is a line for a log, and the handler that takes it.
type record struct {
	handler slog.Handler
	ctx     context.Context //nolint:containedctx // of the line, as slog hands it on
	line    slog.Record
}

// logQueue is a slog.Handler in front of one that may block.
type logQueue struct {
	to  slog.Handler
	box *outbox[record]
}

// newLog returns a logger whose lines go to another, by an outbox; to slog.Default if that is nil.
func newLog(to *slog.Logger) (*slog.Logger, *outbox[record]) {
	if to == nil {
		to = slog.Default()
	}
	box := &outbox[record]{}
	box.give = func(r record) {
		if r.handler.Enabled(r.ctx, r.line.Level) {
			_ = r.handler.Handle(r.ctx, r.line)
		}
	}
	box.giveGap = func(count int) {
		to.Warn("fencelock: lines of the log are missing here, since it did not take them in time", "lines", count)
	}
	return slog.New(logQueue{to.Handler(), box}), box
}

// Enabled lets all pass: a handler that blocks might block here.
func (q logQueue) Enabled(context.Context, slog.Level) bool { return true }

func (q logQueue) Handle(ctx context.Context, line slog.Record) error {
	q.box.put(record{q.to, ctx, line.Clone()})
	return nil
}

func (q logQueue) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logQueue{q.to.WithAttrs(attrs), q.box}
}

func (q logQueue) WithGroup(name string) slog.Handler { return logQueue{q.to.WithGroup(name), q.box} }
