package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/driver"
)

var (
	// ErrClosed: the node has been closed. Asking again does not help.
	ErrClosed = goredis.ErrClosed

	// ErrNotSent: a call was not sent, and will not be.
	ErrNotSent = errors.New("not sent")

	// ErrFull: a call was not queued, since too many are. That says nothing of the server.
	ErrFull = errors.New("too many requests wait for this server")

	// ErrStale: the server, or something on the way, had closed a connection while it was
	// idle. The command was most likely not carried out, and is worth another try at once;
	// but nobody knows, for its answer may be what got lost.
	ErrStale = errors.New("the connection was idle, and had been closed")

	// ErrNoAnswer: the time of a request, or for connecting, was over.
	ErrNoAnswer = errors.New("no answer in time")

	// ErrReplaced: another server may have taken the place of the one that was asked, whose answer, if there was
	// one, does not count. The request may have been carried out.
	ErrReplaced = errors.New("another server may have taken its place")

	// ErrNowhere: the Place, or Moved, says that there is no such server now. The request was not sent.
	ErrNowhere = errors.New("the server is nowhere at the moment")

	// errCredentials: the server refuses what a file, or a function of the application, gave for
	// the connection. The next connection asks for them again, so the error is temporary: a password is
	// replaced in two places, one after the other.
	errCredentials = errors.New("the server does not take the user and password that it was shown now")
)

// notSent is ErrNotSent and why.
type notSent struct{ why error }

func (e *notSent) Error() string        { return ErrNotSent.Error() + ": " + e.why.Error() }
func (e *notSent) Is(target error) bool { return target == ErrNotSent }
func (e *notSent) Unwrap() error        { return e.why }

// replaced is an ErrReplaced that says more.
type replaced string

func (e replaced) Error() string        { return string(e) }
func (e replaced) Is(target error) bool { return target == ErrReplaced }

// BootError is ErrNotSent for a call that is for another process of the server.
type BootError struct {
	Want, Got string // the run_ids; Got is empty where the server does not tell
}

func (e *BootError) Error() string {
	return fmt.Sprintf("%v: the server has been restarted: it runs as %q, and the request is for %q", ErrNotSent, e.Got, e.Want)
}

// Is reports whether target is ErrNotSent.
func (e *BootError) Is(target error) bool { return target == ErrNotSent }

// refusals lists how the errors begin by which a server says that it has done nothing. Servers and
// their versions differ in how the errors go on. Some refusals are temporary: the server will not stay
// as it is. The others are permanent: the server is set up so.
//
// A script may have written before one of its commands is refused. Then its error begins with HALFWAY
// (lib.lua), which is not in the list. Checks that a server makes before it lets a script write at all,
// it does not make again once the script has written.
var refusals = []struct {
	begins    string
	temporary bool
}{
	{"LOADING ", true},              // it reads its data from disk
	{"BUSY ", true},                 // somebody's script runs
	{"OOM ", true},                  // its memory is full
	{"MISCONF ", true},              // it could not write to its disk
	{"NOREPLICAS ", true},           // too few replicas listen to it
	{"READONLY ", true},             // it has become a replica
	{"MASTERDOWN ", true},           // and has lost its master
	{"TRYAGAIN ", true},             // a Cluster is moving keys
	{"CLUSTERDOWN ", true},          // or lacks a part
	{"max number of clients", true}, // connections, rather

	{"NOPERM ", false},                                  // the ACL has no such command, key or channel,
	{"ACL failure in script", false},                    // for a script,
	{"The user executing the script can't ", false},     // in Redis 7.0
	{"NOAUTH ", false},                                  // it wants a password,
	{"WRONGPASS ", false},                               // another one,
	{"AUTH <password> called without ", false},          // or none
	{"DENIED ", false},                                  // protected mode
	{"unknown command", false},                          // rename-command,
	{"Unknown Redis command called from script", false}, // in a script,
	{"Unknown command called from script", false},       // in Valkey
	{"WRONGTYPE ", false},                               // somebody else's data has our names
	{"MOVED ", false},                                   // it has joined a Cluster
	{"CROSSSLOT ", false},                               // and refuses keys of several slots
	{"DB index is out of range", false},                 // the URL names a database that it has not
	{"invalid DB index", false},                         // in other words
	{"SELECT is not allowed in cluster mode", false},    // the same
	{"NOSCRIPT ", false},                                // it does not keep our scripts: a proxy
}

