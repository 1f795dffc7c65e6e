package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
//	no space   see [backend.claimRemains]          may help      nobody knows
//	gone       the lease: see leaseGone
//	silence    all others: an election, a server   may help      nobody knows
//	           that ends, no answer in time

// classify sorts an error of the client by that table. Whether a caller's context has ended is for
// the caller to see: an error of a context comes from a timeout of our own here, see bound.
func classify(err error) error {
	err = &plainError{err}
	switch {
	case isPermanent(err):
		return fmt.Errorf("%w: %w", driver.ErrRefused, err)
	case isTemporary(err):
		return fmt.Errorf("%w: %w: %w", driver.ErrUnavailable, driver.ErrRefused, err)
	case codeOf(err) == codes.Canceled, codeOf(err) == codes.DeadlineExceeded, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		err = errSilent
	}
	return fmt.Errorf("%w: %w", driver.ErrUnavailable, err)
}

// errGone is why a claim or a lease is lost.
var errGone = errors.New("the server does not know it any more (did the session expire, or somebody delete the key?)")

var errSilent = errors.New("etcd: no answer within the time that one request has")

// errLearner is the answer of a member that has no vote yet. The next request may meet another member,
// or this one has a vote by then.
var errLearner = rpctypes.Error(rpctypes.ErrGRPCNotSupportedForLearner)

// isTemporary reports whether the server has refused before it did anything, and may not the next time.
func isTemporary(err error) bool {
	for _, is := range []error{rpctypes.ErrNoLeader, rpctypes.ErrTooManyRequests, rpctypes.ErrInvalidAuthToken, rpctypes.ErrAuthOldRevision, errLearner, errOldPassword} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

// isPermanent reports whether the server has refused, and will do so again: no
// permission, a wrong password, a request that it does not understand. Not so
// where only the client's token is out of date, which it mends by itself.
func isPermanent(err error) bool {
	if isTemporary(err) {
		return false
	}
	switch {
	case errors.Is(err, rpctypes.ErrAuthFailed), errors.Is(err, rpctypes.ErrPermissionDenied):
		return true
	}
	switch codeOf(err) {
	case codes.PermissionDenied, codes.Unauthenticated, codes.InvalidArgument, codes.FailedPrecondition, codes.Unimplemented:
		return true
	}
	return false
}

func codeOf(err error) codes.Code {
	var e rpctypes.EtcdError
	if errors.As(err, &e) {
		return e.Code()
	}
	return status.Code(err)
}

// withLoginHint adds to an error of Open where user and password go, if the error is about them.
func withLoginHint(scheme string, err error) error {
	form := fmt.Sprintf("%s://user:password@host, or %s://user@host?password_file=/path", scheme, scheme)
	switch {
	case errors.Is(err, rpctypes.ErrUserEmpty):
		return fmt.Errorf("%w (the servers want a user and a password: write %s)", err, form)
	case errors.Is(err, rpctypes.ErrAuthFailed):
		return fmt.Errorf("%w (look at user and password: %s; special characters in the URL are percent-encoded)", err, form)
	}
	return err
}

// claimRemains sorts the error of a transaction that a server without space has refused. The
// transaction would have deleted the claim with this name and value. As a rule the server refuses
// before it does anything; but the transaction for which it notices that there is no space has been
// carried out, and gets the same answer (etcd's quotaApplierV3). So claimRemains reads the key: if the
// claim is there, nothing was done.
func (b *backend) claimRemains(ctx, bounded context.Context, name string, value []byte, noSpace error) (there bool, err error) {
	answer, err := b.client.Get(bounded, name)
	if err != nil {
		return false, b.requestError(ctx, noSpace)
	}
	for _, kv := range answer.Kvs {
		if bytes.Equal(kv.Value, value) {
			return true, fmt.Errorf("%w: %w: %w", driver.ErrUnavailable, driver.ErrRefused, noSpace)
		}
	}
	return false, nil
}

// leaseGone reports whether the server has said that a lease does not exist.
func leaseGone(err error) bool { return errors.Is(err, rpctypes.ErrLeaseNotFound) }

// requestError sorts an error of a request that bound had bounded in time; ctx is the
// caller's, without the bound.
func (b *backend) requestError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return b.contextError(ctx)
	}
	return b.detachedError(err)
}

// detachedError sorts an error of a request that belongs to no caller.
func (b *backend) detachedError(err error) error {
	if b.closing.Err() != nil {
		return errClosed
	}
	err = classify(err)
	if text := b.trouble.now(); errors.Is(err, errSilent) && text != "" {
		return fmt.Errorf("%w: %s", err, text)
	}
	if took := time.Duration(b.roundTrip.Load()); errors.Is(err, errSilent) && took > far {
		err = fmt.Errorf("%w; a request took %v when the session was made; a renewal is two, and has a third of the TTL", err, took.Round(time.Millisecond))
	}
	return err
}

// contextError returns the error of a caller's context that ended before there was an answer. It adds
// why the servers cannot be reached, if that is known.
func (b *backend) contextError(ctx context.Context) error {
	if text := b.trouble.now(); text != "" {
		return fmt.Errorf("%w: %s", context.Cause(ctx), text)
	}
	return context.Cause(ctx)
}

// far is the time of a request from which on errors mention it.
const far = 50 * time.Millisecond

// trouble remembers why a server could not be reached. The client repeats by itself what
// only reads, until the time of the request is over, and then says only that the time is over: not that
// a certificate has expired, say.
type trouble struct {
	contact *address.Contact // logs what an operator should know

	mu   sync.Mutex
	text string
	at   time.Time
}

// freshTrouble is the greatest age of a reason that errors still give.
const freshTrouble = 10 * time.Second

// unary notes the outcome of each request that the client sends.
func (t *trouble) unary(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
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

func (t *trouble) note(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text, t.at = text, time.Now()
}

// now returns the reason, or nothing.
func (t *trouble) now() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.at) > freshTrouble {
		return ""
	}
	return t.text
}

// plainError is an error of gRPC in words for people.
type plainError struct{ err error }

func (p *plainError) Error() string { return plainText(p.err.Error()) }
func (p *plainError) Unwrap() error { return p.err }
