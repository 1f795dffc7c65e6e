package drivertest

import (
	"errors"

	"github.com/fencelock/fencelock/driver"
)

var releaseMutants = []mutant{{
	name:  "release frees the key of any holder",
	rules: []string{"ReleaseOnlyOwn", "StaleHolderIsHarmless", "ReleaseByAttempt"},
	mutate: releasing(func(ctx ctx, b driver.Backend, g driver.Grant) error {
		err := b.Release(ctx, g)
		if s, failed := b.Inspect(ctx, g.Key); err != nil && failed == nil && s.Held() {
			return b.Release(ctx, driver.Grant{Key: g.Key, AttemptID: s.Holders[0].AttemptID})
		}
		return err
	}),
}, {
	name:  "release without a token is ignored",
	rules: []string{"ReleaseByAttempt"},
	mutate: releasing(func(ctx ctx, b driver.Backend, g driver.Grant) error {
		if g.Token == 0 {
			return driver.ErrNotHeld
		}
		return b.Release(ctx, g)
	}),
}, {
	name:  "release always says yes",
	rules: []string{"ReleaseTellsLoss", "ReleaseOnlyOwn"},
	mutate: releasing(func(ctx ctx, b driver.Backend, g driver.Grant) error {
		if err := b.Release(ctx, g); !errors.Is(err, driver.ErrNotHeld) {
			return err
		}
		return nil
	}),
}, {
	name:  "a release that cannot be sent is taken for a loss",
	rules: []string{"UnavailableIsNotDefinitive"},
	outside: releasing(func(ctx ctx, b driver.Backend, g driver.Grant) error {
		if err := b.Release(ctx, g); err != nil {
			return driver.ErrNotHeld
		}
		return nil
	}),
}}

func releasing(f func(ctx, driver.Backend, driver.Grant) error) func(*world) func(driver.Backend) driver.Backend {
	return hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, release: func(ctx ctx, g driver.Grant) error { return f(ctx, b, g) }}
	})
}
