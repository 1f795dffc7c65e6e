package drivertest

import (
	"github.com/fencelock/fencelock/driver"
)

var retryMutants = []mutant{{
	name:  "a retry is granted again",
	rules: []string{"RetryReturnsSameGrant"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			g, err := b.Acquire(ctx, req)
			if req.Retry {
				g.Token += 1000
			}
			return g, err
		}}
	}),
}, {
	name:  "a retry by the holder meets its own lock",
	rules: []string{"RetryReturnsSameGrant"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			if s, err := b.Inspect(ctx, req.Key); err == nil && s.Held() && !req.Wait {
				return driver.Grant{}, &driver.HeldError{}
			}
			return b.Acquire(ctx, req)
		}}
	}),
}, {
	name:  "a retry by the holder waits for itself",
	rules: []string{"RetryReturnsSameGrant"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			if s, err := b.Inspect(ctx, req.Key); err == nil && holder(s).AttemptID == req.AttemptID && req.Wait {
				<-ctx.Done()
				return driver.Grant{}, ctx.Err()
			}
			return b.Acquire(ctx, req)
		}}
	}),
}}
