package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
)

// wrapped is an application's own kind of client.
type wrapped struct{ *goredis.Client }

// A client of one server is taken, also one by Sentinels; others are refused with what to give instead.
func TestLikeTheirs(t *testing.T) {
	single := goredis.NewClient(&goredis.Options{Addr: "h:1", DB: 3})
	sentinels := goredis.NewFailoverClient(&goredis.FailoverOptions{MasterName: "m", SentinelAddrs: []string{"s:1"}, DB: 3})
	cluster := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{"h:1"}})
	ring := goredis.NewRing(&goredis.RingOptions{Addrs: map[string]string{"a": "h:1"}})
	for _, c := range []goredis.UniversalClient{single, sentinels, cluster, ring} {
		defer c.Close()
	}
	for name, tc := range map[string]struct {
		client goredis.UniversalClient
		says   string // "" if it is taken
	}{
		"single":       {single, ""},
		"by Sentinels": {sentinels, ""},
		"Cluster":      {cluster, "clients[1] is a *redis.ClusterClient: give a *redis.Client"},
		"Ring":         {ring, "clients[1] is a *redis.Ring"},
		"wrapped":      {wrapped{single}, "clients[1] is a node.wrapped"},
		"none":         {nil, "clients[1] is nil"},
		"a nil one":    {(*goredis.Client)(nil), "clients[1] is nil"},
	} {
		conf, err := OptionsOf("clients[1]", tc.client)
		switch {
		case tc.says == "":
			if err != nil || conf.DB != 3 || conf.Dialer == nil || conf.MaxRetries != -1 {
				t.Errorf("%s: %v, %+v", name, err, conf)
			}
		case !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), tc.says):
			t.Errorf("%s: %v; want ErrInvalid that says %q", name, err, tc.says)
		}
	}
}

// This package decides whether a request may be sent twice. So no go-redis client that it makes sends
// a request again, whatever the application's client does.
func TestWeDoNotLetGoRedisRetry(t *testing.T) {
	for name, conf := range map[string]goredis.Options{
		"a URL":           BaseOptions(),
		"somebody's, set": copyOptions(&goredis.Options{MaxRetries: 7, DialerRetries: 7}),
		"somebody's":      copyOptions(goredis.NewClient(&goredis.Options{}).Options()),
	} {
		client := goredis.NewClient(&conf)
		defer client.Close()
		o := client.Options()
		if o.MaxRetries != 0 || o.DialerRetries != 1 || !o.ContextTimeoutEnabled {
			t.Errorf("the client of %s retries %d times, dials %d times, heeds contexts: %v", name, o.MaxRetries, o.DialerRetries, o.ContextTimeoutEnabled)
		}
	}
}

// Without a host the certificate must be for where the connection goes.
func TestDialerVerifiesTheHost(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"redis.example"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	certificate, _ := x509.ParseCertificate(der)
	roots.AddCert(certificate)
	certificates := address.CertificatesOf(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	l, err := tls.Listen("tcp", "0.0.0.0:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_ = c.(*tls.Conn).HandshakeContext(t.Context())
				_ = c.Close()
			}()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, tc := range []struct {
		name, dialled string
		good          bool
	}{
		{"", "127.0.0.1", true},
		{"", "127.0.0.2", false},
		{"redis.example", "127.0.0.2", true},
		{"other.example", "127.0.0.1", false},
	} {
		c, err := Dialer(certificates, tc.name)(t.Context(), "tcp", net.JoinHostPort(tc.dialled, port))
		if (err == nil) != tc.good {
			t.Errorf("name %q, dialled %s: %v", tc.name, tc.dialled, err)
		}
		if err == nil {
			_ = c.Close()
		}
	}
}
