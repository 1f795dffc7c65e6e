package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/driver"
)

// What servers say, in the words of each: Redis 7.0.15, 8.6.3, Valkey 9.1.2. That they
// still do is a test of integration/redis.
func TestFault(t *testing.T) {
	const passing, forGood, open, silent = "passing", "for good", "open", "silent"
	for _, tc := range []struct {
		err  error
		want string
	}{
		{Replied("LOADING Redis is loading the dataset in memory"), passing},
		{Replied("BUSY Valkey is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."), passing},
		{Replied("OOM command not allowed when used memory > 'maxmemory'. script: 615ab2, on @user_script:1."), passing},
		{Replied("MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk."), passing},
		{Replied("NOREPLICAS Not enough good replicas to write. script: on @user_script:1."), passing},
		{Replied("READONLY You can't write against a read only replica. script: 2f1, on @user_script:81."), passing},
		{Replied("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."), passing},
		{Replied("TRYAGAIN Multiple keys request during rehashing of slot"), passing},
		{Replied("CLUSTERDOWN The cluster is down"), passing},
		{Replied("ERR max number of clients reached"), passing},
		{Replied("ERR max number of clients + cluster connections reached"), passing},

		{Replied("NOPERM User locks has no permissions to run the 'evalsha' command"), forGood},
		{Replied("NOPERM this user has no permissions to run the 'evalsha' command"), forGood},
		{Replied("ERR ACL failure in script: User locks has no permissions to run the 'del' command script: on @user_script:1."), forGood},
		{Replied("ERR The user executing the script can't run this command or subcommand script: 8d5, on @user_script:1."), forGood},
		{Replied("ERR The user executing the script can't access at least one of the keys mentioned in the command arguments"), forGood},
		{Replied("ERR Unknown Redis command called from script script: 9018, on @user_script:1."), forGood},
		{Replied("ERR Unknown command called from script script: on @user_script:1."), forGood},
		{Replied("ERR unknown command 'EVALSHA', with args beginning with: 'x' '1' "), forGood},
		{Replied("NOAUTH Authentication required."), forGood},
		{fmt.Errorf("%w: %w", errCredentials, Replied("WRONGPASS invalid username-password pair or user is disabled.")), passing},
		{Replied("WRONGPASS invalid username-password pair or user is disabled."), forGood},
		{Replied("ERR AUTH <password> called without any password configured for the default user."), forGood},
		{Replied("DENIED Redis is running in protected mode because protected mode is enabled"), forGood},
		{Replied("WRONGTYPE Operation against a key holding the wrong kind of value script: on @user_script:1."), forGood},
		{Replied("MOVED 3999 127.0.0.1:6381"), forGood},
		{Replied("ERR DB index is out of range"), forGood},

		// Something may have been done.
		{Replied("HALFWAY ERR ACL failure in script: User locks has no permissions to run the 'set' command"), open},
		{Replied("HALFWAY OOM command not allowed when used memory > 'maxmemory'."), open},
		{Replied("ERR user_script:91: attempt to index a nil value"), open},
		{Replied("ERR something that nobody has heard of"), open},
		{Replied("BUSYKEY Target key name already exists."), open},
		{Replied(""), open},

		{io.EOF, silent},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, silent},
		{context.DeadlineExceeded, silent}, // not of the caller's context
		{context.Canceled, silent},
		{goredis.ErrPoolTimeout, silent},
		{goredis.ErrClosed, open},
	} {
		for _, err := range []error{tc.err, fmt.Errorf("setting up a connection: %w", tc.err)} {
			got := Classify(t.Context(), err)
			unavailable, refused := errors.Is(got, driver.ErrUnavailable), errors.Is(got, driver.ErrRefused)
			if unavailable != (tc.want == passing || tc.want == silent) || refused != (tc.want == passing || tc.want == forGood) {
				t.Errorf("%v: unavailable %v, refused %v; want it %s", got, unavailable, refused, tc.want)
			}
			var reply, before goredis.Error
			if errors.As(got, &reply) != errors.As(err, &before) {
				t.Errorf("%v: the server's own error is lost", got)
			}
			if errors.Is(got, context.DeadlineExceeded) || errors.Is(got, context.Canceled) {
				t.Errorf("%v: it has the error of a context, and none of the caller's has ended", got)
			}
		}
	}
	if err := Classify(t.Context(), nil); err != nil {
		t.Errorf("no error becomes %v", err)
	}
}

// The caller's context comes first, with its cause.
func TestFaultOfAnEndedContext(t *testing.T) {
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if err := Classify(ctx, io.EOF); !errors.Is(err, why) || errors.Is(err, driver.ErrUnavailable) {
		t.Errorf("fault = %v, want the cause", err)
	}
	for range 100 { // a connection that has the same deadline may be the first to notice
		late, stop := context.WithTimeout(t.Context(), 100*time.Microsecond)
		for end, _ := late.Deadline(); time.Now().Before(end); {
			runtime.Gosched()
		}
		if err := Classify(late, io.EOF); !errors.Is(err, context.DeadlineExceeded) || late.Err() == nil {
			t.Errorf("fault = %v, want the context's error", err)
		}
		stop()
	}
}

// A server that does not know a command quotes what came with it.
func TestFaultHidesArguments(t *testing.T) {
	for _, text := range []string{
		"ERR unknown command 'auth', with args beginning with: 's3cret' ",
		"ERR unknown command `HELLO`, with args beginning with: `3`, `auth`, `default`, `s3cret`, ",
	} {
		for _, err := range []error{Replied(text), fmt.Errorf("setting up a connection: %w", Replied(text))} {
			got := Classify(t.Context(), err)
			var reply goredis.Error
			if !errors.As(got, &reply) || strings.Contains(got.Error()+reply.Error(), "s3cret") {
				t.Errorf("it shows the password: %v", got)
			}
			if !strings.Contains(got.Error(), "unknown command") {
				t.Errorf("it says nothing: %v", got)
			}
		}
	}
}
