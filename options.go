package fencelock

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/fencelock/fencelock/driver"
)

// DefaultTTL is the TTL of a lease where Options.TTL is zero.
const DefaultTTL = 15 * time.Second

// Options configure a [Client]. Nil and zero fields mean the defaults.
type Options struct {
	// TTL is how long a lock outlives a holder that dies. The lease is renewed
	// each third of it, and trusted for nine tenths of it after the last renewal
	// that the server confirmed. [DefaultTTL] if zero.
	TTL time.Duration

	// Require makes Open fail with ErrUnsupported on a backend that promises less.
	Require driver.Guarantee

	// Features makes Open fail with ErrUnsupported on a backend that lacks one.
	Features driver.Features

	// Identity says who holds a lock, for people: Inspect shows it. By default
	// "host/pid/program".
	Identity string

	// Namespace keeps the keys of one application apart from another's on the same
	// server; as ?namespace= in the URL. Only for Open.
	Namespace string

	// Logger gets rare events: a lease lost, a renewal that failed, a server
	// setting that weakens the promise. slog.Default() if nil; slog.DiscardHandler
	// makes it silent.
	Logger *slog.Logger

	// Observer is told of everything that happens to locks. May be nil.
	Observer Observer
}

// LockOption changes one call of Lock, TryLock or Do.
type LockOption interface{ apply(*lockConfig) }

type lockConfig struct{ ttl time.Duration }

type ttlOption time.Duration

func (o ttlOption) apply(c *lockConfig) { c.ttl = time.Duration(o) }

// WithTTL gives this lease a TTL of its own. It is rounded up to a whole
// millisecond, and must lie within Info.MinTTL and Info.MaxTTL.
func WithTTL(d time.Duration) LockOption { return ttlOption(d) }

// checkTTL returns d in whole milliseconds, or an error that names the field.
func checkTTL(field string, d time.Duration, info driver.Info) (time.Duration, error) {
	if d < info.MinTTL || d > info.MaxTTL {
		return 0, fmt.Errorf("%s is %v; %s takes %v to %v", field, d, info.Name, info.MinTTL, info.MaxTTL)
	}
	return min((d + time.Millisecond - 1).Truncate(time.Millisecond), info.MaxTTL), nil
}

func checkKey(key string) error {
	switch {
	case key == "":
		return errors.New("the key is empty; name what is locked, such as \"invoices/42\"")
	case len(key) > driver.MaxKeyLen:
		return fmt.Errorf("the key has %d bytes; the longest has %d", len(key), driver.MaxKeyLen)
	case !utf8.ValidString(key):
		return errors.New("the key is not valid UTF-8")
	}
	return nil
}

// quoteKey shows a key in a message: quoted, and cut where it is long.
func quoteKey(key string) string {
	const most = 120
	if len(key) <= most {
		return strconv.Quote(key)
	}
	return strconv.Quote(key[:most]) + "…"
}

func checkIdentity(id string) (string, error) {
	if id == "" {
		id = defaultIdentity()
	}
	switch {
	case len(id) > driver.MaxMetaLen:
		return "", fmt.Errorf("Options.Identity has %d bytes; the longest has %d", len(id), driver.MaxMetaLen)
	case !utf8.ValidString(id):
		return "", errors.New("Options.Identity is not valid UTF-8")
	}
	return id, nil
}

func defaultIdentity() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown-host"
	}
	id := host + "/" + strconv.Itoa(os.Getpid()) + "/" + filepath.Base(os.Args[0])
	if len(id) > driver.MaxMetaLen || !utf8.ValidString(id) {
		return "pid " + strconv.Itoa(os.Getpid())
	}
	return id
}
