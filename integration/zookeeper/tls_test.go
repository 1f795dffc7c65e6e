package zookeeper_test

import (
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestTLS: a server that is not the one of the certificate, or not of an authority
// that is trusted, is not spoken to.
func TestTLS(t *testing.T) {
	t.Parallel()
	s := servers.Start(t, servers.ZooKeeper, servers.TLS())
	f := locktest.CertificateFiles(t, s.TLSAddr(), s.TLSConfig())
	base := "zookeepers://" + s.TLSAddr() + "?namespace=" + locktest.Namespace() + "&cert=" + f.Cert + "&key=" + f.Key
	b, err := openAs(t, "ann", base+"&ca="+f.CA)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	g, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "a", TTL: 3 * time.Second, Wait: true})
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	release(t, b, g)
	for what, params := range map[string]string{
		"an authority that is not ours": "&ca=" + f.Other,
		"the system's authorities":      "",
		"another server's name":         "&ca=" + f.CA + "&server_name=elsewhere.example",
	} {
		if _, err := openAs(t, "ann", base+params); err == nil {
			t.Errorf("Open with %s works", what)
		}
	}
}
