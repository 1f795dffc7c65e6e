package session

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/go-zookeeper/zk"
)

// The protocol's numbers of what is sent and read here.
const (
	opCreate     = 1
	opDelete     = 2
	opSetData    = 5
	opCheck      = 13
	opMulti      = 14
	opSetAuth    = 100
	opSetWatches = 101
	opError      = -1
)

// appendTransaction appends a packet: its length, its number, and a transaction. ok is false if one
// of the operations is of a kind that is unknown here.
func appendTransaction(b []byte, xid int32, ops []any) (packet []byte, ok bool) {
	start := len(b)
	b = appendInt(b, 0) // the length, see below
	b = appendInt(b, xid)
	b = appendInt(b, opMulti)
	for _, op := range ops {
		switch op := op.(type) {
		case *zk.CreateRequest:
			b = appendString(appendHeader(b, opCreate, false), op.Path)
			b = appendData(b, op.Data)
			b = appendInt(b, int32(len(op.Acl)))
			for _, a := range op.Acl {
				b = appendString(appendString(appendInt(b, a.Perms), a.Scheme), a.ID)
			}
			b = appendInt(b, op.Flags)
		case *zk.SetDataRequest:
			b = appendString(appendHeader(b, opSetData, false), op.Path)
			b = appendInt(appendData(b, op.Data), op.Version)
		case *zk.DeleteRequest:
			b = appendInt(appendString(appendHeader(b, opDelete, false), op.Path), op.Version)
		case *zk.CheckVersionRequest:
			b = appendInt(appendString(appendHeader(b, opCheck, false), op.Path), op.Version)
		default:
			return nil, false
		}
	}
	b = appendHeader(b, -1, true)
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b, true
}

// appendHeader appends the header of an operation, or that of the end.
func appendHeader(b []byte, op int32, end bool) []byte {
	b = appendInt(b, op)
	if end {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	return appendInt(b, -1)
}

func appendInt(b []byte, n int32) []byte { return binary.BigEndian.AppendUint32(b, uint32(n)) }

func appendString(b []byte, s string) []byte { return append(appendInt(b, int32(len(s))), s...) }

// appendData appends the data of a node. None is not the same as data without a byte.
func appendData(b, data []byte) []byte {
	if data == nil {
		return appendInt(b, -1)
	}
	return append(appendInt(b, int32(len(data))), data...)
}

// errMalformed leaves open what was done.
var errMalformed = errors.New("the server's answer is not one to a transaction")

// readTransaction reads the answer to a transaction of n operations. Its error is that of the first
// operation that was refused.
func readTransaction(body []byte, n int) ([]zk.MultiResponse, error) {
	r, answers := reader{rest: body}, make([]zk.MultiResponse, 0, n)
	var refused error
	for {
		op, end := r.header()
		switch {
		case r.short:
			return nil, errMalformed
		case end && refused == nil && len(answers) != n:
			return nil, errMalformed
		case end:
			return answers, refused
		}
		var a zk.MultiResponse
		switch op {
		case opCreate:
			a.String = string(r.bytes())
		case opSetData:
			a.Stat = r.stat()
		case opDelete, opCheck:
		case opError:
			if a.Error = errorOf(r.int()); refused == nil {
				refused = a.Error
			}
		default:
			return nil, errMalformed
		}
		answers = append(answers, a)
	}
}

// reader reads what the server has sent.
type reader struct {
	rest  []byte
	short bool // there was less than was asked for
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.short, r.rest = true, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) int() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *reader) long() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (r *reader) bytes() []byte { return r.take(int(r.int())) }

// header reads what appendHeader appends.
func (r *reader) header() (op int32, end bool) {
	op = r.int()
	if b := r.take(1); b != nil {
		end = b[0] != 0
	}
	r.int()
	return op, end
}

func (r *reader) stat() *zk.Stat {
	return &zk.Stat{
		Czxid: r.long(), Mzxid: r.long(), Ctime: r.long(), Mtime: r.long(),
		Version: r.int(), Cversion: r.int(), Aversion: r.int(),
		EphemeralOwner: r.long(), DataLength: r.int(), NumChildren: r.int(), Pzxid: r.long(),
	}
}

// codes are the errors of a server that go-zookeeper has names for.
var codes = map[int32]error{
	-8:   zk.ErrBadArguments,
	-100: zk.ErrAPIError,
	-101: zk.ErrNoNode,
	-102: zk.ErrNoAuth,
	-103: zk.ErrBadVersion,
	-108: zk.ErrNoChildrenForEphemerals,
	-110: zk.ErrNodeExists,
	-111: zk.ErrNotEmpty,
	-112: zk.ErrSessionExpired,
	-114: zk.ErrInvalidACL,
	-115: zk.ErrAuthFailed,
	-116: zk.ErrClosing,
	-117: zk.ErrNothing,
	-118: zk.ErrSessionMoved,
	-123: zk.ErrReconfigDisabled,
}

// errorOf makes an error as go-zookeeper makes it; see verdictOf.
func errorOf(code int32) error {
	if code == 0 {
		return nil
	}
	if err := codes[code]; err != nil {
		return err
	}
	return fmt.Errorf("unknown error: %d", code)
}
