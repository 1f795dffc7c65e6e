package zookeeper

import (
	"bytes"
	"cmp"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fencelock/fencelock/driver"
)

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

// unescape is the inverse of escape. ok is false if escape does not make such a name, so that
// somebody else must have made the node.
func unescape(node string) (key string, ok bool) {
	key, err := url.PathUnescape(node)
	return key, err == nil && key != "" && len(key) <= driver.MaxKeyLen && utf8.ValidString(key) && escape(key) == node
}

const (
	// lastOrdered is the end of the range in which the numbers of a lock's node tell the order of
	// its claims.
	//
	// The server takes them from a counter of 32 bits, which does not wrap: it stays at
	// 2147483647. A create that comes alone is given that number again and again, beside
	// others that have it. Of creates that overlap, the later get -2147483648 and so on,
	// and the next that comes alone has 2147483647 once more. Up to there each number is
	// given once, and a higher one later. The range ends a million before.
	lastOrdered = 1<<31 - 1<<20

	// halfway is the number from which on the client that empties a lock's node deletes it, so
	// that the numbers begin again: see lockNodes.tidy.
	halfway = 1 << 30
)

// nameIn is the name of the node with a path.
func nameIn(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// nodeName is the name of a claim's node: the AttemptID, '#', a sign, and the number that the
// server gave it. No AttemptID has a '#'. The sign tells our claims from those of earlier builds,
// which have none and read the same number with it or without: see guardName.
type nodeName struct {
	text      string
	attemptID string
	seq       int32
	early     bool  // an earlier build's
	czxid     int64 // where it is needed, see readCzxids; else 0
}

// parseName reads the name of a node. If ok is false, the name is not of our making, and the node
// is no claim: one such node must not stop a lock (go-zookeeper's own Lock fails on it).
func parseName(text string) (n nodeName, ok bool) {
	attemptID, digits, found := strings.Cut(text, "#")
	digits, signed := strings.CutPrefix(digits, "+")
	if !found || attemptID == "" || len(digits) < 10 || text == guardName {
		return nodeName{}, false
	}
	seq, err := strconv.ParseInt(digits, 10, 32)
	if err != nil {
		return nodeName{}, false
	}
	return nodeName{text: text, attemptID: attemptID, seq: int32(seq), early: !signed}, true
}

// beyond reports whether the number is beyond the range in which numbers tell the order.
func (n nodeName) beyond() bool { return n.seq < 0 || n.seq >= lastOrdered }

// beyond reports the same of the name of a node of ours.
func beyond(node string) bool {
	n, ok := parseName(node)
	return ok && n.beyond()
}

// before reports whether n was created before m, under the same parent. All claims whose numbers
// are in the range came before all others. Among the others the czxid tells the order, the number
// of the transaction that created the node. The leader gives these in one order for all that is
// written, and no two claims of a lock have the same: see session.Session.Batch.
//
// So this is one order, that of the creations, for every client that looks, whatever else it
// sees. It is the order of the numbers, where all are in the range.
func (n nodeName) before(m nodeName) bool {
	switch {
	case n.beyond() != m.beyond():
		return m.beyond()
	case n.beyond():
		return cmp.Or(cmp.Compare(n.czxid, m.czxid), strings.Compare(n.text, m.text)) < 0
	default:
		return n.seq < m.seq
	}
}

// parseAll returns the claims in a list of children.
func parseAll(children []string) (queue []nodeName) {
	for _, child := range children {
		if n, ok := parseName(child); ok {
			queue = append(queue, n)
		}
	}
	return queue
}

// position is where one claim is in its queue.
type position struct {
	inQueue     bool     // the claim is in it
	predecessor nodeName // the claim directly before it; none if it is the first
	czxid       int64    // the claim's own
}

// positionOf finds a claim in its queue. If the claim is beyond the range, the czxids of all that
// are beyond must be known; if it is in the range, those are all later.
func positionOf(queue []nodeName, me nodeName) (p position) {
	p.czxid = me.czxid
	for _, n := range queue {
		switch {
		case n.text == me.text:
			p.inQueue = true
		case me.before(n):
		case p.predecessor.text == "" || p.predecessor.before(n):
			p.predecessor = n
		}
	}
	return p
}

// first returns the first claim of a queue, none if there is none. If all are beyond the range,
// their czxids must be known.
func first(queue []nodeName) (head nodeName) {
	for _, n := range queue {
		if head.text == "" || n.before(head) {
			head = n
		}
	}
	return head
}

// recordVersion begins the data of each claim's node, so that a later release can tell its own
// format from this one.
const recordVersion = "fencelock1"

// record is the data of a claim's node, for Inspect: the version, a space, the TTL
// in ms, a new line, and what driver.JoinIdentity makes, as it is.
func record(ttl time.Duration, joined string) []byte {
	const ms = 20 // the longest number, with a space and a new line
	b := append(make([]byte, 0, len(recordVersion)+ms+len(joined)), recordVersion+" "...)
	b = append(strconv.AppendInt(b, ttl.Milliseconds(), 10), '\n')
	return append(b, joined...)
}

// parseRecord reads it. A node that somebody else wrote gives zeros; it holds its position all the
// same.
func parseRecord(data []byte) (ttl time.Duration, identity, meta string) {
	head, rest, _ := bytes.Cut(data, []byte("\n"))
	version, digits, _ := bytes.Cut(head, []byte(" "))
	ms, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil || string(version) != recordVersion {
		return 0, "", ""
	}
	identity, meta = driver.SplitIdentity(string(rest))
	return time.Duration(ms) * time.Millisecond, identity, meta
}
