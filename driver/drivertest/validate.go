package drivertest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

// complete fills in what may be left out, and returns what is wrong with the
// harness itself. A mistake here would make rules pass that tested nothing.
func (h *Harness) complete() (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if h.New == nil {
		fault("Harness.New is nil")
	}
	w := h.Want
	switch {
	case w.Name == "":
		fault("Harness.Want.Name is empty")
	case w.Guarantee == 0:
		fault("Harness.Want.Guarantee is zero: say what the backend must keep")
	case w.MinTTL <= 0 || w.MaxTTL < w.MinTTL:
		fault("Harness.Want: MinTTL %v and MaxTTL %v bound nothing", w.MinTTL, w.MaxTTL)
	}
	if h.TTL == 0 {
		h.TTL = max(time.Second, w.MinTTL)
	}
	if h.TTL < w.MinTTL || h.TTL > w.MaxTTL || h.TTL%time.Millisecond != 0 {
		fault("Harness.TTL %v is not from MinTTL %v to MaxTTL %v in whole milliseconds", h.TTL, w.MinTTL, w.MaxTTL)
	}
	if h.Slack == 0 {
		h.Slack = 5 * time.Second
	}
	if h.Seed == 0 {
		h.Seed = rand.Uint64()
	}
	for name := range h.Skip {
		if ruleIndex(name) < 0 {
			fault("Harness.Skip names %q, which is no rule", name)
		}
	}
	for name, why := range h.Lacks {
		there, known := h.hooks()[name]
		switch {
		case !known:
			fault("Harness.Lacks names %q, which is no hook", name)
		case there:
			fault("Harness.Lacks says that there is no %s (%s), but the hook is set", name, why)
		case why == "":
			fault("Harness.Lacks gives no reason for %s", name)
		}
	}
	if h.Open != nil && h.URL == "" {
		fault("Harness.Open is set, but URL is empty")
	}
	if len(h.Away) > 0 && h.Open == nil {
		fault("Harness.Away is set, but Open is nil")
	}
	return faults
}

// strict reports whether a skip is a failure: a test that is silently left out
// reads like one that passes.
func strict() bool {
	set := func(name string) bool {
		v := os.Getenv(name)
		return v != "" && v != "0" && v != "false"
	}
	return set("CI") || set("FENCELOCK_STRICT")
}
