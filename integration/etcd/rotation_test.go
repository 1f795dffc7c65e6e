package etcd_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestCertificatesAreReadAnew: what the files have counts for the next connection, be it another
// certificate or another authority, and with nothing but that a client comes back, and has kept its
// lock.
func TestCertificatesAreReadAnew(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(ours, others locktest.PEMFiles) (to, from []string){
		"certificate": func(ours, others locktest.PEMFiles) (to, from []string) {
			return []string{ours.Cert, ours.Key}, []string{others.Cert, others.Key}
		},
		"authority": func(ours, others locktest.PEMFiles) (to, from []string) {
			return []string{ours.CA}, []string{others.CA}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const ttl = time.Minute
			s, ns := servers.Start(t, servers.Etcd, servers.TLS()), locktest.Namespace()
			ours := locktest.CertificateFiles(t, s.TLSAddr(), s.TLSConfig())
			c := locktest.Open(t, "etcds://"+s.TLSAddr()+"?ca="+ours.CA+"&cert="+ours.Cert+"&key="+ours.Key, ns, ttl)
			held := locktest.Lock(t, c, "k")
			to, from := change(ours, locktest.NewAuthority(t).Issue(t, t.TempDir()))
			var kept [][]byte
			for i := range to {
				kept = append(kept, readFile(t, to[i]))
				writeFile(t, to[i], readFile(t, from[i]))
			}
			s.Restart(t) // so that it connects again
			locktest.Eventually(t, locktest.Electing, "the other's is of no use", func() bool {
				_, err := c.Inspect(t.Context(), "k")
				return err != nil && strings.Contains(err.Error(), "certificate")
			})
			back := time.Now()
			for i := range to {
				writeFile(t, to[i], kept[i])
			}
			locktest.Eventually(t, locktest.Electing, "the lease is renewed", func() bool {
				return held.Ensure(t.Context(), ttl-ttl/8) == nil && held.ValidUntil().Add(ttl/10-ttl).After(back)
			})
			locktest.Unlock(t, held)
		})
	}
}

// TestPasswordIsChanged: an operator gives the user another password while a lock is held and waited
// for. All the tokens end with it. When the file has the new one, too, all goes on.
func TestPasswordIsChanged(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Etcds() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			const ttl, another = time.Minute, "another: @/?"
			s, ns := guard(t, kind, lasting, cheap), locktest.Namespace()
			s.allow(t, "locks", ns+"/", readWrite)
			file := filepath.Join(t.TempDir(), "password")
			writeFile(t, file, []byte(secret+"\n"))
			p := through(t, s.Addr())
			logins := locktest.Tally(p, authenticates)
			u := (&url.URL{Scheme: "etcd", User: url.User("locks"), Host: p.Addr(), RawQuery: "password_file=" + url.QueryEscape(file)}).String()
			holder, waiter := locktest.Open(t, u, ns, ttl), locktest.Open(t, u, ns, ttl)
			var book locktest.Ledger
			held := locktest.Lock(t, holder, "k")
			book.Record(t, held)
			next := locktest.StartLock(t.Context(), waiter, "k")
			awaitWaiters(t, holder, "k", 1)
			before := logins.Load()
			if _, err := s.admin.UserChangePassword(t.Context(), "locks", another); err != nil {
				t.Fatal(err)
			}
			locktest.Eventually(t, locktest.Electing, "the old password is refused", func() bool {
				_, err := holder.Inspect(t.Context(), "k")
				return err != nil && strings.Contains(err.Error(), "password_file=") && logins.Load() > before
			})
			changed := time.Now()
			writeFile(t, file, []byte(another+"\n"))
			locktest.Eventually(t, locktest.Electing, "the lease is renewed", func() bool {
				return held.Ensure(t.Context(), ttl-ttl/8) == nil && held.ValidUntil().Add(ttl/10-ttl).After(changed)
			})
			locktest.Unlock(t, held)
			taken := locktest.ExpectLock(t, next, locktest.Electing)
			book.Record(t, taken)
			locktest.Unlock(t, taken)
		})
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func writeFile(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
