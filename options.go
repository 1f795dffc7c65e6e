package fencelock

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// DefaultTTL is the TTL of a lease where Options.TTL is zero.
const DefaultTTL = 15 * time.Second

// Options configure a [Client]. Nil and zero fields mean the defaults.
type Options struct {
	// TTL is how long a lock outlives a holder that dies. The lease is renewed
	// each third of it, and trusted for nine tenths of it after the last renewal
	// that the server confirmed. [DefaultTTL] if zero.
	TTL time.Duration

	// RequireGuarantee makes Open fail with ErrUnsupported on a backend that promises less.
	RequireGuarantee driver.Guarantee

	// RequireFeatures makes Open fail with ErrUnsupported on a backend that lacks one.
	RequireFeatures driver.Features

	// Identity says who holds a lock, for people. Inspect, ListHeld, Evict and a HeldError show
	// it. It is UTF-8 without a NUL character, up to 255 bytes. By default "host/pid/program".
	Identity string

	// Namespace keeps the keys of one application apart from another's on the same
	// server; as ?namespace= in the URL. Only for Open.
	Namespace string

	// TokenBase is added to every token that the backend grants: so that tokens go on
	// rising when a namespace moves to a backend whose numbers are lower (Redis and the
	// built-in Raft count microseconds since 1970, ZooKeeper's are about 10⁹ to 10¹¹,
	// etcd's begin at 2). Without it a resource that compares tokens refuses every write
	// after such a move, for ever. It is at least the highest token that any resource has
	// seen; at most 1<<62; also as ?token_base= in the URL.
	//
	// All clients of a namespace need the same base. Where they differ, a token no longer
	// tells which of two grants is newer: see docs/coming-from.
	TokenBase fencing.Token

	// Logger gets rare events: a lease lost, a renewal that failed, a server
	// setting that weakens the promise. slog.Default() if nil; slog.DiscardHandler
	// makes it silent. Its handler is called by a goroutine of its own, in order, and may
	// block: nothing waits for it. Of the lines that it has not taken 1,024 are kept; then
	// a line tells how many are missing. Close waits for what is left, within its 5 s.
	Logger *slog.Logger

	// Observer is told of everything that happens to locks. May be nil.
	Observer Observer
}

// check says what is wrong with the options, whatever the backend is.
func (o *Options) check() error {
	switch {
	case o.TTL < 0:
		return fmt.Errorf("Options.TTL is %v: want more, or zero for %v", o.TTL, DefaultTTL)
	case o.RequireGuarantee < 0 || o.RequireGuarantee > driver.Linearizable:
		return fmt.Errorf("Options.RequireGuarantee is %d: want Advisory, FencedOrder or Linearizable", o.RequireGuarantee)
	case o.RequireFeatures&^(driver.Fair|driver.Push) != 0:
		return fmt.Errorf("Options.RequireFeatures is %#x: want Fair, Push, or both", uint(o.RequireFeatures))
	case o.Logger != nil && o.Logger.Handler() == nil:
		return errors.New("Options.Logger has no handler: make it with slog.New, or leave it nil")
	case isNil(o.Observer):
		return fmt.Errorf("Options.Observer is a nil %T: leave the field out where there is none", o.Observer)
	}
	_, err := checkIdentity("Options.Identity", o.Identity)
	return err
}

// isNil reports whether an interface holds a nil pointer, or the like. Its methods may be meant
// to work so; but as a rule somebody has put a variable into it that nothing was put into.
func isNil(v any) bool {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Chan:
		return r.IsNil()
	default:
		return false
	}
}

var errNilContext = errors.New("the context is nil: pass context.Background, or context.TODO")

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

// checkIdentity returns the identity to use for id, or an error that names the field.
func checkIdentity(field, id string) (string, error) {
	if id == "" {
		id = defaultIdentity()
	}
	switch {
	case len(id) > driver.MaxIdentityLen:
		return "", fmt.Errorf("%s has %d bytes; the longest has %d: shorten it, or put the rest into WithMeta", field, len(id), driver.MaxIdentityLen)
	case !utf8.ValidString(id):
		return "", fmt.Errorf("%s is not valid UTF-8: use strings.ToValidUTF8, or strconv.Quote", field)
	case strings.Contains(id, "\x00"):
		return "", fmt.Errorf("%s has a NUL character: leave it out, since servers store it between the identity and the metadata", field)
	}
	return id, nil
}

func defaultIdentity() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown-host"
	}
	id := host + "/" + strconv.Itoa(os.Getpid()) + "/" + filepath.Base(os.Args[0])
	if len(id) > driver.MaxIdentityLen || !utf8.ValidString(id) {
		return "pid " + strconv.Itoa(os.Getpid())
	}
	return id
}

const (
	// maxToken is the largest token: it fits a signed 64-bit column.
	maxToken fencing.Token = 1<<63 - 1
	// maxTokenBase leaves the backend as many tokens as it takes away.
	maxTokenBase fencing.Token = 1 << 62
)

func checkTokenBase(field string, base fencing.Token) error {
	if base > maxTokenBase {
		return fmt.Errorf("%s is %v; the largest is %v, so that tokens fit a signed 64-bit number", field, base, maxTokenBase)
	}
	return nil
}
