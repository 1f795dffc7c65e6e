package zookeeper

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
)

// parentOf is the node under which the claims of a key are.
func (b *backend) parentOf(key string) string { return b.root + "/" + escape(key) }

// escape makes one path component of a key. Two keys never share one: PathEscape
// can be undone, and it never writes %2E, which stands for the two names that
// ZooKeeper takes for relative paths.
func escape(key string) string {
	switch key {
	case ".":
		return "%2E"
	case "..":
		return "%2E%2E"
	}
	return url.PathEscape(key)
}

// unescape is the inverse of escape. Of a node that has no key's name, since somebody else has
// made it, it is not ok.
func unescape(node string) (key string, ok bool) {
	key, err := url.PathUnescape(node)
	return key, err == nil && key != "" && len(key) <= driver.MaxKeyLen && utf8.ValidString(key) && escape(key) == node
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
