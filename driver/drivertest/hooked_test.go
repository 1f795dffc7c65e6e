package drivertest

import (
	"context"

	"github.com/fencelock/fencelock/driver"
)

// hooked is a decorator: a method that is set replaces the one of the backend
// beneath.
type hooked struct {
	driver.Backend
	acquire func(context.Context, driver.Request) (driver.Grant, error)
	renew   func(context.Context, []driver.Grant) []driver.Renewal
	release func(context.Context, driver.Grant) error
	inspect func(context.Context, string) (driver.Status, error)
	evict   func(context.Context, string, string) error
	list    func(ctx context.Context, prefix, cursor string, limit int) (driver.Page, error)
	info    func() driver.Info
	close   func() error
}

// hook makes a mutant of a decorator that needs to know nothing but the backend.
func hook(f func(b driver.Backend) hooked) func(*world) func(driver.Backend) driver.Backend {
	return func(*world) func(driver.Backend) driver.Backend {
		return func(b driver.Backend) driver.Backend { return f(b) }
	}
}

// hookIn is the same for one that needs the world.
func hookIn(f func(w *world, b driver.Backend) hooked) func(*world) func(driver.Backend) driver.Backend {
	return func(w *world) func(driver.Backend) driver.Backend {
		return func(b driver.Backend) driver.Backend { return f(w, b) }
	}
}

func (h hooked) Acquire(ctx context.Context, req driver.Request) (driver.Grant, error) {
	if h.acquire != nil {
		return h.acquire(ctx, req)
	}
	return h.Backend.Acquire(ctx, req)
}

func (h hooked) Renew(ctx context.Context, grants []driver.Grant) []driver.Renewal {
	if h.renew != nil {
		return h.renew(ctx, grants)
	}
	return h.Backend.Renew(ctx, grants)
}

func (h hooked) Release(ctx context.Context, g driver.Grant) error {
	if h.release != nil {
		return h.release(ctx, g)
	}
	return h.Backend.Release(ctx, g)
}

func (h hooked) Inspect(ctx context.Context, key string) (driver.Status, error) {
	if h.inspect != nil {
		return h.inspect(ctx, key)
	}
	return h.Backend.Inspect(ctx, key)
}

func (h hooked) Evict(ctx context.Context, key, attemptID string) error {
	if h.evict != nil {
		return h.evict(ctx, key, attemptID)
	}
	return h.Backend.Evict(ctx, key, attemptID)
}

func (h hooked) ListHeld(ctx context.Context, prefix, cursor string, limit int) (driver.Page, error) {
	if h.list != nil {
		return h.list(ctx, prefix, cursor, limit)
	}
	return h.Backend.ListHeld(ctx, prefix, cursor, limit)
}

func (h hooked) Info() driver.Info {
	if h.info != nil {
		return h.info()
	}
	return h.Backend.Info()
}

func (h hooked) Close() error {
	if h.close != nil {
		return h.close()
	}
	return h.Backend.Close()
}
