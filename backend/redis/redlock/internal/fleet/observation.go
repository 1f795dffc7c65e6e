package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
)

// observation is what one look at a node has found.
type observation struct {
	seen bool      // it was looked at
	at   time.Time // when the look began; zero where it does not matter
	err  error     // it cannot be asked, or is no server for this; what follows is empty, but for run
	run  string
	id   string
	list *List  // nil if it has none
	cert record // zero if it has none
	weak string // what keeps it from keeping its data through a crash
}

// answers reports whether a look has found a server that may be a node.
func (s observation) answers() bool { return s.seen && s.err == nil }

// certified reports whether this process of the server may answer, in the list that the node has.
func (s observation) certified() bool { return s.intact() && s.cert.run == s.run }

// intact reports whether the node has all that makes it one of its list.
func (s observation) intact() bool {
	return s.list != nil && s.id != "" && s.cert.list == s.list.ID && s.cert.edition == s.list.edition() && s.cert.identity == s.id
}

// state tells observations apart that have to be waited out each for itself.
func (s observation) state() string { return s.run + "|" + s.id + "|" + s.cert.String() }

// known is what a client remembers of a node.
type known struct {
	id    string    // the identity that it had when it was fit
	count uint64    // of its certifications
	state string    // of the last observation
	since time.Time // when that state was seen first
}

// remember records an observation.
func (k *known) remember(s observation, now time.Time) {
	if s.err == nil && (k.state != s.state() || k.since.IsZero()) {
		k.state, k.since = s.state(), now
	}
}

// The reasons why a node takes no part. Each is of one kind: it passes by itself, it does not, or what
// was asked for is wrong.

func passing(format string, args ...any) error {
	return &reason{driver.ErrUnavailable, fmt.Errorf(format, args...)}
}

func lasting(format string, args ...any) error {
	return &reason{driver.ErrRefused, fmt.Errorf(format, args...)}
}

func invalid(format string, args ...any) error {
	return &reason{driver.ErrInvalid, fmt.Errorf(format, args...)}
}

// reason is an error of a kind that its text does not name: it stands in a line about a node.
type reason struct{ kind, err error }

func (r *reason) Error() string   { return r.err.Error() }
func (r *reason) Unwrap() []error { return []error{r.kind, r.err} }

// inWords is an error without the kinds that stand in front of it, of which it remains.
func inWords(err error) error {
	if err == nil || plain(err) == err.Error() {
		return err
	}
	return &reason{err, errors.New(plain(err))}
}

// ofKind is an error that is of a kind that the recipe knows.
func ofKind(err error) error {
	switch {
	case err == nil, errors.Is(err, driver.ErrUnavailable), errors.Is(err, driver.ErrRefused):
		return err
	case errors.Is(err, driver.ErrUnsupported), errors.Is(err, driver.ErrInvalid):
		return &reason{driver.ErrRefused, err}
	}
	return &reason{driver.ErrUnavailable, err} // an answer that we do not understand
}

// abstaining is the error of a node that votes again when its time has come.
type abstaining struct {
	why   string
	until time.Time
}

func (a *abstaining) Error() string {
	return fmt.Sprintf("%s: it abstains until %s, since leases that it may have forgotten live until then at most", a.why, a.until.Format("15:04:05"))
}

func (a *abstaining) Unwrap() error { return driver.ErrUnavailable }

func abstains(err error) bool {
	var a *abstaining
	return errors.As(err, &a)
}

// Server is one server, as a fleet needs it: *node.Node is, by Wrap.
type Server interface {
	Look(ctx context.Context) (Told, error)
	Prepare(ctx context.Context, scripts []*node.Script, p node.Permissions) error
	Eval(ctx context.Context, timeout time.Duration, s *node.Script, keys int, args ...any) (any, error)
	Go(c *node.Call)
	Subscribe(ctx context.Context, channel string, take func(payload string), again func()) error
	Trip() time.Duration
	Close()
}

// Told is what a server tells of itself.
type Told struct {
	RunID    string
	Unusable error  // why no lock can be kept on it
	Weak     string // what keeps it from keeping its data through a crash; "" if nothing does
}

// Wrap makes a Server of a node.
func Wrap(n *node.Node) Server { return wrapped{n} }

type wrapped struct{ *node.Node }

func (w wrapped) Look(ctx context.Context) (Told, error) {
	s, err := w.Node.Look(ctx)
	if err != nil {
		return Told{}, err
	}
	return Told{RunID: s.RunID(), Unusable: s.Usable(), Weak: s.NotDurable()}, nil
}
