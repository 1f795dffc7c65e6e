package session

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// someOps are operations of all kinds, with all that may be empty sometimes empty, and the answer of
// a server that refuses one of them, or none.
func someOps(rnd *rand.Rand) (ops []any, answer []byte) {
	text := func() string {
		b := make([]byte, rnd.IntN(30))
		for i := range b {
			b[i] = byte(rnd.IntN(256))
		}
		return string(b)
	}
	data := func() []byte {
		if rnd.IntN(3) == 0 {
			return nil
		}
		return []byte(text())
	}
	n := 1 + rnd.IntN(5)
	refused := rnd.IntN(2*n) - n // of those at 0 and later
	for i := range n {
		kind, result := int32(0), []byte(nil)
		switch rnd.IntN(4) {
		case 0:
			var acl []zk.ACL
			for range rnd.IntN(3) {
				acl = append(acl, zk.ACL{Perms: int32(rnd.IntN(32)), Scheme: text(), ID: text()})
			}
			ops = append(ops, &zk.CreateRequest{Path: text(), Data: data(), Acl: acl, Flags: int32(rnd.IntN(4))})
			kind, result = opCreate, appendString(nil, text())
		case 1:
			ops = append(ops, &zk.SetDataRequest{Path: text(), Data: data(), Version: int32(rnd.IntN(3)) - 1})
			kind = opSetData
			for range 68 { // a Stat
				result = append(result, byte(rnd.IntN(256)))
			}
		case 2:
			ops = append(ops, &zk.DeleteRequest{Path: text(), Version: int32(rnd.IntN(3)) - 1})
			kind = opDelete
		default:
			ops = append(ops, &zk.CheckVersionRequest{Path: text(), Version: int32(rnd.IntN(3)) - 1})
			kind = opCheck
		}
		if refused >= 0 {
			codes := []int32{-2, -6, -101, -102, -110, -112, -118, -125}
			code := codes[rnd.IntN(len(codes))]
			if i < refused {
				code = 0
			}
			kind, result = opError, appendInt(nil, code)
		}
		answer = append(appendHeader(answer, kind, false), result...)
	}
	return ops, appendHeader(answer, -1, true)
}

// TestPacketsAreGoZooKeepers: what we send is what go-zookeeper sends, and what we read is what it reads.
func TestPacketsAreGoZooKeepers(t *testing.T) {
	const rounds = 300
	answers, requests := make(chan []byte, 1), make(chan []byte, 1)
	addr, _ := listen(t, func(c net.Conn) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		go greet(theirs)
		for first := true; ; first = false {
			var length [4]byte
			if _, err := io.ReadFull(c, length[:]); err != nil {
				return
			}
			request := make([]byte, binary.BigEndian.Uint32(length[:]))
			if _, err := io.ReadFull(c, request); err != nil {
				return
			}
			if op := int32(binary.BigEndian.Uint32(request[4:])); !first && op == opMulti {
				requests <- request
				answer := append(appendInt(nil, int32(binary.BigEndian.Uint32(request))), make([]byte, 12)...)
				answer = append(answer, <-answers...)
				_, _ = c.Write(append(appendInt(nil, int32(len(answer))), answer...))
				continue
			}
			_, _ = ours.Write(append(length[:], request...))
			_, _ = io.ReadFull(ours, length[:])
			reply := make([]byte, binary.BigEndian.Uint32(length[:]))
			_, _ = io.ReadFull(ours, reply)
			_, _ = c.Write(append(length[:], reply...))
		}
	})
	conn, events, err := zk.Connect([]string{addr}, 10*time.Second, zk.WithLogger(noLog{}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		conn.Close()
		for range events {
		}
	}()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range rounds {
		ops, answer := someOps(rnd)
		answers <- answer
		want, wantErr := conn.Multi(ops...)
		request := <-requests
		xid := int32(binary.BigEndian.Uint32(request))
		packet, ok := appendTransaction([]byte("before"), xid, ops)
		if !ok || string(packet[len("before")+4:]) != string(request) || int(binary.BigEndian.Uint32(packet[len("before"):])) != len(request) {
			t.Fatalf("ours, of %+v:\n%q\ngo-zookeeper's:\n%q", ops, packet, request)
		}
		got, gotErr := readTransaction(answer, len(ops))
		if !reflect.DeepEqual(got, want) || (gotErr == nil) != (wantErr == nil) || gotErr != nil && gotErr.Error() != wantErr.Error() {
			t.Fatalf("%q is to us\n%+v, %v\nto go-zookeeper\n%+v, %v", answer, got, gotErr, want, wantErr)
		}
		if is := Answered(wantErr); Answered(gotErr) != is {
			t.Fatalf("%v is an answer to us: %v, and it should be %v", gotErr, !is, is)
		}
	}
}

// TestShortAnswers: what is cut off, or of another length, is no answer.
func TestShortAnswers(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 100 {
		ops, answer := someOps(rnd)
		for n := range answer {
			if got, err := readTransaction(answer[:n], len(ops)); !errors.Is(err, errMalformed) {
				t.Fatalf("%d of %q: %+v, %v", n, answer, got, err)
			}
		}
		if _, err := readTransaction(answer, len(ops)+1); err == nil {
			t.Fatalf("%q is the answer to %d operations", answer, len(ops)+1)
		}
	}
	if _, ok := appendTransaction(nil, 1, []any{&zk.CreateTTLRequest{}}); ok {
		t.Error("an operation of an unknown kind was sent")
	}
}
