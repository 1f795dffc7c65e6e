package zookeeper

import (
	"bytes"
	"strconv"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// recordVersion begins the data of each claim's node, so that a later release can
// tell its own format from this one.
const recordVersion = "fencelock1"

// record is the data of a claim's node, for Inspect: the version, a space, the TTL
// in ms, a new line, and what driver.JoinIdentity makes, as it is.
func record(ttl time.Duration, joined string) []byte {
	return []byte(recordVersion + " " + strconv.FormatInt(ttl.Milliseconds(), 10) + "\n" + joined)
}

// parseRecord reads it. A node that somebody else wrote gives zeros: it holds its
// place all the same.
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
