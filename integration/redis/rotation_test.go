package redis_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/auth"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
	"github.com/fencelock/fencelock/internal/busy"
)

// vault has the password that is good now. It is all that an application may have for
// go-redis.
type vault struct {
	mu   sync.Mutex
	now  string
	path string // a file with the same
}

func (v *vault) set(t *testing.T, password string) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.now = password
	if err := os.WriteFile(v.path, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (v *vault) credentials() (user, password string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return "ann", v.now
}

func (v *vault) Subscribe(auth.CredentialsListener) (auth.Credentials, auth.UnsubscribeFunc, error) {
	return auth.NewBasicCredentials(v.credentials()), func() error { return nil }, nil
}

// TestPasswordRotates: a password is replaced while a lock is held, and every connection
// broken, as happens sooner or later. The next ones have the new password, so that the
// lease is kept, and other locks can be had.
func TestPasswordRotates(t *testing.T) {
	t.Parallel()
	ttl := 1500 * time.Millisecond * busy.Times()
	for name, made := range map[string]func(v *vault, addr string) func(t *testing.T, ns string) *fencelock.Client{
		"password_file": func(v *vault, addr string) func(t *testing.T, ns string) *fencelock.Client {
			return func(t *testing.T, ns string) *fencelock.Client {
				u := url.URL{Scheme: "redis", User: url.User("ann"), Host: addr, RawQuery: "password_file=" + url.QueryEscape(v.path)}
				return locktest.Open(t, u.String(), ns, ttl)
			}
		},
		"CredentialsProvider": func(v *vault, addr string) func(t *testing.T, ns string) *fencelock.Client {
			return existing(ttl, &goredis.Options{Addr: addr, CredentialsProvider: v.credentials})
		},
		"CredentialsProviderContext": func(v *vault, addr string) func(t *testing.T, ns string) *fencelock.Client {
			return existing(ttl, &goredis.Options{Addr: addr, CredentialsProviderContext: func(context.Context) (string, string, error) {
				user, password := v.credentials()
				return user, password, nil
			}})
		},
		"StreamingCredentialsProvider": func(v *vault, addr string) func(t *testing.T, ns string) *fencelock.Client {
			return existing(ttl, &goredis.Options{Addr: addr, StreamingCredentialsProvider: v})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, ns := servers.Start(t, servers.Redis), locktest.Namespace()
			admin := raw(t, s.Addr())
			v := &vault{path: filepath.Join(t.TempDir(), "password")}
			onServer := func(password string) {
				t.Helper()
				if err := admin.Do(t.Context(), "ACL", "SETUSER", "ann", "on", "resetpass", ">"+password, "~*", "&*", "+@all").Err(); err != nil {
					t.Fatal(err)
				}
			}
			breakAll := func() {
				t.Helper()
				if n := admin.Do(t.Context(), "CLIENT", "KILL", "USER", "ann").Val(); n == int64(0) {
					t.Fatal("there was no connection to break")
				}
			}
			v.set(t, "the first")
			onServer("the first")
			c := made(v, s.Addr())(t, ns)
			lease := locktest.Lock(t, c, "k")
			v.set(t, "the second")
			onServer("the second")
			breakAll()
			locktest.AwaitRenewal(t, lease, ttl, time.Now().Add(ttl))
			locktest.Unlock(t, locktest.Lock(t, c, "another"))
			locktest.Eventually(t, locktest.Soon, "the subscription is back", func() bool {
				return len(admin.PubSubChannels(t.Context(), ns+":*").Val()) == 1
			})
			locktest.Unlock(t, lease)

			// The server is first, and we have the new password a moment later.
			onServer("the third")
			breakAll()
			waiting := locktest.StartLock(t.Context(), c, "a third")
			time.Sleep(ttl / 5)
			select {
			case got := <-waiting:
				t.Fatalf("Lock while the password is replaced: %v", got.Err)
			default:
			}
			v.set(t, "the third")
			locktest.Unlock(t, locktest.ExpectLock(t, waiting, locktest.Soon))
		})
	}
}

func existing(ttl time.Duration, conf *goredis.Options) func(t *testing.T, ns string) *fencelock.Client {
	return func(t *testing.T, ns string) *fencelock.Client { return openExisting(t, conf, ns, ttl) }
}

// TestCertificatesRotate: the server gets a certificate of another authority, and wants
// clients to have one of that, too. The files are replaced, and every connection broken.
func TestCertificatesRotate(t *testing.T) {
	t.Parallel()
	ttl := 3 * time.Second * busy.Times()
	dir := t.TempDir()
	f := inFront(t, servers.Shared(t, servers.Redis).Addr())
	files := f.trust(t, locktest.NewAuthority(t), dir)
	q := url.Values{"ca": {files.CA}, "cert": {files.Cert}, "key": {files.Key}, "server_name": {"localhost"}}
	c := locktest.Open(t, "rediss://"+f.addr()+"?"+q.Encode(), locktest.Namespace(), ttl)
	lease := locktest.Lock(t, c, "k")
	f.trust(t, locktest.NewAuthority(t), dir)
	f.cut()
	locktest.AwaitRenewal(t, lease, ttl, time.Now().Add(ttl))
	locktest.Unlock(t, locktest.Lock(t, c, "another"))
	locktest.Unlock(t, lease)
}

// front speaks TLS for a server that does not, and wants to see certificates.
type front struct {
	listener net.Listener

	mu    sync.Mutex
	conf  *tls.Config
	conns []net.Conn
}

func inFront(t *testing.T, addr string) *front {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{listener: listener}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { f.serve(conn, addr) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		f.cut()
		serving.Wait()
	})
	return f
}

func (f *front) serve(conn net.Conn, addr string) {
	behind, err := net.Dial("tcp", addr)
	if err != nil {
		_ = conn.Close()
		return
	}
	f.mu.Lock()
	secured := tls.Server(conn, f.conf)
	f.conns = append(f.conns, conn, behind)
	f.mu.Unlock()
	defer conn.Close()
	defer behind.Close()
	go func() {
		defer conn.Close()
		_, _ = io.Copy(secured, behind)
	}()
	_, _ = io.Copy(behind, secured)
}

func (f *front) addr() string { return f.listener.Addr().String() }

// trust has the server show, and want, certificates of an authority; one for clients is
// written to files below dir.
func (f *front) trust(t *testing.T, a *locktest.Authority, dir string) locktest.PEMFiles {
	t.Helper()
	own, theirs := a.Issue(t, t.TempDir()), a.Issue(t, dir)
	pair, err := tls.LoadX509KeyPair(own.Cert, own.Key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(own.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conf = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	return theirs
}

// cut breaks every connection.
func (f *front) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		_ = c.Close()
	}
	f.conns = nil
}
