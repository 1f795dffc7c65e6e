package session

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestAwait: a cancellation is seen a moment late at the most, everything else at once.
func TestAwait(t *testing.T) {
	const timeout = time.Second
	for name, tt := range map[string]struct {
		ends     func(ctx context.Context, s *Session, task *Task) context.Context // after some time
		want     error
		from, to time.Duration
	}{
		"answer": {func(ctx context.Context, _ *Session, task *Task) context.Context {
			time.AfterFunc(moment/2, func() { task.End(errNoSession) })
			return ctx
		}, errNoSession, moment / 2, moment / 2},
		"late answer": {func(ctx context.Context, _ *Session, task *Task) context.Context {
			time.AfterFunc(timeout/2, func() { task.End(nil) })
			return ctx
		}, nil, timeout / 2, timeout / 2},
		"cancelled before": {func(ctx context.Context, _ *Session, _ *Task) context.Context {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx
		}, context.Canceled, 0, 0},
		"cancelled": {func(ctx context.Context, _ *Session, _ *Task) context.Context {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(1, cancel)
			return ctx
		}, context.Canceled, 1, moment},
		"cancelled late": {func(ctx context.Context, _ *Session, _ *Task) context.Context {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(timeout/2, cancel)
			return ctx
		}, context.Canceled, timeout / 2, timeout / 2},
		"deadline": {func(ctx context.Context, _ *Session, _ *Task) context.Context {
			ctx, cancel := context.WithTimeout(ctx, moment/3)
			context.AfterFunc(ctx, cancel)
			return ctx
		}, context.DeadlineExceeded, moment / 3, moment / 3},
		"death": {func(ctx context.Context, s *Session, _ *Task) context.Context {
			time.AfterFunc(moment/2, func() { close(s.dead) })
			return ctx
		}, ErrExpired, moment / 2, moment / 2},
		"Close": {func(ctx context.Context, s *Session, _ *Task) context.Context {
			time.AfterFunc(moment/2, func() { s.pool.stop(ErrClosed) })
			return ctx
		}, ErrClosed, moment / 2, moment / 2},
		"silence": {func(ctx context.Context, _ *Session, _ *Task) context.Context { return ctx }, ErrNoAnswer, timeout, timeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := NewPool(Config{})
				s := &Session{pool: p, dead: make(chan struct{}), link: &Link{}}
				for range 3 { // a timer that is used again tells of nothing that was before
					over, ok := p.Begin()
					if !ok {
						t.Fatal("the pool is closed")
					}
					time.AfterFunc(1, func() { over.End(nil) })
					if err := s.Await(t.Context(), over, 2); err != nil {
						t.Fatalf("Await = %v", err)
					}
				}
				task, _ := p.Begin()
				ctx, began := tt.ends(t.Context(), s, task), time.Now()
				err := s.Await(ctx, task, timeout)
				if took := time.Since(began); !errors.Is(err, tt.want) || took < tt.from || took > tt.to {
					t.Errorf("Await = %v after %v, want %v after %v to %v", err, took, tt.want, tt.from, tt.to)
				}
				time.Sleep(timeout) // for what is to happen later
			})
		})
	}
}
