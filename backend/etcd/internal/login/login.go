// Package login keeps the token of a client that has a password, by one login for all of its requests.
package login

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/fencelock/fencelock/backend/etcd/internal/cluster"
	"github.com/fencelock/fencelock/driver/address"
)

const (
	// loginTimeout bounds one login. It is long, since the server goes on to compare the password
	// for a client that has given up: a second of processor time for ten of them.
	loginTimeout = 10 * time.Second
	// loginPause is the least time from one login to the next, should the server refuse what it
	// has just given out; loginRest the same after a login that failed.
	loginPause = 250 * time.Millisecond
	loginRest  = time.Second
	// askAnother is how long one member has before another is asked as well. That is more than one
	// login takes, as several make work for each other.
	askAnother = 3 * time.Second
)

// Login keeps the token by which the servers know a client that has a password. The client of etcd
// logs in for each stream that it opens, and once for each request that is refused, inside the
// request's own time. Comparing a password costs the server about a tenth of a second of its
// processor; so the logins of a few clients, after a restart, are slower than the time that their
// requests have, and are given up, and begun again, until all leases have ended.
//
// Here one login is under way at a time, for all that need it. It belongs to no request: one that
// gives up leaves it to the others, and to the next. Until it has come to its end the old token is
// used: as a rule it is one member that has forgotten it, by a restart, and the others know it.
type Login struct {
	name     string
	password Password
	members  int
	contact  *address.Contact

	mu       sync.Mutex
	token    string    // "" if the server wants no user
	loggedIn bool      // there has been a login
	renewAt  time.Time // from here on a login gets the next token, while this one goes on; or zero
	trying   *tryingLogin
	next     time.Time // no login begins before
	stopped  bool
	running  sync.WaitGroup
	stopping context.Context
	stop     context.CancelFunc
}

// tryingLogin is a login under way.
type tryingLogin struct {
	done  chan struct{}
	token string
	err   error
}

// New makes a Login for a client of so many members.
func New(name string, password Password, members int, contact *address.Contact) *Login {
	l := &Login{name: name, password: password, members: members, contact: contact}
	l.stopping, l.stop = context.WithCancel(context.Background())
	return l
}

// Close ends what is under way, and waits for it.
func (l *Login) Close() {
	l.mu.Lock() // from here on begin starts nothing
	l.stopped = true
	l.mu.Unlock()
	l.stop()
	l.running.Wait()
}

// Options have every call of a connection carry the token.
func (l *Login) Options() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(l.unary), grpc.WithChainStreamInterceptor(l.stream)}
}

// current returns the token, and waits for the first one.
func (l *Login) current(ctx context.Context, conn *grpc.ClientConn) (string, error) {
	l.mu.Lock()
	if l.loggedIn {
		defer l.mu.Unlock()
		if !l.renewAt.IsZero() && time.Now().After(l.renewAt) {
			l.beginLocked(conn) //nolint:contextcheck // detached, as it says
		}
		return l.token, nil
	}
	t := l.beginLocked(conn) //nolint:contextcheck // detached, as it says
	l.mu.Unlock()
	return t.wait(ctx)
}

// refused notes that a member does not take a token, and returns the login that is under way for
// the next one; nil if there is another token already.
func (l *Login) refused(token string, conn *grpc.ClientConn) *tryingLogin {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.token != token {
		return nil
	}
	return l.beginLocked(conn)
}

