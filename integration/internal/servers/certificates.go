package servers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"maps"
	"math/big"
	"net"
	"slices"
	"time"
)

// certificates are made for one server and forgotten with it: an authority, and
// what it vouches for.
type certificates struct {
	authority      []byte // PEM, as are the others
	server, client keyPair
	sign           func(serial int64, name string, uses []x509.ExtKeyUsage, hosts ...string) keyPair
}

// peers are the uses of a server's certificate: it is also a client of its like.
var peers = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}

type keyPair struct{ cert, key []byte }

// newCertificates panics if the machine has no randomness, for which it was not
// worth returning an error.
func newCertificates() *certificates {
	key := newKey()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "fencelock test authority"},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der := must(x509.CreateCertificate(rand.Reader, authority, authority, key.Public(), key))
	sign := func(serial int64, name string, uses []x509.ExtKeyUsage, hosts ...string) keyPair {
		own := newKey()
		ips := []net.IP{net.IPv4(127, 0, 0, 1)}
		for _, host := range hosts {
			ips = append(ips, net.ParseIP(host))
		}
		leaf := &x509.Certificate{
			SerialNumber: big.NewInt(serial),
			Subject:      pkix.Name{CommonName: name},
			NotBefore:    authority.NotBefore, NotAfter: authority.NotAfter,
			DNSNames: []string{"localhost"}, IPAddresses: ips,
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: uses,
		}
		der := must(x509.CreateCertificate(rand.Reader, leaf, authority, own.Public(), key))
		return keyPair{block("CERTIFICATE", der), block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(own)))}
	}
	return &certificates{
		authority: block("CERTIFICATE", der),
		server:    sign(2, "localhost", peers),
		client:    sign(3, "fencelock test client", []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}),
		sign:      sign,
	}
}

// certifiedFor has the servers' certificate name these addresses, too.
func (o options) certifiedFor(hosts []string) options {
	certs := *o.tls
	certs.server = certs.sign(4, "localhost", peers, hosts...)
	o.files = maps.Clone(o.files)
	maps.Copy(o.files, certs.files())
	return o
}

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (c *certificates) files() map[string][]byte {
	return map[string][]byte{
		"ca.pem": c.authority, "server.pem": c.server.cert, "server.key": c.server.key,
		"keystore.pem": slices.Concat(c.server.key, c.server.cert), // as Java wants it
	}
}

// config is that of a client.
func (c *certificates) config() *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.authority)
	own := must(tls.X509KeyPair(c.client.cert, c.client.key))
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{own}, ServerName: "localhost", MinVersion: tls.VersionTLS12}
}
