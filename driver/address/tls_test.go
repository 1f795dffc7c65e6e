package address_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/driver/address"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issued is a certificate with its key, as PEM.
type issued struct{ cert, key []byte }

func check[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	key := check[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der := check[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return authority{check[*x509.Certificate](t)(x509.ParseCertificate(der)), key}
}

func (a authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a authority) issue(t *testing.T, name string) issued {
	t.Helper()
	key := check[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"host"}, NotAfter: time.Now().Add(time.Hour),
	}
	der := check[[]byte](t)(x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key))
	keyDER := check[[]byte](t)(x509.MarshalPKCS8PrivateKey(key))
	return issued{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})}
}

// files are those that a URL names.
type files struct {
	t   *testing.T
	dir string
}

func (f files) write(name string, text []byte) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), text, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f files) open() *address.Certificates {
	f.t.Helper()
	return check[*address.Certificates](f.t)(address.TLS(url.Values{
		"ca": {filepath.Join(f.dir, "ca.pem")}, "cert": {filepath.Join(f.dir, "cert.pem")}, "key": {filepath.Join(f.dir, "key.pem")},
	}, nil))
}

// shown is the name in the certificate that a configuration shows.
func shown(t *testing.T, conf *tls.Config) string {
	t.Helper()
	return check[*x509.Certificate](t)(x509.ParseCertificate(conf.Certificates[0].Certificate[0])).Subject.CommonName
}

// trusts reports whether a configuration takes what an authority has issued.
func trusts(t *testing.T, conf *tls.Config, a authority) bool {
	t.Helper()
	block, _ := pem.Decode(a.issue(t, "server").cert)
	cert := check[*x509.Certificate](t)(x509.ParseCertificate(block.Bytes))
	_, err := cert.Verify(x509.VerifyOptions{Roots: conf.RootCAs, DNSName: conf.ServerName})
	return err == nil
}

// warnings collects what is logged.
type warnings struct {
	mu    sync.Mutex
	texts []string
}

func (w *warnings) Enabled(context.Context, slog.Level) bool { return true }
func (w *warnings) WithAttrs([]slog.Attr) slog.Handler       { return w }
func (w *warnings) WithGroup(string) slog.Handler            { return w }

func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := r.Message
	r.Attrs(func(a slog.Attr) bool { text += " " + a.Value.String(); return true })
	w.texts = append(w.texts, text)
	return nil
}

