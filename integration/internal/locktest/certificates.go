package locktest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// PEMFiles are what a URL names.
type PEMFiles struct{ CA, Other, Cert, Key string }

// CertificateFiles writes what conf trusts and has, and an authority that has
// nothing to do with it, to files. What it trusts it learns from the server.
func CertificateFiles(t *testing.T, addr string, conf *tls.Config) PEMFiles {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*Soon)
	defer cancel()
	conn, err := (&tls.Dialer{Config: conf}).DialContext(ctx, "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	chain := conn.(*tls.Conn).ConnectionState().VerifiedChains[0]
	_ = conn.Close()
	key, err := x509.MarshalPKCS8PrivateKey(conf.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		t.Helper()
		return writePEM(t, filepath.Join(dir, name), kind, der)
	}
	return PEMFiles{
		CA:    write("ca.pem", "CERTIFICATE", chain[len(chain)-1].Raw),
		Other: write("other.pem", "CERTIFICATE", NewAuthority(t).cert.Raw),
		Cert:  write("cert.pem", "CERTIFICATE", conf.Certificates[0].Certificate[0]),
		Key:   write("key.pem", "PRIVATE KEY", key),
	}
}

func writePEM(t T, path, kind string, der []byte) string {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatalf("%v", err)
	}
	return path
}

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
