package raftlocal

import (
	"crypto/tls"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/shared"
	"github.com/fencelock/fencelock/driver/address"
)

// Options say where locks are kept, as a URL does: see the package comment. One of Dir, Memory,
// Socket and Hosts is set.
type Options struct {
	// Dir is the directory that processes of this machine share, or, with ID, a member's own. It
	// is made if it does not exist.
	Dir string
	// Group is a group of users, by its name or number, who share Dir with the user that owns it. They are
	// clients: only processes of the owner serve. If it is empty, all processes run as one
	// user.
	Group string
	// Socket is the path of the socket in a directory that other processes share and serve, to be a
	// client of. Nothing is ever made, and this process never serves.
	Socket string
	// Memory is the name of locks that are kept in the memory of this process, for tests.
	Memory string
	// Hosts are addresses of members, host:port, to be a client of.
	Hosts []string

	// ID is the name of the member of a cluster that this process shall be.
	ID string
	// Peers are all members, this one too. They are what a new cluster begins with: an odd
	// number, the same for each of them, and all must be there once. With Join, and where the
	// cluster has begun, they are only where to ask. When the directory is in use, the log knows the
	// members, and this says nothing.
	Peers []Peer
	// Listen is where this member listens: its own address among the peers if empty.
	Listen string
	// Join makes a member with an empty directory wait until it is added to a cluster: see
	// [Admin.AddMember].
	Join bool

	// Cluster is the name of the cluster, which keeps two of them apart that reach each
	// other by mistake. A client may leave it empty, and takes any.
	Cluster string
	// TLS has the authority that is trusted, RootCAs, and the certificate that is shown to the
	// other side. Both sides of a connection verify the other's, in version 1.3. A certificate is
	// for serverAuth and clientAuth, and has the name by which the member is dialled, unless
	// ServerName says another.
	TLS *tls.Config
	// Certificates is set in place of TLS where all of that is in files, as a URL names them: see
	// address.TLS. They are read again for each connection, so that certificates are renewed, and
	// authorities replaced, without a restart. What TLS has is the application's own affair.
	Certificates *address.Certificates
	// Insecure is set in place of both where everybody who can reach the members may do all.
	Insecure bool

	// Namespace is what all keys begin with: 1 to 64 letters, digits and . _ : - characters;
	// "fencelock" if empty. Clients that are to exclude each other have the same.
	Namespace string
	// Logger is told what an operator should know, once for each change: see "Log" in the package
	// comment. slog.Default if nil. A member waits for it, so it should not block; what fencelock.Open
	// passes never does.
	Logger *slog.Logger
}

// Peer is a member of a cluster.
type Peer struct {
	Name string
	// Addr is where the others, and clients, reach it: host:port, or unix:/path where all of
	// them are on one machine.
	Addr string
}

const (
	defaultNamespace = "fencelock"
	defaultPort      = "7300"
	// maxMembers is the most that a cluster begins with: each more makes it slower.
	maxMembers = 7
)

// value is a copy of the Options, which are the caller's. Nil stands for none.
func (o *Options) value() Options {
	if o == nil {
		return Options{}
	}
	return *o
}

// check refuses what makes no sense, and fills in what was left out.
func (c Options) check() (Options, error) {
	ways := 0
	for _, is := range []bool{c.Dir != "", c.Memory != "", c.Socket != "", len(c.Hosts) > 0} {
		if is {
			ways++
		}
	}
	switch {
	case ways != 1:
		return c, address.Invalid("name one of these: a directory, raft:///dir, or members to be a client of, raft://h1,h2,h3")
	case c.Dir != "" && filepath.Dir(c.Dir) == c.Dir:
		return c, address.Invalid("the directory is missing: write raft:///var/lib/app/locks")
	case c.Group != "" && (c.Dir == "" || c.ID != ""):
		return c, address.Invalid("group= is for a directory that processes of one machine share, raft:///dir without id=: leave it out")
	case c.Socket != "" && !filepath.IsAbs(c.Socket):
		return c, address.Invalid("the socket %q: give all of its path, as in raft://unix:/var/lib/app/locks/socket", c.Socket)
	}
	if c.Namespace == "" {
		c.Namespace = defaultNamespace
	}
	if why := address.Namespace(c.Namespace, namespaceOthers); why != "" {
		return c, address.Invalid("namespace %q: %s", c.Namespace, why)
	}
	if c.ID == "" && (len(c.Peers) > 0 || c.Listen != "" || c.Join) {
		return c, address.Invalid("id= is missing: peers=, listen= and join= are for a member of a cluster, which has a name")
	}
	if c.ID == "" && len(c.Hosts) == 0 {
		if c.Cluster != "" || c.secured() || c.Insecure {
			return c, address.Invalid("id= is missing: cluster=, insecure= and TLS are for a member of a cluster, which has a name")
		}
		return c, nil
	}
	if err := c.checkTrust(); err != nil {
		return c, err
	}
	if c.ID == "" {
		if c.Cluster == "" {
			return c, nil
		}
		return c, checkName("cluster=", c.Cluster)
	}
	return c.checkMember()
}

