package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// view is what one node knows of the Cluster: its answer to CLUSTER NODES.
type view struct {
	members []member
	myself  int          // the place of the node that tells
	owners  [Slots]int16 // places in members
}

// member is a node, as another one sees it, or itself.
type member struct {
	id, addr string // host:port as the nodes know it; the host is empty where they do not
	master   bool
	failing  bool // it does not answer that node, or the Cluster has agreed that it has failed
	pinged   bool // that node has sent it a ping that it has not answered
	epoch    uint64
	slots    int // how many it has
}

// parseView reads lines "id ip:port@bus[,hostname[,name=value]] flags master ping-sent pong-recv epoch link slots".
func parseView(reply any) (*view, error) {
	text, ok := reply.(string)
	if !ok {
		return nil, fmt.Errorf("redis: unexpected reply %v to CLUSTER NODES", reply)
	}
	v := new(view)
	for i := range v.owners {
		v.owners[i] = nobody
	}
	v.myself = nobody
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 8 {
			continue
		}
		flags := strings.Split(fields[2], ",")
		has := func(flag string) bool { return slices.Contains(flags, flag) }
		if has("handshake") {
			continue // its ID is made up for the time being
		}
		x := member{
			id: fields[0], addr: addrOf(fields[1]), master: has("master"),
			failing: has("fail") || has("fail?") || has("noaddr"), pinged: fields[4] != "0" && !has("myself"),
		}
		if has("myself") {
			v.myself = len(v.members)
		}
		if x.epoch, ok = parseNumber(fields[6]); !ok {
			return nil, fmt.Errorf("redis: unexpected line %q in the reply to CLUSTER NODES", line)
		}
		if x.master {
			x.slots = v.give(fields[8:], int16(len(v.members))) //nolint:gosec // see with
		}
		v.members = append(v.members, x)
	}
	if v.myself == nobody {
		return nil, errors.New("redis: the reply to CLUSTER NODES does not have the node itself")
	}
	return v, nil
}

// addrOf takes the address for clients out of ip:port@bus,hostname.
func addrOf(field string) string {
	addr, _, _ := strings.Cut(field, "@")
	addr, _, _ = strings.Cut(addr, ",")
	i := strings.LastIndexByte(addr, ':')
	if i < 0 {
		return ""
	}
	return joinHost(addr[:i], addr[i+1:])
}

// joinHost is net.JoinHostPort, also for an IPv6 address in brackets.
func joinHost(host, port string) string {
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		host = "[" + host + "]"
	}
	return host + ":" + port
}

// give notes whose slots are: "0-5460" or "42". A slot in brackets is on its way to another node, or from one.
func (v *view) give(ranges []string, to int16) (n int) {
	for _, r := range ranges {
		first, last, several := strings.Cut(r, "-")
		if !several {
			last = first
		}
		from, ok1 := parseNumber(first)
		until, ok2 := parseNumber(last)
		if !ok1 || !ok2 || until >= Slots {
			continue
		}
		for slot := from; slot <= until; slot++ {
			v.owners[slot] = to
			n++
		}
	}
	return n
}

func parseNumber(text string) (uint64, bool) {
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil
}

// ownerID is the ID of the node that has a slot, "" if none has.
func (v *view) ownerID(slot int) string {
	if i := v.owners[slot]; i != nobody {
		return v.members[i].id
	}
	return ""
}

// member is what v says of a node; nil if it does not know it.
func (v *view) member(id string) *member {
	for i := range v.members {
		if v.members[i].id == id {
			return &v.members[i]
		}
	}
	return nil
}

// self is the node that tells.
func (v *view) self() *member { return &v.members[v.myself] }

// size is how many masters have slots: those that elect.
func (v *view) size() (n int) {
	for i := range v.members {
		if v.members[i].slots > 0 {
			n++
		}
	}
	return n
}

// epoch is the greatest of the config epochs of masters that have slots. Whoever takes slots over, in a fail-over or by
// a migration, gets one greater than all that it knows. So of two views that with the greater epoch is newer.
func (v *view) epoch() (greatest uint64) {
	for i := range v.members {
		if v.members[i].slots > 0 {
			greatest = max(greatest, v.members[i].epoch)
		}
	}
	return greatest
}

// uneasy reports whether a node that has slots does not answer the node: as far as it knows, or perhaps, since it has
// just been sent a ping.
func (v *view) uneasy() bool {
	return slices.ContainsFunc(v.members, func(x member) bool { return x.slots > 0 && (x.failing || x.pinged) })
}

// isolated reports whether most of those that have slots do not answer the node.
func (v *view) isolated() bool {
	silent := 0
	for i := range v.members {
		if v.members[i].slots > 0 && v.members[i].failing {
			silent++
		}
	}
	return 2*silent > v.size()
}

// has reports whether everything that a map gives to a master, by its ID, is that node's here, too.
func (v *view) has(m *slotMap, id string) bool {
	for slot, i := range m.owners {
		if i != nobody && m.masters[i].ID == id && v.ownerID(slot) != id {
			return false
		}
	}
	return true
}

// news reports whether slots are elsewhere than in a map, and the view is not older.
func (v *view) news(m *slotMap) bool {
	if v.epoch() < m.epoch {
		return false
	}
	for slot, i := range m.owners {
		id := ""
		if i != nobody {
			id = m.masters[i].ID
		}
		if v.ownerID(slot) != id {
			return true
		}
	}
	return false
}
