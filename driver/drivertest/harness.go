package drivertest

import (
	"context"
	"net/url"
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
	// as notice a lapse. Nothing may ever be early. Five seconds if zero.
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
