package etcd_test

import (
	"strings"
	"testing"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestTLS: with a certificate of the server that is trusted, and one of the client's
// own; and what is said where one is not right.
func TestTLS(t *testing.T) {
	t.Parallel()
	s, ns := servers.Start(t, servers.Etcd, servers.TLS()), locktest.Namespace()
	f := locktest.CertificateFiles(t, s.TLSAddr(), s.TLSConfig())
	u := func(query string) string { return "etcds://" + s.TLSAddr() + "?" + query }
	keys := "&cert=" + f.Cert + "&key=" + f.Key
	for name, good := range map[string]string{
		"TLS":      u("ca=" + f.CA + keys),
		"own name": u("ca=" + f.CA + keys + "&server_name=localhost"),
	} {
		if err := tryURL(t, good, ns); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	expectRefusal(t, u(strings.TrimPrefix(keys, "&")), ns, "certificate")
	expectRefusal(t, u("ca="+f.Other+keys), ns, "certificate")
	expectRefusal(t, u("ca="+f.CA+keys+"&server_name=elsewhere.example"), ns, "elsewhere.example")
	expectRefusal(t, u("ca="+f.CA), ns, "certificate")
	expectRefusal(t, "etcd://"+s.TLSAddr(), ns, "write etcds://")
	expectRefusal(t, "etcds://"+s.Addr()+"?ca="+f.CA+keys, ns, "write etcd://")
}
