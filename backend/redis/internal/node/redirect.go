package node

import (
	"errors"
	"net"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// Redirect reads the error by which a member of a Cluster sends its client to another: MOVED, for good, or ASK, for
// this call only. The member has done nothing. Where it does not know the other's host it leaves that out: then it
// is the one that was asked, and addr is as ":6381". addr is empty if the Cluster goes by names and the other has
// none: the map of the slots may tell more.
func Redirect(err error) (addr string, slot int, ask, ok bool) {
	var reply goredis.Error
	if !errors.As(err, &reply) {
		return "", 0, false, false
	}
	words := strings.Fields(reply.Error())
	if len(words) < 3 || words[0] != "MOVED" && words[0] != "ASK" {
		return "", 0, false, false
	}
	slot, err = strconv.Atoi(words[1])
	i := strings.LastIndexByte(words[2], ':')
	if err != nil || slot < 0 || slot >= 16384 || i < 0 {
		return "", 0, false, false
	}
	host, port := words[2][:i], words[2][i+1:]
	switch host {
	case "?":
	case "":
		addr = ":" + port
	default:
		addr = net.JoinHostPort(strings.Trim(host, "[]"), port) // servers write IPv6 without brackets
	}
	return addr, slot, words[0] == "ASK", true
}
