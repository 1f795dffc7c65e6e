package drivertest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
)

var infoMutants = []mutant{{
	name:  "Info overstates the guarantee's bounds",
	rules: []string{"Info"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, info: func() driver.Info {
			i := b.Info()
			i.MaxTTL *= 2
			return i
		}}
	}),
}, {
	name:  "Info forgets a feature",
	rules: []string{"Info"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, info: func() driver.Info {
			i := b.Info()
			i.Features = driver.Push
			return i
		}}
	}),
}, {
	name:  "Info says that another clock counts",
	rules: []string{"Info"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, info: func() driver.Info {
			i := b.Info()
			i.SameClock = !i.SameClock
			return i
		}}
	}),
}, {
	name:  "Info hides that there are no tokens",
	rules: []string{"Info"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, info: func() driver.Info {
			i := b.Info()
			i.Tokenless = !i.Tokenless
			return i
		}}
	}),
}, {
	name:  "Info names another namespace",
	rules: []string{"Info"},
	world: func(w *world) { w.want.Namespace = "billing" },
}, {
	name:  "Info changes",
	rules: []string{"Info"},
	mutate: hook(func(b driver.Backend) hooked {
		asked := 0
		return hooked{Backend: b, info: func() driver.Info {
			i := b.Info()
			if asked++; asked > 1 {
				i.Guarantee = driver.Advisory
			}
			return i
		}}
	}),
}}

var openMutants = []mutant{{
	name:  "Open ignores unknown parameters",
	rules: []string{"OpenRefusesNonsense"},
	world: func(w *world) {
		open := w.open
		w.open = func(ctx ctx, u *url.URL) (driver.Backend, error) {
			u.RawQuery = ""
			return open(ctx, u)
		}
	},
}, {
	name:  "Open quotes the URL",
	rules: []string{"OpenHidesPasswords"},
	world: func(w *world) { w.open = opener(func(u *url.URL) string { return fmt.Sprintf(" in %s", u) }) },
}, {
	name:  "Open opens something else",
	rules: []string{"OpenWorks"},
	world: func(w *world) {
		open := w.open
		w.open = func(ctx ctx, u *url.URL) (driver.Backend, error) {
			b, err := open(ctx, u)
			return hooked{Backend: b, info: func() driver.Info { return driver.Info{Name: "else"} }}, err
		}
	},
}, {
	name:  "Open waits for a server that is away",
	rules: []string{"OpenSaysWhy"},
	world: away(func(ctx ctx) error {
		<-ctx.Done()
		return fmt.Errorf("%w: no route", driver.ErrUnavailable)
	}),
}, {
	name:  "Open waits for a minute",
	rules: []string{"OpenSaysWhy"},
	world: away(func(ctx) error {
		time.Sleep(time.Minute)
		return fmt.Errorf("%w: no route", driver.ErrUnavailable)
	}),
}, {
	name:  "Open says only that it took too long",
	rules: []string{"OpenSaysWhy"},
	world: away(func(ctx) error { return fmt.Errorf("%w: %w", driver.ErrUnavailable, context.DeadlineExceeded) }),
}, {
	name:  "Open says the reason without a kind",
	rules: []string{"OpenSaysWhy"},
	world: away(func(ctx) error { return errors.New("no route") }),
}, {
	name:  "Open makes a backend of a server that is away",
	rules: []string{"OpenSaysWhy"},
	world: away(func(ctx) error { return nil }),
}}

// away has Open do something else with a server that is away.
func away(instead func(ctx ctx) error) func(w *world) {
	return func(w *world) {
		open := w.open
		w.open = func(ctx ctx, u *url.URL) (driver.Backend, error) {
			if u.Host != "away" {
				return open(ctx, u)
			}
			return mem.New(nil), instead(ctx)
		}
	}
}
