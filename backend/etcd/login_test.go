package etcd

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/metadata"

	"github.com/fencelock/fencelock/backend/etcd/internal/cluster"
)

// gate has a fake server ask who one is. It knows the tokens that it has given out since the last
// time it forgot them.
type gate struct {
	mu    sync.Mutex
	given int           // tokens
	since int           // those up to here are forgotten
	slow  chan struct{} // a login waits until this is closed; or nil
	jwt   func(n int) string

	password string // "secret" if empty
}

// change gives the user another password.
func (g *gate) change(password string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.password = password
}

func (g *gate) token(n int) string {
	if g.jwt != nil {
		return g.jwt(n)
	}
	return fmt.Sprintf("token.%d", n)
}

// guard puts the gate before a server.
func (g *gate) guard(f *fake) {
	f.meet = func(ctx context.Context, method string, r any) error {
		if a, ok := r.(*pb.AuthenticateRequest); ok {
			g.mu.Lock()
			slow, password := g.slow, cmp.Or(g.password, "secret")
			g.mu.Unlock()
			if a.Name != "user" || a.Password != password {
				return rpctypes.ErrGRPCAuthFailed
			}
			if slow != nil {
				<-slow
			}
			return nil
		}
		md, _ := metadata.FromIncomingContext(ctx)
		g.mu.Lock()
		defer g.mu.Unlock()
		for n := g.since + 1; n <= g.given; n++ {
			if got := md[rpctypes.TokenFieldNameGRPC]; len(got) == 1 && got[0] == g.token(n) {
				return nil
			}
		}
		return rpctypes.ErrGRPCInvalidAuthToken
	}
	f.login = func() string {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.given++
		return g.token(g.given)
	}
}

func (g *gate) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.since = g.given
}

// slowly has logins wait until the function that it returns is called.
func (g *gate) slowly() (finish func()) {
	slow := make(chan struct{})
	g.mu.Lock()
	defer g.mu.Unlock()
	g.slow = slow
	return sync.OnceFunc(func() { close(slow) })
}

var user = url.UserPassword("user", "secret")

func get(ctx context.Context, b *backend) error {
	_, err := b.conn.Client.Get(ctx, "k")
	return err
}

// TestOneLogin: requests that are refused at the same time share one login; and one that gives up
// does not take it with it, so that the next finds it done.
func TestOneLogin(t *testing.T) {
	f, g := serve(t), &gate{}
	g.guard(f)
	b, err := f.open(t, user)
	if err != nil {
		t.Fatal(err)
	}
	if n := f.counted("Authenticate"); n != 1 {
		t.Errorf("%d logins to open", n)
	}
	g.forget()
	finish := g.slowly()
	defer finish()
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	for range 20 {
		asking.Go(func() {
			if err := get(ctx, b); err == nil {
				t.Error("a request was answered without a token")
			}
		})
	}
	eventually(t, "a login begins", func() bool { return f.counted("Authenticate") == 2 })
	cancel()
	asking.Wait()
	for range 20 {
		asking.Go(func() {
			if err := get(t.Context(), b); err != nil {
				t.Errorf("Get = %v", err)
			}
		})
	}
	finish()
	asking.Wait()
	if n := f.counted("Authenticate"); n != 2 {
		t.Errorf("%d logins, want 2", n)
	}
}

// TestOldTokenAtOthers: while a login is under way, since one member has forgotten the token,
// requests go on with it at the others.
func TestOldTokenAtOthers(t *testing.T) {
	f, other, g := serve(t), serve(t), &gate{}
	g.guard(f)
	g.guard(other)
	b, err := f.open(t, user, other)
	if err != nil {
		t.Fatal(err)
	}
	// Both must be connected, or there is one to ask.
	eventually(t, "both are asked", func() bool {
		if err := get(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		return f.counted("Range") > 0 && other.counted("Range") > 0
	})
	finish := g.slowly()
	defer finish()
	stranger := &gate{} // which knows no token, and shares the logins
	other.set(func() {
		known := other.meet
		stranger.guard(other)
		refuses := other.meet
		other.meet = func(ctx context.Context, method string, r any) error {
			if method == "Authenticate" {
				return known(ctx, method, r)
			}
			return refuses(ctx, method, r)
		}
	})
	before := other.counted("Range")
	for range 10 {
		if err := get(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if other.counted("Range") == before {
		t.Error("the one that has forgotten it was not asked")
	}
}

// TestTokenOfAKnownAge: a token that tells when it ends is followed by another before.
func TestTokenOfAKnownAge(t *testing.T) {
	f := serve(t)
	const lives = 5 * time.Second
	began := time.Now()
	g := &gate{jwt: func(n int) string {
		return jwt(fmt.Sprintf(`{"n":%d,"exp":%d}`, n, began.Add(time.Duration(n)*lives).Unix()))
	}}
	g.guard(f)
	b, err := f.open(t, user)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "another login", func() bool {
		if err := get(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		return f.counted("Authenticate") > 1
	})
	// The fake refuses none by age: so it was not a refusal.
}

func jwt(payload string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2ln"
}

// TestWrongPassword: it is told at once, and the server is not asked again and again.
func TestWrongPassword(t *testing.T) {
	f, g := serve(t), &gate{}
	g.guard(f)
	_, err := f.open(t, url.UserPassword("user", "secrets"))
	if err == nil || !cluster.IsPermanent(err) {
		t.Errorf("Open = %v, want that the password is wrong", err)
	}
	if n := f.counted("Authenticate"); n != 1 {
		t.Errorf("%d logins with a wrong password", n)
	}
}
