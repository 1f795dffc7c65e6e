package raftlocal

import (
	"crypto/tls"
	"net/url"
	"slices"
	"strings"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
	"github.com/fencelock/fencelock/driver/address"
)

// The query parameters that a URL may have.
var (
	sharedParams  = []string{"namespace"}
	clusterParams = append(address.TLSParams(), "namespace", "cluster", "insecure")
	memberParams  = append([]string{"id", "peers", "listen", "join"}, clusterParams...)
)

// ParseURL reads a URL as Open does; see the package comment for its form. Files of
// certificates that it names are read.
func ParseURL(u *url.URL) (Config, error) {
	switch {
	case u.User != nil:
		return Config{}, address.Invalid("a user in the URL has no meaning: who may connect is decided by certificates")
	case u.Scheme == "raftmem":
		return parseMemory(u)
	case u.Host != "":
		return parseClient(u)
	}
	q, err := address.Params(u, memberParams...)
	if err != nil {
		return Config{}, err
	}
	c := Config{Dir: u.Path, ID: q.Get("id"), Listen: q.Get("listen")}
	if q.Has("id") && c.ID == "" {
		return Config{}, address.Invalid("id= is empty: give this member its name among peers=")
	}
	if c.Peers, err = parsePeers(q.Get("peers")); err != nil {
		return Config{}, err
	}
	if c.Join, err = parseBool(q, "join"); err != nil {
		return Config{}, err
	}
	return c.parseCluster(q)
}

func parseMemory(u *url.URL) (Config, error) {
	q, err := address.Params(u, sharedParams...)
	if err != nil {
		return Config{}, err
	}
	if u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return Config{}, address.Invalid("write raftmem://name: those who open the same name share its locks")
	}
	return Config{Memory: u.Host, Namespace: q.Get("namespace")}.parsed(q)
}

func parseClient(u *url.URL) (Config, error) {
	q, err := address.Params(u, clusterParams...)
	if err != nil {
		return Config{}, err
	}
	if strings.Trim(u.Path, "/") != "" {
		return Config{}, address.Invalid("the URL has hosts and a path: write raft:///dir for a directory, raft://h1,h2,h3 for a client, and the namespace as namespace=")
	}
	hosts, err := address.Hosts(u, defaultPort)
	if err != nil {
		return Config{}, err
	}
	return Config{Hosts: hosts}.parseCluster(q)
}

// parseCluster reads what members and clients of a cluster have in common.
func (c Config) parseCluster(q url.Values) (Config, error) {
	c.Cluster = q.Get("cluster")
	var err error
	if c.Insecure, err = parseBool(q, "insecure"); err != nil {
		return c, err
	}
	if c.TLS, err = parseTLS(q); err != nil {
		return c, err
	}
	return c.parsed(q)
}

// parsed reads what all have in common, and checks the whole.
func (c Config) parsed(q url.Values) (Config, error) {
	c.Namespace = q.Get("namespace")
	if q.Has("namespace") && c.Namespace == "" {
		return c, address.Invalid("namespace= is empty: leave it out, or give it a name")
	}
	return c.check()
}

func parseBool(q url.Values, name string) (bool, error) {
	switch v := q.Get(name); {
	case !q.Has(name) || v == "false":
		return false, nil
	case v == "true":
		return true, nil
	default:
		return false, address.Invalid("%s=%s: write true or false", name, v)
	}
}

// parsePeers reads a=h1:7300,b=h2:7300.
func parsePeers(list string) ([]Peer, error) {
	if list == "" {
		return nil, nil
	}
	var peers []Peer
	for one := range strings.SplitSeq(list, ",") {
		name, addr, ok := strings.Cut(one, "=")
		if !ok || name == "" || addr == "" {
			return nil, address.Invalid("peers= has %q: write name=host:port for each member, with commas between them", one)
		}
		peers = append(peers, Peer{name, addr})
	}
	return peers, nil
}

// parseTLS reads the files of certificates, if any are named. That of our own is read anew for
// each connection, so that it can be renewed.
func parseTLS(q url.Values) (*tls.Config, error) {
	if !slices.ContainsFunc(address.TLSParams(), q.Has) {
		return nil, nil
	}
	for _, name := range []string{"ca", "cert", "key"} {
		if q.Get(name) == "" {
			return nil, address.Invalid("%s= is missing: with TLS both sides show a certificate, so ca=, cert= and key= go together", name)
		}
	}
	conf, err := address.TLS(q)
	if err != nil {
		return nil, err
	}
	if err := network.Renewing(conf, q.Get("cert"), q.Get("key")); err != nil {
		return nil, address.Invalid("cert=, key=: %w", err)
	}
	return conf, nil
}
