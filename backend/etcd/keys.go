package etcd

import (
	"net/url"
	"strconv"
	"strings"

	mvccpb "go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
)

// A claim, which holds its lock or waits for it, is a key of its own:
//
//	NAMESPACE/locks/LOCK/LEASE.N    value: ATTEMPT IDENTITY
//
// The claims of a lock have the prefix up to LEASE in common, and nothing else has:
// LOCK is escaped, so that it has no slash. They are ordered by the revision that
// created them. N tells claims of one session apart; ".0" is left out. The attempt ID is
// not in the name, for the server keeps every name that was ever used, and goes
// through all that have the prefix when it counts them, until its history is
// compacted. So names are used again, and it is the revision, or the value, that
// tells one attempt from another.
//
// A session has a key, too; see session:
//
//	NAMESPACE/leases/LEASE          LEASE in hexadecimal
const defaultNamespace = "fencelock"

// namespace is what all our keys begin with.
type namespace string

// locks is what the names of all claims begin with.
func (ns namespace) locks() string { return string(ns) + "/locks/" }

// prefix is what the names of the claims of a lock begin with.
func (ns namespace) prefix(key string) string { return ns.locks() + url.PathEscape(key) + "/" }

// directoryOf returns what the claims of a lock have in common, with the slash at its end.
func (ns namespace) directoryOf(kv *mvccpb.KeyValue) string {
	locks := ns.locks()
	lock, _, _ := strings.Cut(string(kv.Key)[len(locks):], "/")
	return locks + lock + "/"
}

// firstName is the name of the only claim that a session has of a lock, as a rule.
func (ns namespace) firstName(key, epochKey string) string {
	return string(ns) + "/locks/" + url.PathEscape(key) + "/" + epochKey[len(directory(epochKey)):]
}

// directory is what a name has up to its last slash: that of a claim has it in common with all claims of its lock,
// and that of an epoch key with all epoch keys.
func directory(name string) string { return name[:strings.LastIndexByte(name, '/')+1] }

// withoutNumber is the name of a claim without its N.
func withoutNumber(name string) string {
	directory := len(directory(name))
	lease, _, _ := strings.Cut(name[directory:], ".")
	return name[:directory+len(lease)]
}

// epochKey is the key that a session has.
func (ns namespace) epochKey(lease clientv3.LeaseID) string {
	return string(ns) + "/leases/" + leaseName(lease)
}

// leaseName is a lease as names have it.
func leaseName(id clientv3.LeaseID) string { return strconv.FormatInt(int64(id), 16) }

func nextName(first string, n int) string { return first + "." + strconv.Itoa(n) }

// claimValue is the value of a claim. The attempt ID has no space, so it ends with the first one. The
// identity is what driver.JoinIdentity made.
func claimValue(attemptID, identity string) string { return attemptID + " " + identity }

func parseValue(value []byte) (attemptID, identity, meta string) {
	attemptID, joined, _ := strings.Cut(string(value), " ")
	identity, meta = driver.SplitIdentity(joined)
	return attemptID, identity, meta
}

// checkNamespace says what is wrong with a namespace, or nothing.
func checkNamespace(ns string) string {
	if strings.HasPrefix(ns, "/") || strings.HasSuffix(ns, "/") || strings.Contains(ns, "//") {
		return "it may not begin or end with a slash, or have two in a row"
	}
	return address.Namespace(ns, "._:-/")
}
