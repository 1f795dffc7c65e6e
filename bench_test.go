package fencelock_test

import (
	"context"
	"testing"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
)

// What the core itself costs: over a server that costs nothing, and over mem, which does
// not look for suspends.
func benchmark(b *testing.B, run func(b *testing.B, c *fencelock.Client)) {
	b.Helper()
	for name, backend := range map[string]driver.Backend{"stub": &stub{}, "mem": mem.New(nil)} {
		b.Run(name, func(b *testing.B) {
			c, err := fencelock.New(backend, &fencelock.Options{Logger: quiet()})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			b.ReportAllocs()
			run(b, c)
		})
	}
}

func BenchmarkLockUnlock(b *testing.B) {
	benchmark(b, func(b *testing.B, c *fencelock.Client) {
		b.Helper()
		for b.Loop() {
			l, err := c.Lock(context.Background(), "k")
			if err == nil {
				err = l.Unlock(context.Background())
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkErr(b *testing.B) {
	benchmark(b, func(b *testing.B, c *fencelock.Client) {
		b.Helper()
		l, _ := c.Lock(context.Background(), "k")
		for b.Loop() {
			_ = l.Err()
		}
	})
}

func BenchmarkContext(b *testing.B) {
	benchmark(b, func(b *testing.B, c *fencelock.Client) {
		b.Helper()
		l, _ := c.Lock(context.Background(), "k")
		for b.Loop() {
			ctx, cancel := context.WithCancel(context.Background())
			_ = l.Context(ctx)
			cancel()
		}
	})
}

func BenchmarkContextErr(b *testing.B) {
	benchmark(b, func(b *testing.B, c *fencelock.Client) {
		b.Helper()
		l, _ := c.Lock(context.Background(), "k")
		ctx := l.Context(context.Background())
		for b.Loop() {
			_ = ctx.Err()
		}
	})
}
