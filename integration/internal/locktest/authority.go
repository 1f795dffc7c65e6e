package locktest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"path/filepath"
	"time"
)

// Authority vouches for certificates.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes one that has nothing to do with any other.
func NewAuthority(t T) *Authority {
	t.Helper()
	a := &Authority{key: newKey(t), cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "another authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	a.cert = a.sign(t, a.cert, a.key)
	return a
}

// Issue writes a certificate for localhost, of one who is a server and a client, to files
// below dir, and what must be trusted for it.
func (a *Authority) Issue(t T, dir string) PEMFiles {
	t.Helper()
	return a.IssueAs(t, dir, func(leaf *x509.Certificate) { leaf.DNSNames = []string{"localhost"} })
}

// IssueAs is Issue for a certificate without a name, as change leaves it.
func (a *Authority) IssueAs(t T, dir string, change func(leaf *x509.Certificate)) PEMFiles {
	t.Helper()
	own := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "member"},
		NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	change(template)
	leaf := a.sign(t, template, own)
	key, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return PEMFiles{
		CA:   writePEM(t, filepath.Join(dir, "ca.pem"), "CERTIFICATE", a.cert.Raw),
		Cert: writePEM(t, filepath.Join(dir, "cert.pem"), "CERTIFICATE", leaf.Raw),
		Key:  writePEM(t, filepath.Join(dir, "key.pem"), "PRIVATE KEY", key),
	}
}

func (a *Authority) sign(t T, template *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatalf("%v", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return cert
}

func newKey(t T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return key
}
