package etcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fencelock/fencelock/driver"
)

// sorted sorts an error of the client: driver.ErrUnavailable where asking again may help, the
// server's own otherwise. Whether a caller's context has ended is for others to see.
func sorted(err error) error {
	switch {
	case lasting(err):
		return err
	case errors.Is(err, context.Canceled):
		err = errSilent // nobody but we cancels it: see bound
	}
	return fmt.Errorf("%w: %w", driver.ErrUnavailable, err)
}

var errSilent = errors.New("etcd: no answer within the time that one request has")

// lasting reports whether the server has refused, and will do so again: no
// permission, a wrong password, a request that it does not understand. Not so
// where only the client's token is out of date, which it mends by itself.
func lasting(err error) bool {
	switch {
	case errors.Is(err, rpctypes.ErrInvalidAuthToken), errors.Is(err, rpctypes.ErrAuthOldRevision):
		return false
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

// leaseGone reports whether the server has said that a lease does not exist.
func leaseGone(err error) bool { return errors.Is(err, rpctypes.ErrLeaseNotFound) }
