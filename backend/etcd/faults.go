package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fencelock/fencelock/driver"
)

// What an answer of the servers means, or that there is none:
//
//	                                               asking again  it has done
//	passing    no leader, too many requests, a     may help      nothing
//	           token that has ended, a learner
//	for good   no permission, a wrong password,    does not      nothing
//	           what it does not understand
//	no space   see [backend.spared]                may help      nobody knows
//	gone       the lease: see leaseGone
//	silence    all others: an election, a server   may help      nobody knows
//	           that ends, no answer in time

// sorted sorts an error of the client by that table. Whether a caller's context has ended is for
// others to see: an error of a context is of a time of our own here, see bound.
func sorted(err error) error {
	err = &plain{err}
	switch {
	case lasting(err):
		return fmt.Errorf("%w: %w", driver.ErrRefused, err)
	case passing(err):
		return fmt.Errorf("%w: %w: %w", driver.ErrUnavailable, driver.ErrRefused, err)
	case code(err) == codes.Canceled, code(err) == codes.DeadlineExceeded, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		err = errSilent
	}
	return fmt.Errorf("%w: %w", driver.ErrUnavailable, err)
}

var errSilent = errors.New("etcd: no answer within the time that one request has")

// errLearner is the answer of a member that has no vote yet. Another may be asked next, or it has one by then.
var errLearner = rpctypes.Error(rpctypes.ErrGRPCNotSupportedForLearner)

// passing reports whether the server has refused before it did anything, and may not the next time.
func passing(err error) bool {
	for _, is := range []error{rpctypes.ErrNoLeader, rpctypes.ErrTooManyRequests, rpctypes.ErrInvalidAuthToken, rpctypes.ErrAuthOldRevision, errLearner, errOldPassword} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

// lasting reports whether the server has refused, and will do so again: no
// permission, a wrong password, a request that it does not understand. Not so
// where only the client's token is out of date, which it mends by itself.
func lasting(err error) bool {
	if passing(err) {
		return false
	}
	switch {
	case errors.Is(err, rpctypes.ErrAuthFailed), errors.Is(err, rpctypes.ErrPermissionDenied):
		return true
	}
	switch code(err) {
	case codes.PermissionDenied, codes.Unauthenticated, codes.InvalidArgument, codes.FailedPrecondition, codes.Unimplemented:
		return true
	}
	return false
}

func code(err error) codes.Code {
	var e rpctypes.EtcdError
	if errors.As(err, &e) {
		return e.Code()
	}
	return status.Code(err)
}

// whoAsks adds to an error that ended Open where user and password go, if it is about them.
func whoAsks(scheme string, err error) error {
	form := fmt.Sprintf("%s://user:password@host, or %s://user@host?password_file=/path", scheme, scheme)
	switch {
	case errors.Is(err, rpctypes.ErrUserEmpty):
		return fmt.Errorf("%w (the servers want a user and a password: write %s)", err, form)
	case errors.Is(err, rpctypes.ErrAuthFailed):
		return fmt.Errorf("%w (look at user and password: %s; special characters in the URL are percent-encoded)", err, form)
	}
	return err
}

// spared sorts the error of a transaction that would have deleted the claim that a key has for its
// value, and that a server without space has refused. As a rule that is before anything else; but the
// transaction for which the server notices that there is none has been carried out, and is answered
// in the same way (etcd's quotaApplierV3). So spared looks: if the claim is there, nothing was done.
func (b *backend) spared(ctx, bounded context.Context, name string, value []byte, noSpace error) (there bool, err error) {
	answer, err := b.client.Get(bounded, name)
	if err != nil {
		return false, b.requestFault(ctx, noSpace)
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