func TestTLS(t *testing.T) {
	a, dir := newAuthority(t, "ca"), t.TempDir()
	f := files{t, dir}
	f.write("no.pem", []byte("nothing"))
	f.write("cut.pem", a.pem()[:len(a.pem())-10])
	for query, word := range map[string]string{
		"ca=/does/not/exist": "ca=", "ca=" + dir + "/no.pem": "PEM", "ca=" + dir + "/cut.pem": "no end", "cert=/x": "key=", "key=/x": "cert=", "cert=/x&key=/x": "cert=",
	} {
		q, _ := url.ParseQuery(query)
		_, err := address.TLS(q, nil)
		refused(t, query, word, err)
	}
	c, err := address.TLS(url.Values{"server_name": {"n"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if conf := c.Config("host"); conf.ServerName != "n" || conf.InsecureSkipVerify || conf.RootCAs != nil || conf.MinVersion != tls.VersionTLS12 {
		t.Errorf("got %+v", conf)
	}
}

// TestCertificatesOf: an application's configuration is used as it is, but for the host's name; and what
// a connection does with it is no other's affair.
func TestCertificatesOf(t *testing.T) {
	own := &tls.Config{MinVersion: tls.VersionTLS13}
	c := address.CertificatesOf(own)
	conf := c.Config("host")
	if conf.ServerName != "host" || conf.MinVersion != tls.VersionTLS13 {
		t.Errorf("got %+v", conf)
	}
	conf.ServerName = "changed"
	own.ServerName = "changed"
	if conf := c.Config("other"); conf.ServerName != "other" || conf == own {
		t.Errorf("got %+v", conf)
	}
	if conf := address.CertificatesOf(&tls.Config{ServerName: "n"}).Config("host"); conf.ServerName != "n" {
		t.Errorf("the name is %q", conf.ServerName)
	}
}

// TestRotation: each connection gets what the files have then, and what it does with it is no
// other's affair.
func TestRotation(t *testing.T) {
	first, second := newAuthority(t, "first"), newAuthority(t, "second")
	f := files{t, t.TempDir()}
	put := func(a authority, name string) {
		pair := a.issue(t, name)
		f.write("ca.pem", a.pem())
		f.write("cert.pem", pair.cert)
		f.write("key.pem", pair.key)
	}
	put(first, "one")
	c := f.open()
	old := c.Config("host")
	if shown(t, old) != "one" || !trusts(t, old, first) || trusts(t, old, second) {
		t.Errorf("it shows %q, and trusts the first authority %v, the second %v", shown(t, old), trusts(t, old, first), trusts(t, old, second))
	}
	old.RootCAs.AddCert(second.cert)
	old.Certificates[0] = tls.Certificate{}
	f.write("no.pem", nil)
	if again := c.Config("host"); shown(t, again) != "one" || trusts(t, again, second) {
		t.Error("what one connection has changed is in the next one's")
	}
	put(second, "two")
	if conf := c.Config("host"); shown(t, conf) != "two" || trusts(t, conf, first) || !trusts(t, conf, second) {
		t.Errorf("after a rotation it shows %q, and trusts the first authority %v, the second %v", shown(t, conf), trusts(t, conf, first), trusts(t, conf, second))
	}
	// While one authority follows the other, the file has both.
	f.write("ca.pem", append(first.pem(), second.pem()...))
	if conf := c.Config("host"); !trusts(t, conf, first) || !trusts(t, conf, second) {
		t.Error("one of two authorities is not trusted")
	}
}

// TestHalfWritten: what does not fit, or has no end, is not used; the last good one is, and the log
// says so once for each time.
func TestHalfWritten(t *testing.T) {
	first, second := newAuthority(t, "first"), newAuthority(t, "second")
	good, next := first.issue(t, "good"), first.issue(t, "next")
	both := append(first.pem(), second.pem()...)
	for what, spoil := range map[string]func(f files){
		"the certificate is another's": func(f files) { f.write("cert.pem", next.cert) },
		"the key is another's":         func(f files) { f.write("key.pem", next.key) },
		"the certificate is cut":       func(f files) { f.write("cert.pem", good.cert[:len(good.cert)/2]) },
		"the chain is cut":             func(f files) { f.write("cert.pem", append(bytes.Clone(good.cert), first.pem()[:80]...)) },
		"the key is empty":             func(f files) { f.write("key.pem", nil) },
		"the key is gone": func(f files) {
			if err := os.Remove(filepath.Join(f.dir, "key.pem")); err != nil {
				f.t.Fatal(err)
			}
		},
		"the authorities are empty":      func(f files) { f.write("ca.pem", nil) },
		"the second authority is cut":    func(f files) { f.write("ca.pem", both[:len(both)-20]) },
		"all is another's, but for one":  func(f files) { f.write("ca.pem", second.pem()[:100]); f.write("key.pem", next.key) },
		"the authority is no longer PEM": func(f files) { f.write("ca.pem", []byte("soon")) },
	} {
		t.Run(what, func(t *testing.T) {
			var said warnings
			before := slog.Default()
			slog.SetDefault(slog.New(&said))
			defer slog.SetDefault(before)
			f := files{t, t.TempDir()}
			restore := func() {
				f.write("ca.pem", both)
				f.write("cert.pem", good.cert)
				f.write("key.pem", good.key)
			}
			restore()
			synctest.Test(t, func(t *testing.T) {
				c := f.open()
				for step, is := range []struct {
					spoiled  bool
					warnings int // until now
				}{{false, 0}, {true, 1}, {false, 1}, {true, 2}} {
					restore()
					if is.spoiled {
						spoil(f)
					}
					for range 3 {
						if conf := c.Config("host"); shown(t, conf) != "good" || !trusts(t, conf, first) || !trusts(t, conf, second) {
							t.Errorf("step %d: the last good ones are not used: it shows %q", step, shown(t, conf))
						}
					}
					synctest.Wait()
					if len(said.texts) != is.warnings {
						t.Fatalf("step %d: %d warnings, want %d: %q", step, len(said.texts), is.warnings, said.texts)
					}
				}
			})
			for _, text := range said.texts {
				if !strings.Contains(text, "last good") || !strings.Contains(text, f.dir) && !strings.Contains(text, "cert=, key=") || strings.Contains(text, "BEGIN") {
					t.Errorf("the warning says %q", text)
				}
			}
		})
	}
}

// TestPartsApart: a pair that cannot be read does not keep a new authority from being trusted.
func TestPartsApart(t *testing.T) {
	first, second := newAuthority(t, "first"), newAuthority(t, "second")
	pair := first.issue(t, "good")
	f := files{t, t.TempDir()}
	f.write("ca.pem", first.pem())
	f.write("cert.pem", pair.cert)
	f.write("key.pem", pair.key)
	c := f.open()
	f.write("key.pem", nil)
	f.write("ca.pem", second.pem())
	if conf := c.Config("host"); shown(t, conf) != "good" || !trusts(t, conf, second) || trusts(t, conf, first) {
		t.Error("the new authority waits for the pair")
	}
}

// TestBlockedLog: a log that blocks keeps nobody from connecting.
func TestBlockedLog(t *testing.T) {
	a := newAuthority(t, "ca")
	pair := a.issue(t, "good")
	f := files{t, t.TempDir()}
	f.write("ca.pem", a.pem())
	f.write("cert.pem", pair.cert)
	f.write("key.pem", pair.key)
	c := f.open()
	var said warnings
	said.mu.Lock() // it blocks from here on
	before := slog.Default()
	slog.SetDefault(slog.New(&said))
	defer slog.SetDefault(before)
	f.write("key.pem", nil)
	synctest.Test(t, func(t *testing.T) {
		if shown(t, c.Config("host")) != "good" { // a deadlock, if it waits
			t.Error("not the last good one")
		}
		said.mu.Unlock()
	})
}

// TestRotationUnderLoad: whatever is being written while many connect, each gets a certificate with
// its own key.
func TestRotationUnderLoad(t *testing.T) {
	before := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	defer slog.SetDefault(before)
	a := newAuthority(t, "ca")
	pairs := []issued{a.issue(t, "one"), a.issue(t, "two")}
	f := files{t, t.TempDir()}
	f.write("ca.pem", a.pem())
	f.write("cert.pem", pairs[0].cert)
	f.write("key.pem", pairs[0].key)
	c := f.open()
	stop := make(chan struct{})
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				conf := c.Config("host")
				leaf, err := x509.ParseCertificate(conf.Certificates[0].Certificate[0])
				own := conf.Certificates[0].PrivateKey.(*ecdsa.PrivateKey).Public().(*ecdsa.PublicKey)
				if err != nil || !own.Equal(leaf.PublicKey) || conf.RootCAs == nil {
					t.Errorf("a certificate with another's key: %v", err)
					return
				}
			}
		})
	}
	for i := range 50 {
		f.write("cert.pem", pairs[(i+1)%2].cert)
		f.write("key.pem", pairs[(i+1)%2].key)
	}
	close(stop)
	running.Wait()
	if got := shown(t, c.Config("host")); got != "one" {
		t.Errorf("in the end it shows %q", got)
	}
}