// location is what processes share.
func (c Options) location() (shared.Location, error) {
	if c.Memory != "" {
		return shared.Memory(c.Memory)
	}
	group := network.NoGroup
	if c.Group != "" {
		var err error
		if group, err = shared.LookupGroup(c.Group); err != nil {
			return nil, address.Invalid("group=%s: %w", c.Group, err)
		}
	}
	return shared.Directory(c.Dir, group)
}

// warnings are what the Options weaken.
func (c Options) warnings() []string {
	if !c.Insecure {
		return nil
	}
	return []string{"insecure=true: without TLS, anybody who can reach the port of a member may take any lock, be a member and operate the cluster"}
}

// namespaceOthers are the characters of a namespace besides letters and digits.
const namespaceOthers = "._:-"

func (c Options) secured() bool { return c.TLS != nil || c.Certificates != nil }

// secure makes the TLS of Options that have any.
func (c Options) secure() (s *network.Secure, err error) {
	if c.Certificates != nil {
		s, err = network.Renewed(c.Certificates)
	} else {
		s, err = network.NewSecure(c.TLS)
	}
	if err != nil {
		return nil, address.Invalid("%w", err)
	}
	return s, nil
}

func (c Options) checkTrust() error {
	switch {
	case c.TLS != nil && c.Certificates != nil:
		return address.Invalid("TLS and Certificates are both set: leave one of them out")
	case c.Insecure && c.secured():
		return address.Invalid("insecure=true and certificates contradict each other: leave one of them out")
	case !c.Insecure && !c.secured():
		return address.Invalid("ca=, cert= and key= are missing: name the PEM files of the cluster's authority and of our certificate, or say insecure=true on a network where everybody may do all")
	}
	return nil
}

// checkMember looks at what only a member has.
func (c Options) checkMember() (Options, error) {
	switch {
	case c.Dir == "":
		return c, address.Invalid("id= is for a member, which needs a directory: write raft:///dir?id=%s", c.ID)
	case c.Cluster == "":
		return c, address.Invalid("cluster= is missing: give the cluster a name, the same on all members")
	case len(c.Peers) == 0:
		return c, address.Invalid("peers= is missing: list all members with their addresses, like a=h1:%s,b=h2:%s,c=h3:%s", defaultPort, defaultPort, defaultPort)
	}
	if err := checkName("cluster=", c.Cluster); err != nil {
		return c, err
	}
	if err := checkPeers(c.Peers); err != nil {
		return c, err
	}
	own := slices.IndexFunc(c.Peers, func(p Peer) bool { return p.Name == c.ID })
	if own < 0 {
		return c, address.Invalid("id=%s is not one of peers=: add it with its address, or correct the name", c.ID)
	}
	if c.Listen == "" {
		c.Listen = c.Peers[own].Addr
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil && !strings.HasPrefix(c.Listen, "unix:/") {
		return c, address.Invalid("listen=%s: write host:port, or :port for all addresses of this machine", c.Listen)
	}
	return c, nil
}

// checkPeers refuses members that cannot be told apart, or reached.
func checkPeers(peers []Peer) error {
	names, addrs := map[string]bool{}, map[string]string{}
	for _, p := range peers {
		if err := checkName("peers=", p.Name); err != nil {
			return err
		}
		if err := checkAddr(p); err != nil {
			return err
		}
		if names[p.Name] {
			return address.Invalid("peers= has the member %s twice: give each its own name", p.Name)
		}
		if other, ok := addrs[p.Addr]; ok {
			return address.Invalid("peers= has the members %s and %s at one address, %s: correct one of them", other, p.Name, p.Addr)
		}
		names[p.Name], addrs[p.Addr] = true, p.Name
	}
	return nil
}

func checkAddr(p Peer) error {
	if path, ok := strings.CutPrefix(p.Addr, "unix:"); ok {
		if !filepath.IsAbs(path) {
			return address.Invalid("the address %s of %s: write unix:/path, with all of the path", p.Addr, p.Name)
		}
		return nil
	}
	host, port, err := net.SplitHostPort(p.Addr)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || host == "" {
		return address.Invalid("the address %q of the member %s: write host:port, with a host that the others reach and a port from 1 to 65535", p.Addr, p.Name)
	}
	return nil
}

// checkInitialMembers refuses a number of members that makes no sense. It counts only as long as
// the cluster does not exist.
func checkInitialMembers(n int) error {
	switch {
	case n > maxMembers:
		return address.Invalid("peers= has %d members: begin with 3 or 5, and let all others be clients", n)
	case n%2 == 0:
		return address.Invalid("peers= has %d members, which stand the loss of no more than %d do: begin with %d or %d", n, n-1, n-1, n+1)
	}
	return nil
}

func checkName(what, name string) error {
	if why := address.Namespace(name, "._-"); why != "" {
		return address.Invalid("%s the name %q: %s", what, name, why)
	}
	return nil
}
