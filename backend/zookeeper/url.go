package zookeeper

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock"
)

const (
	defaultNamespace = "fencelock"
	defaultPort      = "2181"
)

// The query parameters that a URL may have.
var (
	plainParams = []string{"namespace", "acl"}
	tlsParams   = append([]string{"ca", "cert", "key", "server_name"}, plainParams...)
)

// invalid makes the error of a wrong part of a URL. It never has the URL itself.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", fencelock.ErrInvalid, fmt.Errorf(format, args...))
}

func parseURL(u *url.URL) (conf config, err error) {
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return conf, invalid("the query of the URL cannot be parsed")
	}
	known := plainParams
	if u.Scheme == "zookeepers" {
		known = tlsParams
	}
	if err := checkParams(q, known); err != nil {
		return conf, err
	}
	if conf.hosts, err = parseHosts(u); err != nil {
		return conf, err
	}
	conf.chroot = strings.TrimSuffix(u.Path, "/")
	if why := checkChroot(conf.chroot); why != "" {
		return conf, invalid("the path %q: %s", u.Path, why)
	}
	conf.space = defaultNamespace
	if q.Has("namespace") {
		conf.space = q.Get("namespace")
	}
	if why := checkNamespace(conf.space); why != "" {
		return conf, invalid("namespace=%q: %s", conf.space, why)
	}
	if err := conf.parseAccess(u.User, q); err != nil {
		return conf, err
	}
	if u.Scheme == "zookeepers" {
		conf.tls, err = tlsConfig(q)
	}
	return conf, err
}

// parseHosts reads the servers, each with a port of its own or the default one.
func parseHosts(u *url.URL) (hosts []string, err error) {
	if u.Host == "" {
		return nil, invalid("the host is missing: write %s://host:2181, or several with commas", u.Scheme)
	}
	for one := range strings.SplitSeq(u.Host, ",") {
		if strings.HasSuffix(one, ":") || strings.Count(one, ":") > 1 && !strings.HasPrefix(one, "[") {
			return nil, invalid("host %q: want name:port, or [address]:port for IPv6", one)
		}
		part := url.URL{Host: one}
		host, port := part.Hostname(), part.Port()
		if port == "" {
			port = defaultPort
		}
		if host == "" {
			return nil, invalid("a host in the list is empty: write %s://h1:2181,h2:2181", u.Scheme)
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, invalid("port %q: want a number from 1 to 65535", port)
		}
		hosts = append(hosts, net.JoinHostPort(host, port))
	}
	return hosts, nil
}

func checkParams(q url.Values, known []string) error {
	for name, values := range q {
		switch {
		case !slices.Contains(known, name):
			return invalid("unknown query parameter %q: known are %s", name, strings.Join(known, ", "))
		case len(values) > 1:
			return invalid("query parameter %q is given twice", name)
		}
	}
	return nil
}

// parseAccess reads who we are and who may use our nodes: by default only the same
// user, or everybody if there is none.
func (conf *config) parseAccess(user *url.Userinfo, q url.Values) error {
	conf.acl = zk.WorldACL(zk.PermAll)
	if user != nil {
		password, ok := user.Password()
		if !ok || password == "" || user.Username() == "" {
			return invalid("user and password go together: one of them is missing")
		}
		if strings.Contains(user.Username(), ":") {
			return invalid("the user's name has a colon, which ZooKeeper cannot tell from the one before the password")
		}
		conf.auth = []byte(user.Username() + ":" + password)
		conf.acl = zk.AuthACL(zk.PermAll)
	}
	if q.Has("acl") {
		acl, err := parseACL(q.Get("acl"))
		if err != nil {
			return err
		}
		conf.acl = acl
	}
	return nil
}

// parseACL reads entries like world:anyone:r, with commas between. An id may have
// colons. Errors do not show the entries: a digest is nearly a password.
func parseACL(text string) (acl []zk.ACL, err error) {
	for i, entry := range strings.Split(text, ",") {
		scheme, rest, ok := strings.Cut(entry, ":")
		last := strings.LastIndexByte(rest, ':')
		if !ok || scheme == "" || last < 0 {
			return nil, invalid("acl=, entry %d: want scheme:id:permissions, such as world:anyone:r", i+1)
		}
		perms, err := parsePerms(rest[last+1:])
		if err != nil {
			return nil, invalid("acl=, entry %d: %w", i+1, err)
		}
		acl = append(acl, zk.ACL{Scheme: scheme, ID: rest[:last], Perms: perms})
	}
	return acl, nil
}

func parsePerms(letters string) (perms int32, err error) {
	known := map[rune]int32{'c': zk.PermCreate, 'd': zk.PermDelete, 'r': zk.PermRead, 'w': zk.PermWrite, 'a': zk.PermAdmin}
	for _, l := range letters {
		if known[l] == 0 {
			return 0, fmt.Errorf("permission %q: want letters of cdrwa", l)
		}
		perms |= known[l]
	}
	if perms == 0 {
		return 0, fmt.Errorf("no permissions: want letters of cdrwa")
	}
	return perms, nil
}

// tlsConfig reads ca= (a PEM file; the system's roots if absent), cert= and key= (PEM
// files of a client certificate) and server_name= (the host that is dialled if absent).
func tlsConfig(q url.Values) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: q.Get("server_name")}
	if q.Has("ca") {
		pem, err := os.ReadFile(q.Get("ca"))
		if err != nil {
			return nil, invalid("ca=: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, invalid("ca=%s: no PEM certificate in the file", q.Get("ca"))
		}
	}
	if q.Has("cert") != q.Has("key") {
		return nil, invalid("cert= and key= go together: one of them is missing")
	}
	if q.Has("cert") {
		pair, err := tls.LoadX509KeyPair(q.Get("cert"), q.Get("key"))
		if err != nil {
			return nil, invalid("cert=, key=: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
