package zookeeper_test

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

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestTLS: a server that is not the one of the certificate, or not of an authority
// that is trusted, is not spoken to.
func TestTLS(t *testing.T) {
	t.Parallel()
	s := servers.Start(t, servers.ZooKeeper, servers.TLS())
	files := pemFiles(t, s.TLSAddr(), s.TLSConfig())
	base := "zookeepers://" + s.TLSAddr() + "?namespace=" + namespace() + "&cert=" + files["cert"] + "&key=" + files["key"]
	b, err := openAs(t, "ann", base+"&ca="+files["ca"])
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	g, err := b.Acquire(t.Context(), driver.Request{Key: "k", Owner: "a", TTL: 3 * time.Second, Wait: true})
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	release(t, b, g)
	for what, params := range map[string]string{
		"an authority that is not ours": "&ca=" + files["other"],
		"the system's authorities":      "",
		"another server's name":         "&ca=" + files["ca"] + "&server_name=elsewhere.example",
	} {
		if _, err := openAs(t, "ann", base+params); err == nil {
			t.Errorf("Open with %s works", what)
		}
	}
}

// pemFiles writes what conf trusts and has, and an authority that has nothing to do
// with it, to files. What it trusts it learns from the server.
func pemFiles(t *testing.T, addr string, conf *tls.Config) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
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
	files := make(map[string]string)
	for name, block := range map[string]*pem.Block{
		"ca":    {Type: "CERTIFICATE", Bytes: chain[len(chain)-1].Raw},
		"other": {Type: "CERTIFICATE", Bytes: anotherAuthority(t)},
		"cert":  {Type: "CERTIFICATE", Bytes: conf.Certificates[0].Certificate[0]},
		"key":   {Type: "PRIVATE KEY", Bytes: key},
	} {
		files[name] = filepath.Join(t.TempDir(), name+".pem")
		if err := os.WriteFile(files[name], pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
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
	der, err = x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
