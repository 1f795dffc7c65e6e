package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"syscall"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
)

// The errors of requests that have no answer.
var (
	ErrClosed    = Unavailable("the backend is closed")
	ErrExpired   = Unavailable("the session with the server has expired")
	ErrNoAnswer  = Unavailable("the server has not answered in time")
	errNoSession = Unavailable("no server accepts a session")
	// errLocal replaces zk.ErrSessionExpired where the session lives: see isLocal.
	errLocal = errors.New("the server says that the session has expired, and yet serves it: it is local to one server, " +
		"which lets it make no lock; set localSessionsUpgradingEnabled=true on all servers, or localSessionsEnabled=false")
)

// Unavailable makes an error after which asking again may help.
func Unavailable(why string) error { return fmt.Errorf("%w: %s", driver.ErrUnavailable, why) }

// verdict is what an error of the server says about the request.
type verdict int

const (
	noVerdict verdict = iota // the error is not the server's, or leaves open what was done
	outcome                  // nothing was done, since things are not as the request takes them to be
	passing                  // nothing was done, and asking again may help
	lasting                  // nothing was done, and asking again would not help
)

// verdicts are the errors that a server sends and go-zookeeper has a name for. Two of them it
// makes itself, of requests that it does not send.
//
// Errors that leave open what an earlier request has done are not among them: a session that has
// expired, or was moved to another server.
var verdicts = map[error]verdict{
	zk.ErrNoNode:                  outcome,
	zk.ErrNodeExists:              outcome,
	zk.ErrNotEmpty:                outcome,
	zk.ErrBadVersion:              outcome,
	zk.ErrNoAuth:                  lasting,
	zk.ErrAuthFailed:              lasting,
	zk.ErrInvalidACL:              lasting,
	zk.ErrBadArguments:            lasting,
	zk.ErrNoChildrenForEphemerals: lasting,
	zk.ErrInvalidPath:             lasting, // go-zookeeper's own
	zk.ErrInvalidFlags:            lasting, // the same
	errLocal:                      lasting,
}

// unnamed are the errors that go-zookeeper has no name for, by the text that it makes of their
// numbers.
var unnamed = map[string]struct {
	is    verdict
	means string
}{
	"unknown error: -6":   {lasting, "the server does not know the request"},
	"unknown error: -120": {lasting, "the session is local to one server, which lets it make no lock: set localSessionsUpgradingEnabled=true"},
	"unknown error: -124": {lasting, "the server serves only clients that authenticate (enforce.auth.enabled): write zookeeper://user:password@host if digest is among its enforce.auth.schemes"},
	"unknown error: -125": {passing, "the quota of a node above is used up (enforceQuota)"},
	"unknown error: -127": {passing, "the server has too many requests waiting (throttled)"},
}

// verdictOf returns what an error says about the request, and what it means if go-zookeeper has
// no name for it.
func verdictOf(err error) (is verdict, means string) {
	for ; err != nil; err = errors.Unwrap(err) {
		if u, ok := unnamed[err.Error()]; ok {
			return u.is, u.means
		}
		if multiple, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range multiple.Unwrap() {
				if is, means := verdictOf(e); is != noVerdict {
					return is, means
				}
			}
			return noVerdict, ""
		}
		if reflect.TypeOf(err).Comparable() {
			if is := verdicts[err]; is != noVerdict {
				return is, ""
			}
		}
	}
	return noVerdict, ""
}

// Classify makes an error of go-zookeeper one of the contract's: driver.ErrRefused if the server
// has refused the request, for now or for good; driver.ErrUnavailable where asking again may
// help; the context's own if the caller's context has ended.
func Classify(ctx context.Context, err error) error { return ClassifySteps(ctx, err, true) }

