package servers

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// RaftCluster is the name of the clusters of [Raft].
const RaftCluster = "test"

// Raft is a member of the built-in Raft in a process, or a container, of its own. Its
// program is built of this repository.
var Raft = Kind{
	name: "raft", product: "raftlocal", variable: "RAFT", program: "member", cure: "install Go", release: "0.",
	ports: ports{plain: 7300}, versionArgs: []string{"-version"},
	another: func(Kind) (string, error) { return buildMember() }, makeImage: memberImage,
	setup: raftSetup, ping: raftPing, askVersion: raftVersion, askStanding: raftStanding,
}

// raftSetup makes a member that listens on one port for everybody.
func raftSetup(l layout, o options) setup {
	me := l.me()
	var peers []string
	for _, m := range l.members {
		peers = append(peers, m.name+"="+net.JoinHostPort(m.host, strconv.Itoa(m.plain)))
	}
	q := url.Values{
		"id": {me.name}, "listen": {net.JoinHostPort(l.host, strconv.Itoa(l.plain))}, "peers": {strings.Join(peers, ",")},
		"cluster": {RaftCluster}, "insecure": {"true"},
	}
	return setup{args: append([]string{"-url", fmt.Sprintf("raft://%s/raft?%s", Dir, q.Encode())}, o.args...)}
}

// RaftURL is for clients of members at some addresses.
func RaftURL(addrs []string, ns string) string {
	q := url.Values{"cluster": {RaftCluster}, "insecure": {"true"}, "namespace": {ns}}
	return "raft://" + strings.Join(addrs, ",") + "?" + q.Encode()
}
