package driver

import (
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// Info says what a backend is and can do. The least capable is the zero value.
type Info struct {
	Name      string // "redis", "etcd"; as in the URL scheme
	Guarantee Guarantee
	Features  Features

	// Namespace keeps the keys of this backend apart from those of others on the same server. It is empty where the
	// backend has none.
	Namespace string

	// MinTTL and MaxTTL bound Request.TTL.
	MinTTL, MaxTTL time.Duration

	// SameClock says that TTLs are counted on the monotonic clock of this machine, which
	// stands still while it is suspended: in this process, say. Otherwise the core takes
	// the time for which the machine was suspended off each lease.
	SameClock bool

	// Tokenless says that grants have no fencing token, since the URL or the options have switched
	// them off: Grant.Token is zero.
	Tokenless bool

	// Warnings tell, one sentence each, what in the server's settings weakens the
	// promise. The core logs them once.
	Warnings []string
}

// OpenOptions is what a backend that is opened by a URL gets besides the URL. Fields may be added.
type OpenOptions struct {
	// Logger gets what an operator should know and no call returns: a leader lost, a
	// certificate that cannot be read, a full disk. It never blocks. Nil means slog.Default,
	// which may.
	Logger *slog.Logger
}

// Log returns a logger for the backend of this name. It is never nil.
func (o OpenOptions) Log(backend string) *slog.Logger {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o.Logger.With("backend", backend)
}

// Guarantee is how much a backend promises about exclusion and about the order
// of tokens. A greater value promises more.
type Guarantee int

const (
	// Advisory means that exclusion and token order hold while the server keeps its data
	// and its clock. A fail-over may lose a grant.
	Advisory Guarantee = iota + 1
	// FencedOrder means that two holders may overlap, but tokens are unique and ordered
	// whatever clocks and expiry do.
	FencedOrder
	// Linearizable means one holder for each grant and ordered tokens through crash,
	// partition and fail-over.
	Linearizable
)

func (g Guarantee) String() string {
	switch g {
	case Advisory:
		return "advisory"
	case FencedOrder:
		return "fenced order"
	case Linearizable:
		return "linearizable"
	case 0:
		return "none"
	}
	return "Guarantee(" + strconv.Itoa(int(g)) + ")"
}

// Features is a set of things that some backends do.
type Features uint

const (
	// Fair means that waiters of different clients get the lock in the order in which the
	// server met them.
	Fair Features = 1 << iota
	// Push means that a waiter learns of its grant from the server, without polling.
	Push
)

// Has reports whether the set includes all of want.
func (f Features) Has(want Features) bool { return f&want == want }

func (f Features) String() string {
	var names []string
	for _, n := range []struct {
		f    Features
		name string
	}{{Fair, "fair"}, {Push, "push"}} {
		if f.Has(n.f) {
			names = append(names, n.name)
		}
	}
	if rest := f &^ (Fair | Push); rest != 0 {
		names = append(names, "Features(0x"+strconv.FormatUint(uint64(rest), 16)+")")
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, "+")
}
