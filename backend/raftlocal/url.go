package raftlocal

import (
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fencelock/fencelock/driver/address"
)

// The query parameters that a URL may have.
var (
	sharedParams  = []string{"namespace"}
	clusterParams = append(address.TLSParams(), "namespace", "cluster", "insecure")
	memberParams  = append([]string{"group", "id", "peers", "listen", "join"}, clusterParams...)
)

// ParseURL reads a URL as Open does; see the package comment for its form. Files of
// certificates that it names must be there.
func ParseURL(u *url.URL) (*Options, error) {
	c, err := parseURL(u, nil)
	if err != nil {
		return nil, err
	}
	return &c, nil
}

// parseURL also says who is to be told of what an operator should know.
func parseURL(u *url.URL, log *slog.Logger) (Options, error) {
	switch {
	case u.User != nil:
		return Options{}, address.Invalid("a user in the URL has no meaning: who may connect is decided by certificates")
	case u.Scheme == "raftmem":
		return parseMemory(u, log)
	case u.Host == "unix:":
		return parseSocket(u, log)
	case u.Host != "":
		return parseClient(u, log)
	}
	q, err := address.Params(u, memberParams...)
	if err != nil {
		return Options{}, err
	}
	c := Options{Logger: log, Dir: u.Path, Group: q.Get("group"), ID: q.Get("id"), Listen: q.Get("listen")}
	if q.Has("id") && c.ID == "" {
		return Options{}, address.Invalid("id= is empty: give this member its name among peers=")
	}
	if q.Has("group") && c.Group == "" {
		return Options{}, address.Invalid("group= is empty: name the group whose users share the directory, or leave it out")
	}
	if c.Peers, err = parsePeers(q.Get("peers")); err != nil {
		return Options{}, err
	}
	if c.Join, err = parseBool(q, "join"); err != nil {
		return Options{}, err
	}
	return c.parseCluster(q)
}

func parseMemory(u *url.URL, log *slog.Logger) (Options, error) {
	q, err := address.Params(u, sharedParams...)
	if err != nil {
		return Options{}, err
	}
	if u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return Options{}, address.Invalid("write raftmem://name: those who open the same name share its locks")
	}
	return Options{Logger: log, Memory: u.Host, Namespace: q.Get("namespace")}.parsed(q)
}

// parseSocket reads raft://unix:/path, which net/url takes for a host with an empty port.
func parseSocket(u *url.URL, log *slog.Logger) (Options, error) {
	q, err := address.Params(u, sharedParams...)
	if err != nil {
		return Options{}, err
	}
	if strings.Trim(u.Path, "/") == "" {
		return Options{}, address.Invalid("the path of the socket is missing: write raft://unix:/var/lib/app/locks/socket")
	}
	return Options{Logger: log, Socket: filepath.Clean(u.Path), Namespace: q.Get("namespace")}.parsed(q)
}

func parseClient(u *url.URL, log *slog.Logger) (Options, error) {
	q, err := address.Params(u, clusterParams...)
	if err != nil {
		return Options{}, err
	}
	if strings.Trim(u.Path, "/") != "" {
		return Options{}, address.Invalid("the URL has hosts and a path: write raft:///dir for a directory, raft://h1,h2,h3 for a client, raft://unix:/path for a socket, and the namespace as namespace=")
	}
	hosts, err := address.Hosts(u, defaultPort)
	if err != nil {
		return Options{}, err
	}
	return Options{Logger: log, Hosts: hosts}.parseCluster(q)
}

// parseCluster reads what members and clients of a cluster have in common.
func (c Options) parseCluster(q url.Values) (Options, error) {
	c.Cluster = q.Get("cluster")
	var err error
	if c.Insecure, err = parseBool(q, "insecure"); err != nil {
		return c, err
	}
	if c.Certificates, err = parseTLS(q, c.Logger); err != nil {
		return c, err
	}
	return c.parsed(q)
}

// parsed reads what all have in common, and checks the whole.
func (c Options) parsed(q url.Values) (Options, error) {
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

// parseTLS finds the files of certificates, if any are named.
func parseTLS(q url.Values, log *slog.Logger) (*address.Certificates, error) {
	if !slices.ContainsFunc(address.TLSParams(), q.Has) {
		return nil, nil
	}
	for _, name := range []string{"ca", "cert", "key"} {
		if q.Get(name) == "" {
			return nil, address.Invalid("%s= is missing: with TLS both sides show a certificate, so ca=, cert= and key= go together", name)
		}
	}
	return address.TLS(q, log)
}
