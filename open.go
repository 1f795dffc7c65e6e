package fencelock

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/internal/suspend"
)

// Opener connects to the server that a URL names. It refuses query parameters
// that it does not know, by name, understands namespace=, and never puts the URL
// or a part of it that may be secret into an error. Open has taken token_base= out of it.
//
// It does not wait for a server that is away: within 5 s it returns an error that wraps
// driver.ErrUnavailable and tells what was tried and what came of it. ctx may end sooner.
type Opener func(ctx context.Context, u *url.URL, o driver.OpenOptions) (driver.Backend, error)

var registry struct {
	mu      sync.RWMutex
	schemes map[string]Opener
}

// Register makes a URL scheme known to [Open]. Backends call it from an init
// function, so that a blank import is enough. It panics if the scheme is empty,
// not in lower case, or taken.
func Register(scheme string, o Opener) {
	if scheme == "" || scheme != strings.ToLower(scheme) || o == nil {
		panic(fmt.Sprintf("fencelock: Register(%q): want a scheme in lower case and an Opener", scheme))
	}
	registry.mu.Lock()
	defer registry.mu.Unlock()
	if registry.schemes == nil {
		registry.schemes = make(map[string]Opener)
	}
	if _, taken := registry.schemes[scheme]; taken {
		panic(fmt.Sprintf("fencelock: Register(%q): the scheme is registered already", scheme))
	}
	registry.schemes[scheme] = o
}

// Open connects to the server that rawURL names, and checks that it can do what
// opts ask for. The scheme chooses the backend, whose package must have been
// imported:
//
//	import _ "github.com/fencelock/fencelock/backend/redis"
//
// The rest of the URL is the backend's, but for token_base=, which is [Options.TokenBase] in
// any URL. Two URLs of different servers are two sets of locks: see [OpenBoth].
//
// ctx bounds the opening only. Open does not wait for a server that is away: it fails within
// 5 s. A member of a cluster is part of the server: its first start waits for the others,
// until ctx ends, or for a minute where ctx has no deadline.
//
// Each error is of kind ErrInvalid, ErrUnsupported, ErrUnavailable or ErrRefused. It tells the
// scheme and the host, and never the URL, since that may hold a password. opts may be nil.
func Open(ctx context.Context, rawURL string, opts *Options) (*Client, error) {
	fail := func(kind, err error) (*Client, error) {
		return nil, &Error{Op: "open", Kind: kind, Err: err}
	}
	if ctx == nil {
		return fail(ErrInvalid, errNilContext)
	}
	if err := misread(rawURL); err != nil {
		return fail(ErrInvalid, err)
	}
	u, err := parseURL(rawURL)
	if err != nil && !strings.Contains(rawURL, "://") {
		return fail(ErrInvalid, schemeless(rawURL))
	}
	if err != nil {
		// err quotes the URL, and with it the password: say nothing of it.
		return fail(ErrInvalid, errors.New("the URL cannot be parsed: write it like redis://user:password@host:6379. The port is a number, "+
			"and special characters in user and password are percent-encoded (/ is %2F, @ is %40)"))
	}
	registry.mu.RLock()
	opener := registry.schemes[u.Scheme]
	known := registeredLocked()
	registry.mu.RUnlock()
	switch {
	case u.Scheme == "" || u.Opaque != "":
		return fail(ErrInvalid, schemeless(rawURL))
	case opener == nil:
		return fail(ErrInvalid, unknownScheme(u, known))
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	if err := o.check(); err != nil {
		return fail(ErrInvalid, err)
	}
	if err := mergeNamespace(u, &o); err != nil {
		return fail(ErrInvalid, err)
	}
	if err := mergeTokenBase(u, &o); err != nil {
		return fail(ErrInvalid, err)
	}
	log, lines := newLog(o.Logger)
	bounded, cancel := ctx, context.CancelFunc(func() {})
	if _, ok := ctx.Deadline(); !ok {
		bounded, cancel = context.WithTimeout(ctx, openTimeout)
	}
	b, err := opener(bounded, u, driver.OpenOptions{Logger: log})
	cancel()
	if err != nil {
		flushSoon(lines) //nolint:contextcheck // it has a moment of its own
		return fail(openError(ctx, u, err))
	}
	c, err := newClient(b, &o, log, lines, suspend.Process) //nolint:contextcheck // the client outlives ctx
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return c, nil
}

// openTimeout is how long Open waits where ctx has no deadline: for the other members of a
// cluster that starts for the first time. All else has ended long before, see [Opener].
const openTimeout = time.Minute

// openError returns kind and text for an error of an Opener. ctx is the caller's.
func openError(ctx context.Context, u *url.URL, err error) (kind, told error) {
	if errors.Is(err, ErrInvalid) {
		return ErrInvalid, err // it names the part of the URL
	}
	place := u.Host                      // without user and password
	if place == "" || place == "unix:" { // raft://unix:/path
		place += u.Path
	}
	kind = kindOf(err)
	switch {
	case errors.Is(err, ErrUnsupported):
		kind = ErrUnsupported
	case kind == nil: // since ctx has ended, or of an Opener that says no more than that it could not
		kind = ErrUnavailable
	}
	if ctx.Err() == nil {
		err = withoutContext(err)
	}
	return kind, fmt.Errorf("%s://%s: %w", u.Scheme, place, err)
}

func registeredLocked() string {
	names := make([]string, 0, len(registry.schemes))
	for s := range registry.schemes {
		names = append(names, s)
	}
	slices.Sort(names)
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
