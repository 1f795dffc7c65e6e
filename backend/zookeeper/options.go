package zookeeper

import (
	"cmp"
	"crypto/tls"
	"log/slog"
	"net/url"
	"slices"
	"strings"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
)

// Options are what [New] takes besides the servers, where Open has a URL.
type Options struct {
	// Namespace is the name of the node under which all locks are: 1 to 64 letters,
	// digits and . _ : - characters. "fencelock" if empty. Clients that are to exclude
	// each other have the same namespace.
	Namespace string

	// Chroot is the path of the node above that, like "/apps/billing". "" is the root.
	Chroot string

	// User and Password are sent by the scheme "digest". Both or none.
	User, Password string

	// ACL is what each new node gets. If nil: all rights for User, or for everybody if there is none.
	ACL []zk.ACL

	// TLS is for connections with TLS; nil for those without. Each connection gets a copy. If it has
	// no ServerName, the server's certificate must have the name of the host. Certificates that are
	// rotated come from its functions, GetClientCertificate and VerifyConnection.
	TLS *tls.Config

	// Logger gets what an operator should know and no call returns: that a session has expired, that
	// no server can be reached. slog.Default() if nil.
	Logger *slog.Logger
}

// config checks what the application wants. Errors name the field, and do not show the password.
func (o *Options) config(servers []string) (conf config, err error) {
	conf = config{
		namespace: cmp.Or(o.Namespace, defaultNamespace), chroot: o.Chroot, acl: slices.Clone(o.ACL),
		log: driver.OpenOptions{Logger: o.Logger}.Log("zookeeper"),
	}
	for _, server := range servers {
		hosts, err := address.Hosts(&url.URL{Host: server}, defaultPort)
		if err != nil || len(hosts) != 1 {
			return conf, address.Invalid("servers: %q: want host:port, or [address]:port for IPv6", server)
		}
		conf.hosts = append(conf.hosts, hosts[0])
	}
	switch why := checkNamespace(conf.namespace); {
	case len(servers) == 0:
		return conf, address.Invalid("servers: there are none")
	case why != "":
		return conf, address.Invalid("Namespace %q: %s", o.Namespace, why)
	case (o.User == "") != (o.Password == ""):
		return conf, address.Invalid("User and Password go together, and one of them is empty")
	case strings.Contains(o.User, ":"):
		return conf, address.Invalid("User %s", hasColon)
	case o.ACL != nil && len(o.ACL) == 0:
		return conf, address.Invalid("ACL has no entry: nobody could use the locks")
	}
	if why := checkChroot(o.Chroot); why != "" {
		return conf, address.Invalid("Chroot %q: %s", o.Chroot, why)
	}
	if o.User != "" {
		conf.auth = []byte(o.User + ":" + o.Password)
	}
	switch {
	case o.ACL != nil:
	case o.User != "":
		conf.acl = zk.AuthACL(zk.PermAll)
	default:
		conf.acl = zk.WorldACL(zk.PermAll)
	}
	if o.TLS != nil {
		conf.tls = address.CertificatesOf(o.TLS)
	}
	return conf, nil
}
