package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
)

// What an answer of the servers means, or that there is none:
//
//	                                               asking again  it has done
//	temporary  no leader, too many requests, a     may help      nothing
//	           token that has ended, a learner
//	permanent  no permission, a wrong password,    does not      nothing
//	           what it does not understand
//	no space   see claimRemains, in package etcd   may help      nobody knows
//	gone       the lease: see LeaseGone
//	silence    all others: an election, a server   may help      nobody knows
//	           that ends, no answer in time

// Classify sorts an error of the client by that table. Whether a caller's context has ended is for
// the caller to see: an error of a context comes from a timeout of our own here, see Bound.
func Classify(err error) error {
	err = &PlainError{err}
	switch {
	case IsPermanent(err):
		return fmt.Errorf("%w: %w", driver.ErrRefused, err)
	case IsTemporary(err):
		return fmt.Errorf("%w: %w: %w", driver.ErrUnavailable, driver.ErrRefused, err)
	case CodeOf(err) == codes.Canceled, CodeOf(err) == codes.DeadlineExceeded, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		err = ErrSilent
	}
	return fmt.Errorf("%w: %w", driver.ErrUnavailable, err)
}

// These come without an answer of a server.
var (
	ErrSilent = errors.New("etcd: no answer within the time that one request has")
	ErrClosed = errors.New("etcd: the backend is closed") // it began before Close ended, or after
)

// ErrOldPassword: the password has been changed on the servers, and not in the file yet, or the
// other way round. The file is read again for the next login.
var ErrOldPassword = errors.New("etcd: the servers do not take the password that is in the file of password_file= now")

// errLearner is the answer of a member that has no vote yet. The next request may meet another member,
// or this one has a vote by then.
var errLearner = rpctypes.Error(rpctypes.ErrGRPCNotSupportedForLearner)

// IsTemporary reports whether the server has refused before it did anything, and may not the next time.
func IsTemporary(err error) bool {
	return isOneOf(err, rpctypes.ErrNoLeader, rpctypes.ErrTooManyRequests, rpctypes.ErrInvalidAuthToken, rpctypes.ErrAuthOldRevision, errLearner, ErrOldPassword)
}

func isOneOf(err error, those ...error) bool {
	return slices.ContainsFunc(those, func(that error) bool { return errors.Is(err, that) })
}

// IsPermanent reports whether the server has refused, and will do so again: no
// permission, a wrong password, a request that it does not understand. Not so
// where only the client's token is out of date, which it mends by itself.
func IsPermanent(err error) bool {
	if IsTemporary(err) {
		return false
	}
	if isOneOf(err, rpctypes.ErrAuthFailed, rpctypes.ErrPermissionDenied) {
		return true
	}
	switch CodeOf(err) {
	case codes.PermissionDenied, codes.Unauthenticated, codes.InvalidArgument, codes.FailedPrecondition, codes.Unimplemented:
		return true
	}
	return false
}

// CodeOf returns the code of an error, whichever layer of the client it is from.
func CodeOf(err error) codes.Code {
	var e rpctypes.EtcdError
	if errors.As(err, &e) {
		return e.Code()
	}
	return status.Code(err)
}

// LeaseGone reports whether the server has said that a lease does not exist.
func LeaseGone(err error) bool { return errors.Is(err, rpctypes.ErrLeaseNotFound) }

// RequestError sorts an error of a request that Bound has bounded in time; ctx is the
// caller's, without the bound.
func (c *Conn) RequestError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return c.ContextError(ctx)
	}
	return c.DetachedError(err)
}

// DetachedError sorts an error of a request that belongs to no caller.
func (c *Conn) DetachedError(err error) error {
	if c.Closed() {
		return ErrClosed
	}
	err = Classify(err)
	if text := c.trouble.now(); errors.Is(err, ErrSilent) && text != "" {
		return fmt.Errorf("%w: %s", err, text)
	}
	if took := time.Duration(c.RoundTrip.Load()); errors.Is(err, ErrSilent) && took > far {
		err = fmt.Errorf("%w; a request took %v when the session was made; a renewal is two, and has a third of the TTL", err, took.Round(time.Millisecond))
	}
	return err
}

// ContextError returns the error of a caller's context that ended before there was an answer. It adds
// why the servers cannot be reached, if that is known.
func (c *Conn) ContextError(ctx context.Context) error {
	if text := c.trouble.now(); text != "" {
		return fmt.Errorf("%w: %s", context.Cause(ctx), text)
	}
	return context.Cause(ctx)
}

// far is the time of a request from which on errors mention it.
const far = 50 * time.Millisecond

// RefusesToken reports whether a server does not accept the token of a request. It has not carried out
// the request. The user is empty where the server wanted no user until somebody switched
// authentication on.
func RefusesToken(err error) bool {
	return isOneOf(rpctypes.Error(err), rpctypes.ErrInvalidAuthToken, rpctypes.ErrAuthOldRevision, rpctypes.ErrUserEmpty)
}

// RefusesWatch is RefusesToken for the end of a watch, which gives its reason as text.
func RefusesWatch(reason string) bool {
	for _, err := range []error{rpctypes.ErrInvalidAuthToken, rpctypes.ErrAuthOldRevision, rpctypes.ErrUserEmpty} {
		if strings.Contains(reason, err.Error()) {
			return true
		}
	}
	return false
}

// Trouble remembers why a server could not be reached. The client repeats by itself what
// only reads, until the time of the request is over, and then says only that the time is over: not that
// a certificate has expired, say.
type Trouble struct {
	Contact *address.Contact // logs what an operator should know

	mu   sync.Mutex
	text string
	at   time.Time
}

// freshTrouble is the greatest age of a reason that errors still give.
const freshTrouble = 10 * time.Second

// Unary notes the outcome of each request that the client sends.
func (t *Trouble) Unary(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := invoke(ctx, method, request, reply, conn, opts...)
	switch said := status.Convert(err).Message(); {
	case err == nil:
		t.note("")
	case strings.HasPrefix(said, "latest balancer error: "), status.Code(err) == codes.Unavailable: // it waits for a connection, or lost it
		t.note(plainText(said))
	}
	return err
}

// plainText removes what gRPC wraps around the reason for which there is no connection.
func plainText(text string) string {
	_, after, found := strings.Cut(text, " desc = ")
	for ; found; _, after, found = strings.Cut(text, " desc = ") {
		text = strings.Trim(after, `"`)
	}
	for _, around := range []string{"latest balancer error: ", "transport: ", "Error while dialing: ", "error reading server preface: "} {
		text = strings.ReplaceAll(text, around, "")
	}
	return strings.Join(strings.Fields(strings.ReplaceAll(text, `\"`, `"`)), " ") // in one line
}

func (t *Trouble) note(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text, t.at = text, time.Now()
}

// now returns the reason, or nothing.
func (t *Trouble) now() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.at) > freshTrouble {
		return ""
	}
	return t.text
}

// PlainError is an error of gRPC in words for people.
type PlainError struct{ Err error }

func (p *PlainError) Error() string { return plainText(p.Err.Error()) }
func (p *PlainError) Unwrap() error { return p.Err }
