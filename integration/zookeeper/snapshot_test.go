package zookeeper_test

import (
	"encoding/binary"
	"hash/adler32"
	"strings"

	"github.com/fencelock/fencelock/integration/internal/servers"
)

// aged has a server begin with the node of a lock, below which so many claims were made
// already; and with a node in it that is none, if it is to stay. To make them would take
// weeks. It is a plain node, which the server would not sweep before it is used.
func aged(ns, key string, claims int32, stays bool) servers.Option {
	const zxid = "1000" // the last transaction, which a snapshot's name tells
	nodes := []snapshotNode{
		{path: ""},
		{path: "/zookeeper"},
		{path: "/zookeeper/config"},
		{path: "/zookeeper/quota"},
		{path: "/" + ns},
		{path: parentOf(ns, key), children: claims},
	}
	if stays {
		nodes = append(nodes, snapshotNode{path: parentOf(ns, key) + "/stays"})
	}
	return servers.File("version-2/snapshot."+zxid, snapshot(nodes))
}

type snapshotNode struct {
	path     string // "" is the root
	children int32  // that were made in it
}

// snapshot is a file of a server's data: as FileSnap, DataTree.serialize and StatPersisted
// write it, without sessions, lists of rights and what was added later and may be left out.
func snapshot(nodes []snapshotNode) []byte {
	const (
		magic      = "ZKSN"
		version    = 2
		openUnsafe = -1 // whoever may do whatever
	)
	var b []byte
	number := func(n int32) { b = binary.BigEndian.AppendUint32(b, uint32(n)) }
	long := func(n int64) { b = binary.BigEndian.AppendUint64(b, uint64(n)) }
	text := func(s string) {
		number(int32(len(s)))
		b = append(b, s...)
	}
	b = append(b, magic...)
	number(version)
	long(-1)  // the database's number
	number(0) // sessions
	number(0) // lists of rights
	for _, n := range nodes {
		text(n.path)
		text("") // its data
		long(openUnsafe)
		for range 4 { // czxid, mzxid, ctime, mtime
			long(0)
		}
		number(0) // version
		number(max(n.children, int32(countBelow(nodes, n.path))))
		number(0) // version of its rights
		long(0)   // the session that it goes with
		long(0)   // pzxid
	}
	text("/") // the end
	long(int64(adler32.Checksum(b)))
	text("/")
	return b
}

func countBelow(nodes []snapshotNode, path string) (count int) {
	for _, n := range nodes {
		if at := strings.LastIndexByte(n.path, '/'); at >= 0 && n.path[:at] == path {
			count++
		}
	}
	return count
}
