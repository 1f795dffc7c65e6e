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
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return PEMFiles{
		CA:    write("ca.pem", "CERTIFICATE", chain[len(chain)-1].Raw),
		Other: write("other.pem", "CERTIFICATE", anotherAuthority(t)),
		Cert:  write("cert.pem", "CERTIFICATE", conf.Certificates[0].Certificate[0]),
		Key:   write("key.pem", "PRIVATE KEY", key),
	}
}

func anotherAuthority(t *testing.T) (der []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "another authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if der, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key); err != nil {
		t.Fatal(err)
	}
	return der
}
