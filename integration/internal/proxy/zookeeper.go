package proxy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// ZooKeeper is its client protocol. A reply names its request by a number; pings,
// authentication and the re-arming of watches have one number for all of their
// kind, and are answered in order. A watch that fires is a push.
//
// The functions that choose are shown packets without the length in front. A
// ConnectRequest gets the header that it lacks: see [ZKOp].
//
// Clients ping a server by themselves while they have nothing else to ask, so a
// fault should say which request it means: [Proxy.LoseReply] may lose the answer to
// a ping.
func ZooKeeper() Session { return &zooKeeper{pending: map[int32][]*Request{}} }

type zooKeeper struct {
	connect   *Request // the first packet
	connected bool     // it was answered
	pending   map[int32][]*Request
}

// zkWatchEvent is the number of a packet that answers nothing.
const zkWatchEvent = -1

var errZKShort = errors.New("ZooKeeper: a packet without a header")

func (*zooKeeper) Requests() Framer { return &zkFramer{} }
func (*zooKeeper) Replies() Framer  { return &zkFramer{} }

func (s *zooKeeper) Sent(frame []byte) (*Request, []*Request, error) {
	packet := frame[4:]
	if s.connect == nil {
		s.connect = &Request{Bytes: zkHeaded(packet)}
		return nil, []*Request{s.connect}, nil
	}
	if len(packet) < zkHeader {
		return nil, nil, errZKShort
	}
	r := &Request{Bytes: packet}
	xid := zkInt(packet)
	s.pending[xid] = append(s.pending[xid], r)
	return nil, []*Request{r}, nil
}

func (s *zooKeeper) Received(frame []byte) ([]Message, error) {
	m := Message{Bytes: frame[4:]}
	if !s.connected {
		s.connected = true
		m.To = s.connect
		return []Message{m}, nil
	}
	if len(m.Bytes) < 4 {
		return nil, errZKShort
	}
	xid := zkInt(m.Bytes)
	switch asked := s.pending[xid]; {
	case xid == zkWatchEvent:
		m.Push = true
	case len(asked) == 1:
		m.To = asked[0]
		delete(s.pending, xid)
	case len(asked) > 1:
		m.To, s.pending[xid] = asked[0], asked[1:]
	}
	return []Message{m}, nil
}

func zkInt(b []byte) int32 { return int32(binary.BigEndian.Uint32(b)) }

// zkFramer finds the ends of ZooKeeper's packets: four bytes of length, then that
// many.
type zkFramer struct{ headed }

// maxPacket is beyond what a server accepts (jute.maxbuffer, 1 MiB unless told
// otherwise). A first byte above 3 tells TLS, text and four-letter words at once.
const maxPacket = 1<<26 - 1

func (f *zkFramer) Feed(p []byte) (n int, end bool, err error) {
	return f.feed(p, 4, func(head []byte) error {
		if head[0] > maxPacket>>24 {
			return fmt.Errorf("ZooKeeper: no length begins with %#x", head[0])
		}
		return nil
	}, func(head []byte) int { return int(binary.BigEndian.Uint32(head)) })
}

// zkHeader is the length of what each request begins with: its number and the
// number of its operation.
const zkHeader = 8

// zkConnect is the operation that the server takes a ConnectRequest for. In that
// packet itself there is none.
const zkConnect = -10

// zkOps are the operations of the protocol.
var zkOps = map[int32]string{
	zkConnect: "connect",
	-11:       "closeSession",
	1:         "create",
	2:         "delete",
	3:         "exists",
	4:         "getData",
	5:         "setData",
	6:         "getACL",
	7:         "setACL",
	8:         "getChildren",
	9:         "sync",
	11:        "ping",
	12:        "getChildren2",
	13:        "check",
	14:        "multi",
	15:        "create2",
	16:        "reconfig",
	17:        "checkWatches",
	18:        "removeWatches",
	19:        "createContainer",
	21:        "createTTL",
	22:        "multiRead",
	100:       "auth",
	101:       "setWatches",
	102:       "sasl",
	103:       "getEphemerals",
	104:       "getAllChildrenNumber",
	105:       "setWatches2",
	106:       "addWatch",
	107:       "whoAmI",
}

// zkPathless are the operations whose arguments do not begin with a path.
var zkPathless = []string{"", "connect", "closeSession", "ping", "reconfig", "auth", "setWatches", "sasl", "setWatches2", "whoAmI"}

// ZKOpOf is the name of a request's operation as ZooKeeper's documentation has it,
// "createContainer" for one, or "connect". It is empty for what is not a request.
func ZKOpOf(request []byte) string {
	if len(request) < zkHeader {
		return ""
	}
	return zkOps[zkInt(request[4:])]
}

// ZKPath is the path that a request is about: of a multi, that of the first
// operation in it. It is empty if there is none.
func ZKPath(request []byte) string {
	op := ZKOpOf(request)
	if slices.Contains(zkPathless, op) {
		return ""
	}
	args := request[zkHeader:]
	if op == "multi" || op == "multiRead" {
		const header = 4 + 1 + 4 // its operation, whether the list ends here, an error
		if len(args) < header || args[4] != 0 {
			return ""
		}
		args = args[header:]
	}
	return zkString(args)
}

// ZKOp matches the requests of these operations, named as by [ZKOpOf].
func ZKOp(names ...string) func(request []byte) bool {
	known := slices.Collect(maps.Values(zkOps))
	for _, name := range names {
		if !slices.Contains(known, name) {
			panic(fmt.Sprintf("proxy: ZooKeeper has no operation %q", name)) // else the fault would never happen
		}
	}
	return func(request []byte) bool {
		op := ZKOpOf(request)
		return op != "" && slices.Contains(names, op)
	}
}

// zkHeaded is a ConnectRequest with the header that other requests have.
func zkHeaded(connect []byte) []byte {
	op := int32(zkConnect)
	header := binary.BigEndian.AppendUint32(make([]byte, 4, zkHeader+len(connect)), uint32(op))
	return append(header, connect...)
}

// zkString is the string that b begins with, or "".
func zkString(b []byte) string {
	if len(b) < 4 {
		return ""
	}
	n := int(zkInt(b))
	if n < 0 || n > len(b)-4 {
		return ""
	}
	return string(b[4 : 4+n])
}