// ClassifySteps does so for a request of several steps. driver.ErrRefused says that nothing at
// all was done, so it is added only if the steps before did nothing either.
func ClassifySteps(ctx context.Context, err error, nothingDone bool) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	for _, sorted := range []error{driver.ErrUnavailable, driver.ErrRefused, driver.ErrHeld, driver.ErrNotHeld, driver.ErrReleased, driver.ErrUnsupported} {
		if errors.Is(err, sorted) {
			return err
		}
	}
	is, means := verdictOf(err)
	switch {
	case means != "":
		err = fmt.Errorf("%s: %w", means, err)
	case errors.Is(err, zk.ErrNoAuth):
		err = fmt.Errorf("%w (the ACL of a node keeps this user out: look at user and password, zookeeper://user:password@host, "+
			"since ZooKeeper takes a wrong password for somebody else, and at acl= of those who made the node)", err)
	}
	if nothingDone && (is == passing || is == lasting) {
		err = fmt.Errorf("%w: %w", driver.ErrRefused, err)
	}
	if is == lasting {
		return err
	}
	return fmt.Errorf("%w: %w", driver.ErrUnavailable, err)
}

// Lasting reports whether an error says that nothing was done, and that asking again would not help.
func Lasting(err error) bool {
	is, _ := verdictOf(err)
	return is == lasting
}

// Answered reports whether an error is the server's answer to the request, so that it is known
// what was done: nothing. All other errors leave that open.
func Answered(err error) bool {
	is, _ := verdictOf(err)
	return is != noVerdict
}

// Unimplemented reports whether the error says that the server does not know the request.
func Unimplemented(err error) bool { return err != nil && err.Error() == "unknown error: -6" }

// tooLate is the error of a request that was not answered within its time. If that time is little
// more than the server's distance takes, the error says so.
func (l *Link) tooLate(timeout time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.failure != nil: // there is no connection now
		return fmt.Errorf("%w: %w", ErrNoAnswer, l.failure)
	case l.granted < timeout/2:
		return ErrNoAnswer
	}
	return fmt.Errorf("%w: not within %v, and when we connected it took %v; is it too far away for so short a TTL?",
		ErrNoAnswer, timeout.Round(time.Millisecond), l.granted.Round(time.Millisecond))
}

// large is the length of a request that a server may not read, if its jute.maxbuffer is set to
// less than is usual.
const large = 1000

// whyClosed adds to the error of a connection that was closed what is known besides. A server
// closes, without an answer, the connection of a client that sends more than its jute.maxbuffer.
func (l *Link) whyClosed(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hungUp <= large || time.Since(l.hungUpAt) > time.Second {
		return err
	}
	return fmt.Errorf("%w by the server, when the last request had %d bytes; if its log says \"Len error\", set its jute.maxbuffer "+
		"to 65536 at least", err, l.hungUp)
}

// noSession says why the server has given us no session. A server that closes the connection
// without a word does so for one of several reasons, which look the same.
func (c *rawConn) noSession(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%s has accepted the connection, and then said nothing for %v", c.addr, c.handshakeTimeout.Round(time.Millisecond))
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		tls := ""
		if c.link.tls == nil {
			tls = ", or wants TLS"
		}
		return fmt.Errorf("%s has closed the connection without an answer: it is starting, has no majority, "+
			"has as many connections of this address as its maxClientCnxns allows%s; its log says which", c.addr, tls)
	default: // a certificate that it does not like, for one
		return withServerName(c.addr, err)
	}
}

// withServerName names the server in an error, if the error does not. The end of our own time is
// not that of a caller's context, for which it would be taken.
func withServerName(addr string, err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fmt.Errorf("%s does not answer", addr)
	case strings.Contains(err.Error(), addr):
		return err
	default:
		return fmt.Errorf("%s: %w", addr, err)
	}
}

// joinedErrors are several errors, as one line.
type joinedErrors []error

func joinErrors(all []error) error {
	if len(all) == 1 {
		return all[0]
	}
	return joinedErrors(all)
}

func (l joinedErrors) Unwrap() []error { return l }

func (l joinedErrors) Error() string {
	var texts []string
	for _, err := range l {
		texts = append(texts, err.Error())
	}
	return strings.Join(texts, "; ")
}