// isDoubtful reports whether a raw error is the server's word that it may not be the one that it was taken for: it
// is a replica, or was just restarted, or lacks replicas, or most of its Cluster, as one does that was cut off while
// another was named.
func isDoubtful(err error) bool {
	for _, begins := range []string{"READONLY ", "MASTERDOWN ", "LOADING ", "CLUSTERDOWN ", "NOREPLICAS ", "UNBLOCKED "} {
		if goredis.HasErrorPrefix(err, begins) {
			return true
		}
	}
	return false
}

// IsUnknownCommand reports whether a raw error is the server's word that it does not know a command, or
// does not allow it to this user. It has not carried the command out.
func IsUnknownCommand(err error) bool {
	return goredis.HasErrorPrefix(err, "unknown command") || goredis.HasErrorPrefix(err, "NOPERM ")
}

// IsOtherType reports whether a raw error is the server's word that a key has a value of another type than
// the command is for. It has not carried the command out.
func IsOtherType(err error) bool {
	return goredis.HasErrorPrefix(err, "WRONGTYPE ") || goredis.HasErrorPrefix(err, "Key should be of string type") // DELEX
}

// Classify turns an error of a node into one of the driver's kinds. If ctx has ended, it returns the
// cause of that, so pass it the context of a caller, or one that does not end. The error is
// driver.ErrUnavailable where asking again may help, and driver.ErrRefused where the server has said that
// it has done nothing. It is neither for other answers of the server, and for ErrClosed. It keeps
// ErrNotSent. It has no context's error unless ctx has ended, and no password.
//
// It waits for a moment where the deadline of ctx has passed and ctx has not noticed.
func Classify(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if end, ok := ctx.Deadline(); ok && !time.Now().Before(end) {
		select { // the connection has the same deadline, and may be quicker than the context
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var reply goredis.Error
	var unsent *notSent
	switch {
	case errors.As(err, &unsent):
		return &notSent{Classify(ctx, unsent.why)}
	case errors.Is(err, errCredentials):
		return fmt.Errorf("%w: %w: %w", driver.ErrUnavailable, driver.ErrRefused, err)
	case errors.As(err, &reply):
		return answered(withoutArguments(reply, err))
	case errors.Is(err, ErrClosed):
		return err
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		// The time limit of a request, or of dialling, is over. The caller's context has not ended, so
		// the error must not match a context's.
		err = fmt.Errorf("%w: %s", ErrNoAnswer, strings.TrimPrefix(err.Error(), "context "))
	}
	return fmt.Errorf("%w: %w", driver.ErrUnavailable, err)
}

// answered classifies an error that the server has sent.
func answered(reply string, err error) error {
	reply = strings.TrimPrefix(reply, "ERR ")
	for _, r := range refusals {
		switch {
		case !strings.HasPrefix(reply, r.begins):
		case r.temporary:
			return fmt.Errorf("%w: %w: %w", driver.ErrUnavailable, driver.ErrRefused, err)
		default:
			return fmt.Errorf("%w: %w", driver.ErrRefused, err)
		}
	}
	return err
}

// withoutArguments cuts off the arguments that a server quotes when it does not know a
// command: they may be a password, for AUTH and HELLO, or the head of a script.
func withoutArguments(reply goredis.Error, err error) (string, error) {
	text, _, found := strings.Cut(reply.Error(), ", with args beginning with")
	if found {
		err = Replied(text)
	}
	return text, err
}

// Replied is an error of the server, like those of go-redis: for one that a script has as a string in its reply.
type Replied string

func (e Replied) Error() string { return string(e) }

// RedisError makes it an error of go-redis.
func (Replied) RedisError() {}