// wait returns what a login has brought, or the error of ctx.
func (t *tryingLogin) wait(ctx context.Context) (string, error) {
	select {
	case <-t.done:
		return t.token, t.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// beginLocked begins a login, or returns the one that is under way.
func (l *Login) beginLocked(conn *grpc.ClientConn) *tryingLogin {
	if l.trying != nil {
		return l.trying
	}
	t := &tryingLogin{done: make(chan struct{})}
	if l.stopped {
		t.err = cluster.ErrClosed
		close(t.done)
		return t
	}
	l.trying = t
	pause := time.Until(l.next)
	l.running.Go(func() {
		ctx, cancel := context.WithTimeout(clientv3.WithRequireLeader(cluster.NoDeadline{Context: l.stopping}), loginTimeout)
		defer cancel()
		t.err = cluster.ErrClosed
		if pause <= 0 || cluster.Sleep(ctx, pause) {
			t.token, t.err = l.ask(ctx, conn)
		}
		l.mu.Lock()
		l.trying, l.next = nil, time.Now().Add(loginPause)
		if t.err == nil {
			l.token, l.loggedIn, l.renewAt = t.token, true, time.Time{}
			if lifetime := lifetimeOf(t.token, time.Now()); lifetime > 0 {
				// A quarter before its end, and where that is little, as much as a login takes.
				l.renewAt = time.Now().Add(max(lifetime-max(lifetime/4, min(lifetime/2, 2*time.Second)), time.Second))
			}
		} else {
			l.next = time.Now().Add(loginRest)
			if cluster.IsPermanent(t.err) {
				l.contact.Warn("etcd refuses the user and the password", "err", t.err)
			}
			if l.loggedIn && l.password.File != "" && errors.Is(t.err, rpctypes.ErrAuthFailed) {
				t.err = cluster.ErrOldPassword
			}
		}
		l.mu.Unlock()
		close(t.done)
	})
	return t
}

// ask logs in: at one member and, if its answer takes long, at others as well, since the first may be
// silent, or busy with the logins of others.
func (l *Login) ask(ctx context.Context, conn *grpc.ClientConn) (token string, err error) {
	secret, err := l.password.Now()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	type answer struct {
		token string
		err   error
	}
	answers, asked := make(chan answer, l.members), 0
	another := func() {
		if asked < l.members {
			asked++
			asking.Go(func() {
				token, err := l.askMember(ctx, conn, secret)
				answers <- answer{token, err}
			})
		}
	}
	another()
	more := time.NewTicker(askAnother)
	defer more.Stop()
	for {
		select {
		case a := <-answers:
			if a.err == nil || cluster.IsPermanent(a.err) || ctx.Err() != nil {
				return a.token, a.err
			}
			err = a.err
			asked--
			if !cluster.Sleep(ctx, 20*time.Millisecond) {
				return "", err
			}
			another()
		case <-more.C:
			another()
		case <-ctx.Done():
			return "", errors.Join(cluster.ErrSilent, err)
		}
	}
}

func (l *Login) askMember(ctx context.Context, conn *grpc.ClientConn, secret string) (string, error) {
	answer, err := pb.NewAuthClient(conn).Authenticate(ctx, &pb.AuthenticateRequest{Name: l.name, Password: secret})
	err = rpctypes.Error(err)
	switch {
	case errors.Is(err, rpctypes.ErrAuthNotEnabled):
		return "", nil
	case err != nil:
		return "", err
	}
	return answer.Token, nil
}

// lifetimeOf returns how long a JWT says that it lives, or 0 if the token does not say it.
// It compares the server's clock with ours, which decides nothing about a lease: if they
// differ, a login comes too early, or a request is refused, and logs in then.
func lifetimeOf(token string, now time.Time) time.Duration {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return 0 // a simple token, which lives for as long as it is used
	}
	var says struct {
		End int64 `json:"exp"`
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(text, &says) != nil || says.End == 0 {
		return 0
	}
	return max(time.Unix(says.End, 0).Sub(now), 0)
}

// Password is what a user logs in with: that of the URL, or what a file has at the time.
type Password struct{ Fixed, File string }

// Now returns the password. A file may be half written, and then the servers refuse what it has; one
// that is empty, or is not there, is not even shown to them.
func (p Password) Now() (string, error) {
	if p.File == "" {
		return p.Fixed, nil
	}
	return address.Password(p.File)
}
