// Package address reads what the URLs of backends have in common: a list of hosts,
// parameters that must be known, certificates. Its errors wrap driver.ErrInvalid, name
// the part that is wrong and the cure, and never have the URL, which may hold a password.
package address

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/fencelock/fencelock/driver"
)

// Invalid makes the error of a wrong part of a URL.
func Invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", driver.ErrInvalid, fmt.Errorf(format, args...))
}

// Namespace says what is wrong with a namespace, or returns "". A good one has 1 to 64 characters, which are letters,
// digits or in others.
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

// Hosts returns the hosts of the URL, which are separated by commas, as host:port. A host
// without a port gets the usual one.
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

// Password reads the file of password_file=. The file may be replaced while the program
// runs, so read it for each login. Line ends after the password, which editors and echo add,
// are not part of it. An empty file is an error: it is just being written, perhaps.
func Password(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("password_file=: %w", err)
	}
	password := bytes.TrimRight(text, "\r\n")
	if len(password) == 0 {
		return "", fmt.Errorf("password_file=%s: it is empty", file)
	}
	return string(password), nil
}
