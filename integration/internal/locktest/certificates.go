package locktest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
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
