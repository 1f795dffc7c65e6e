package drivertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// Harness tells the suite how to reach a backend, what it must be able to do,
// and how to hurt it. Only New and Want are required; each further hook makes
// more rules run.
type Harness struct {
	// New returns a client on the server and namespace under test, independent of
	// all others: with connections, and a session if there are such things, of
	// its own. Every rule calls it twice or more, and closes what it got.
	New func(t T) driver.Backend

	// Want is what Info must say, Warnings aside, and decides which rules run.
	Want driver.Info

	// TTL is a short lease: many rules wait for one or more to run out. One second
	// if zero, or Want.MinTTL if that is longer. On a machine whose processors others use
	// when a rule begins, TTL and Slack are up to four times as long.
	TTL time.Duration

	// Slack is how late a correct server on a loaded machine may do a thing, such
	// as notice an expiry. Nothing may ever be early. Five seconds if zero.
	Slack time.Duration

	// DestroyGrant destroys the grant of a key on the server, by other means than the
	// backend: deletes its record, as a clumsy operator would.
	DestroyGrant func(t T, key string)

	// Partition cuts one client off from the server, in a way that its requests
	// meet silence, until heal is called.
	Partition func(t T, b driver.Backend) (heal func())

	// Failover makes the server fail over, or restart: whatever Want.Guarantee
	// says that tokens and grants survive. It returns when that has begun; clients
	// are given a minute to find the new server.
	Failover func(t T)

	// KillSession ends one client's session on the server, as if it had not been
	// heard of for too long.
	KillSession func(t T, b driver.Backend)

	// Open is the function registered for the URL scheme, URL an address that
	// works with it, and BadURLs addresses that it must refuse, each with a word
	// that the error must contain.
	Open    func(ctx context.Context, u *url.URL, o driver.OpenOptions) (driver.Backend, error)
	URL     string
	BadURLs map[string]string

	// Away has addresses at which no server can be used (nobody listens, say), each with a word
	// that the error of Open must contain: the reason.
	Away map[string]string

	// Skip leaves out rules: name to reason. It is for faults to be mended, and
	// fails in CI.
	Skip map[string]string

	// Lacks names hooks that make no sense for this server, each with the reason:
	// {"KillSession": "there are no sessions"}. Rules that need them do not apply.
	Lacks map[string]string

	// Seed repeats a run. Random if zero.
	Seed uint64
}

// hooks returns the optional hooks by name, and whether each is there.
func (h *Harness) hooks() map[string]bool {
	return map[string]bool{
		"DestroyGrant": h.DestroyGrant != nil,
		"Partition":    h.Partition != nil,
		"Failover":     h.Failover != nil,
		"KillSession":  h.KillSession != nil,
		"Open":         h.Open != nil,
		"Away":         len(h.Away) > 0,
	}
}

// T is what a hook may use of a running rule. A *testing.T has all of it; the
// suite hands out its own, so that it can run without one.
type T interface {
	Helper()
	Name() string
	// Context is done when the rule ends, just before the Cleanup functions run.
	Context() context.Context
	Cleanup(f func())
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	// Fatalf ends the goroutine that calls it: call it only in the one that the
	// hook was called in.
	Fatalf(format string, args ...any)
	Failed() bool
}

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
