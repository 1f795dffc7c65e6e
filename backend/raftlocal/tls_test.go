package raftlocal

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/testcert"
)

func TestClusterTLS(t *testing.T) {
	t.Parallel()
	ours, err := testcert.NewAuthority("ours")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := testcert.NewAuthority("theirs")
	if err != nil {
		t.Fatal(err)
	}
	conf := func(a *testcert.Authority, change func(*x509.Certificate)) Options {
		cert, err := a.Issue(change)
		if err != nil {
			t.Fatal(err)
		}
		tls := a.Config(cert)
		tls.ServerName = "localhost"
		return Options{TLS: tls}
	}
	c := newCluster(t, conf(ours, nil), "a", "b", "c")
	takesOne(t, c.client(), "k", "o")
	if s, err := c.admin().Status(within(t, 10*time.Second)); err != nil || len(s.Members) != 3 {
		t.Errorf("status over TLS: %+v, %v", s, err)
	}
	for what, is := range map[string]struct {
		Options
		cure string
	}{
		"another authority": {conf(theirs, nil), "of another authority"},
		"no TLS":            {Options{Insecure: true}, "takes TLS only"},
		"expired":           {conf(ours, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "take our certificate"},
	} {
		client := *c.clientOf()
		client.TLS, client.Insecure = is.TLS, is.Insecure
		b, err := New(within(t, 3*time.Second), &client)
		if err == nil {
			_ = b.Close()
		}
		if err == nil || !strings.Contains(err.Error(), is.cure) {
			t.Errorf("%s: %v, want %q", what, err, is.cure)
		}
	}
}
