package drivertest

import (
	"fmt"
	"net/url"

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
}}
