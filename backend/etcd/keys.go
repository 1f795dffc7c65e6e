package etcd

import (
	"net/url"
	"strconv"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// A claim, which holds its lock or waits for it, is a key of its own:
//
//	NAMESPACE/locks/LOCK/OWNER    value: Request.Meta
//
// The claims of a lock have the prefix up to OWNER in common, and nothing else
// has: LOCK is escaped, so that it has no slash. They are ordered by the revision
// that created them. A session has a key, too:
//
//	NAMESPACE/leases/LEASE        LEASE in hexadecimal; see session
const defaultNamespace = "fencelock"

func (b *backend) prefix(key string) string {
	return b.namespace + "/locks/" + url.PathEscape(key) + "/"
}

func (b *backend) claimKey(key, owner string) string { return b.prefix(key) + owner }

// ownerOf is the owner in the name of a claim.
func ownerOf(claimKey []byte) string {
	name := string(claimKey)
	return name[strings.LastIndexByte(name, '/')+1:]
}

func (b *backend) fenceKey(lease clientv3.LeaseID) string {
	return b.namespace + "/leases/" + strconv.FormatInt(int64(lease), 16)
}

// checkNamespace says what is wrong with a namespace, or nothing.
func checkNamespace(ns string) string {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-/"
	switch {
	case ns == "":
		return "it is empty"
	case len(ns) > 64:
		return "it has more than 64 characters"
	case strings.Trim(ns, allowed) != "":
		return "it may have letters, digits and . _ : - / only"
	case strings.HasPrefix(ns, "/"), strings.HasSuffix(ns, "/"), strings.Contains(ns, "//"):
		return "it may not begin or end with a slash, or have two in a row"
	}
	return ""
}
