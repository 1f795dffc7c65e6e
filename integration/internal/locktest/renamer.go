package locktest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"

	"github.com/fencelock/fencelock/integration/internal/proxy"
)

// ThroughMembers puts a proxy in front of each member of the built-in Raft, such that a client
// of the proxies knows of no way beside them.
func ThroughMembers(t T, addrs []string) (proxies []*proxy.Proxy) {
	t.Helper()
	var renamers []*renamer
	names := map[string]string{}
	for _, addr := range addrs {
		r := startRenamer(t, addr)
		p := Through(t, r.addr(), proxy.Raft)
		names[addr] = p.Addr()
		renamers, proxies = append(renamers, r), append(proxies, p)
	}
	for _, r := range renamers {
		r.rename(names)
	}
	return proxies
}

// renamer passes on what a client and a member say to each other, and puts other addresses
// in the place of the members' where the member tells them. A client goes where it is told
// that the leader is: without this, past its proxies. Of members in Docker the addresses are
// their own network's, where the client cannot go.
type renamer struct {
	listener net.Listener
	upstream string
	running  sync.WaitGroup

	mu    sync.Mutex
	names map[string]string // of equal length
	conns map[net.Conn]bool // nil when it is closed
}

func startRenamer(t T, upstream string) *renamer {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("renamer: %v", err)
	}
	r := &renamer{listener: l, upstream: upstream, conns: map[net.Conn]bool{}}
	Unlabelled(func() { r.running.Go(r.accept) })
	t.Cleanup(r.close)
	return r
}

func (r *renamer) addr() string { return r.listener.Addr().String() }

func (r *renamer) rename(names map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.names = names
}

func (r *renamer) close() {
	_ = r.listener.Close()
	r.mu.Lock()
	for c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
	r.mu.Unlock()
	r.running.Wait()
}

func (r *renamer) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.running.Go(func() { r.pass(client) })
	}
}

// keep has the connection closed at the end; if that has come, now.
func (r *renamer) keep(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conns == nil {
		_ = c.Close()
		return
	}
	r.conns[c] = true
}

func (r *renamer) drop(c net.Conn) {
	_ = c.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
}

// pass ends both sides of a connection when one has ended.
func (r *renamer) pass(client net.Conn) {
	r.keep(client)
	defer r.drop(client)
	member, err := net.Dial("tcp4", r.upstream)
	if err != nil {
		return
	}
	r.keep(member)
	defer r.drop(member)
	var passing sync.WaitGroup
	passing.Go(func() {
		_, _ = io.Copy(member, client)
		_ = member.(*net.TCPConn).CloseWrite() // what it has said before is still to be heard
	})
	r.answers(client, member)
	_ = client.Close()
	passing.Wait()
}

// answers passes on frames: four bytes of length, then that many, the first of which says
// what it is.
func (r *renamer) answers(client io.Writer, member io.Reader) {
	const welcome, moved = 2, 6
	in := bufio.NewReader(member)
	for {
		head, err := in.Peek(4)
		if err != nil {
			return
		}
		frame := make([]byte, 4+binary.BigEndian.Uint32(head))
		if _, err := io.ReadFull(in, frame); err != nil {
			return
		}
		if len(frame) > 4 && (frame[4] == welcome || frame[4] == moved) {
			frame = r.renamed(frame)
		}
		if _, err := client.Write(frame); err != nil {
			return
		}
	}
}

func (r *renamer) renamed(frame []byte) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	for was, is := range r.names {
		if bytes.Contains(frame, []byte(was)) && len(was) != len(is) {
			panic("renamer: " + was + " and " + is + " are not of equal length")
		}
		frame = bytes.ReplaceAll(frame, []byte(was), []byte(is))
	}
	return frame
}
