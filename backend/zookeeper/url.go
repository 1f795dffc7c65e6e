package zookeeper

import (
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver/address"
)

const (
	defaultNamespace = "fencelock"
	defaultPort      = "2181"
)

// The query parameters that a URL may have.
var (
	plainParams = []string{"namespace", "acl"}
	tlsParams   = append(address.TLSParams(), plainParams...)
)

func parseURL(u *url.URL, log *slog.Logger) (conf config, err error) {
	conf.log = log
	known := plainParams
	if u.Scheme == "zookeepers" {
		known = tlsParams
	}
	q, err := address.Params(u, known...)
	if err != nil {
		return conf, err
	}
	if conf.hosts, err = address.Hosts(u, defaultPort); err != nil {
		return conf, err
	}
	conf.chroot = strings.TrimSuffix(u.Path, "/")
	if why := checkChroot(conf.chroot); why != "" {
		return conf, address.Invalid("the path %q: %s", u.Path, why)
	}
	conf.namespace = defaultNamespace
	if q.Has("namespace") {
		conf.namespace = q.Get("namespace")
	}
	if why := checkNamespace(conf.namespace); why != "" {
		return conf, address.Invalid("namespace=%q: %s", conf.namespace, why)
	}
	if err := conf.parseAccess(u, q); err != nil {
		return conf, err
	}
	if u.Scheme == "zookeepers" {
		conf.tls, err = address.TLS(q, log)
	}
	return conf, err
}

// parseAccess reads the user and password, and the ACL of new nodes: by default only the same
// user may use them, or everybody if there is no user.
func (conf *config) parseAccess(u *url.URL, q url.Values) error {
	conf.acl = zk.WorldACL(zk.PermAll)
	if user := u.User; user != nil {
		password, ok := user.Password()
		if !ok || password == "" || user.Username() == "" {
			return address.Invalid("user and password go together, and one of them is missing: write %s://user:password@host", u.Scheme)
		}
		if strings.Contains(user.Username(), ":") {
			return address.Invalid("the user's name %s", hasColon)
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

const hasColon = "has a colon, which ZooKeeper cannot tell from the one before the password"

// parseACL reads entries like world:anyone:r, with commas between. An id may have
// colons. Errors do not show the entries: a digest is nearly a password.
func parseACL(text string) (acl []zk.ACL, err error) {
	for i, entry := range strings.Split(text, ",") {
		scheme, rest, ok := strings.Cut(entry, ":")
		last := strings.LastIndexByte(rest, ':')
		if !ok || scheme == "" || last < 0 {
			return nil, address.Invalid("acl=, entry %d: want scheme:id:permissions, such as world:anyone:r", i+1)
		}
		perms, err := parsePerms(rest[last+1:])
		if err != nil {
			return nil, address.Invalid("acl=, entry %d: %w", i+1, err)
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

// checkNamespace says what is wrong with a namespace.
func checkNamespace(ns string) string {
	if why := address.Namespace(ns, "._:-"); why != "" {
		return why
	}
	if strings.Trim(ns, ".") == "" || ns == "zookeeper" {
		return "the name is ZooKeeper's own"
	}
	return ""
}

// checkChroot says what is wrong with a chroot, which is "" or like "/a/b".
func checkChroot(path string) string {
	if path == "" {
		return ""
	}
	parts := strings.Split(path, "/")
	if parts[0] != "" {
		return "want a path that begins with /"
	}
	for _, part := range parts[1:] {
		switch {
		case part == "":
			return "want no empty part, and no / at the end"
		case part == "." || part == "..":
			return "want no part . or .."
		case strings.ContainsFunc(part, func(c rune) bool {
			return c < ' ' || c >= 0x7f && c < 0xa0 || c >= 0xe000 && c <= 0xf8ff || c >= 0xfff0
		}):
			return "it has characters that ZooKeeper does not allow"
		}
	}
	return ""
}
