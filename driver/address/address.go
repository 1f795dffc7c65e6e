// Package address reads what the URLs of backends have in common: a list of hosts,
// parameters that must be known, certificates. Its errors wrap fencelock.ErrInvalid, name
// the part that is wrong and the cure, and never have the URL, which may hold a password.
package address

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

	"github.com/fencelock/fencelock"
)

// Invalid makes the error of a wrong part of a URL.
func Invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", fencelock.ErrInvalid, fmt.Errorf(format, args...))
}

// Params returns the query's parameters. It refuses one that is not known, and one that
// is given twice.
func Params(u *url.URL, known ...string) (url.Values, error) {
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, Invalid("the query of the URL cannot be parsed")
	}
	for name, values := range q {
		switch {
		case !slices.Contains(known, name):
			return nil, Invalid("unknown query parameter %q: known are %s", name, strings.Join(known, ", "))
		case len(values) > 1:
			return nil, Invalid("query parameter %q is given twice", name)
		}
	}
	return q, nil
}

// Namespace says what is wrong with a namespace, or nothing. It has 1 to 64 letters,
// digits and others.
func Namespace(ns, others string) string {
	const usual = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	switch {
	case ns == "":
		return "it is empty"
	case len(ns) > 64:
		return "it has more than 64 characters"
	case strings.ContainsFunc(ns, func(c rune) bool { return !strings.ContainsRune(usual+others, c) }):
		return "it may have letters, digits and " + strings.Join(strings.Split(others, ""), " ") + " only"
	}
	return ""
}

// Hosts returns the hosts of the URL, which are separated by commas, as host:port. Who
// has no port gets the usual one.
func Hosts(u *url.URL, usualPort string) (hosts []string, err error) {
	if u.Host == "" {
		return nil, Invalid("the host is missing: write %s://host:%s, or several with commas", u.Scheme, usualPort)
	}
	for one := range strings.SplitSeq(u.Host, ",") {
		if strings.HasSuffix(one, ":") || strings.Count(one, ":") > 1 && !strings.HasPrefix(one, "[") {
			return nil, Invalid("host %q: want name:port, or [address]:port for IPv6", one)
		}
		part := url.URL{Host: one}
		host, port := part.Hostname(), part.Port()
		if _, text, ok := strings.Cut(one, ":"); ok && !strings.HasPrefix(one, "[") {
			host, port = strings.TrimSuffix(one, ":"+text), text // also one that is no number
		}
		if port == "" {
			port = usualPort
		}
		if host == "" {
			return nil, Invalid("a host in the list is empty: write %s://h1:%s,h2:%s", u.Scheme, usualPort, usualPort)
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, Invalid("port %q: want a number from 1 to 65535", port)
		}
		hosts = append(hosts, net.JoinHostPort(host, port))
	}
	return hosts, nil
}

// TLSParams are the parameters that [TLS] reads.
func TLSParams() []string { return []string{"ca", "cert", "key", "server_name"} }

// TLS makes a client's settings of ca= (a PEM file; the system's roots if absent), cert=
// and key= (PEM files of a client certificate) and server_name=. The oldest version is
// 1.2, and the server's certificate is always verified.
func TLS(q url.Values) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: q.Get("server_name")}
	if q.Has("ca") {
		pem, err := os.ReadFile(q.Get("ca"))
		if err != nil {
			return nil, Invalid("ca=: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, Invalid("ca=%s: no PEM certificate in the file", q.Get("ca"))
		}
	}
	if q.Has("cert") != q.Has("key") {
		return nil, Invalid("cert= and key= go together: one of them is missing")
	}
	if q.Has("cert") {
		pair, err := tls.LoadX509KeyPair(q.Get("cert"), q.Get("key"))
		if err != nil {
			return nil, Invalid("cert=, key=: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
