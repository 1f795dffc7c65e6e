package proxy

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
)

// Proxy forwards the connections made to Addr to one server.
type Proxy struct {
	upstream string
	protocol Protocol
	ctx      context.Context
	stop     context.CancelFunc
	running  sync.WaitGroup

	mu     sync.Mutex
	door   door
	conns  map[*conn]struct{}
	faults faults
	armed  []*Fault
	held   []*Fault
	counts Counts
	closed bool
}

// New starts a proxy on a free port of the loopback interface. With a nil
// protocol it forwards bytes and cannot tell messages apart.
func New(upstream string, protocol Protocol) (*Proxy, error) {
	p := &Proxy{
		upstream: upstream,
		protocol: protocol,
		conns:    map[*conn]struct{}{},
		faults:   faults{changed: make(chan struct{})},
	}
	if err := p.door.open(); err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.running.Go(p.accept(p.door.listener))
	return p, nil
}

// Start is [New] for the length of a test.
func Start(t testing.TB, upstream string, protocol Protocol) *Proxy {
	t.Helper()
	p, err := New(upstream, protocol)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// Addr is where clients connect to, host:port. It never changes.
func (p *Proxy) Addr() string { return p.door.addr }

// Close resets all connections and returns when every goroutine has ended. It may
// be called twice.
func (p *Proxy) Close() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		p.door.shut()
	}
	p.mu.Unlock()
	p.stop()
	p.Reset()
	p.running.Wait()
}

// accept returns a loop that ends when its listener is closed.
func (p *Proxy) accept(l *net.TCPListener) func() {
	return func() {
		for {
			client, err := l.AcceptTCP()
			if err != nil {
				return
			}
			p.admit(client)
		}
	}
}

// admit decides, in one step with the faults of that moment, whether the server
// is to learn of a new connection.
func (p *Proxy) admit(client *net.TCPConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.door.listener == nil {
		cut(client)
		return
	}
	p.counts.Accepted++
	c := newConn(p, client)
	c.lossy = p.faults.dropped&ToServer != 0
	p.conns[c] = struct{}{}
	if c.lossy {
		p.running.Go(c.runUnconnected)
		return
	}
	p.running.Go(c.run)
}

// forget is called by a connection that has ended.
func (p *Proxy) forget(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// door is the listening port. Shut, it answers "connection refused" as the port
// of a dead server does, and still belongs to us: a socket that is bound but does
// not listen keeps others from taking it.
type door struct {
	addr     string
	listener *net.TCPListener // nil while shut
	reserved *os.File         // the bound socket, while shut
}

// open listens on a new port.
func (d *door) open() error {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	d.listener, d.addr = l, l.Addr().String()
	return nil
}

// refuse stops listening and keeps the port.
func (d *door) refuse() error {
	port := d.listener.Addr().(*net.TCPAddr).Port
	_ = d.listener.Close() // its only error is "closed already"
	d.listener = nil
	fd, err := socket()
	if err != nil {
		return fmt.Errorf("keep port %d: %w", port, err)
	}
	d.reserved = os.NewFile(uintptr(fd), "proxy port")
	err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	}
	if err != nil {
		return fmt.Errorf("keep port %d: %w", port, err)
	}
	return nil
}

// reopen listens again on the port that refuse has kept.
func (d *door) reopen() error {
	reserved := d.reserved
	d.reserved = nil
	defer reserved.Close()
	if err := syscall.Listen(int(reserved.Fd()), syscall.SOMAXCONN); err != nil {
		return fmt.Errorf("listen again on %s: %w", d.addr, err)
	}
	l, err := net.FileListener(reserved)
	if err != nil {
		return fmt.Errorf("listen again on %s: %w", d.addr, err)
	}
	d.listener = l.(*net.TCPListener)
	return nil
}

// shut gives the port up.
func (d *door) shut() {
	if d.listener != nil {
		_ = d.listener.Close()
		d.listener = nil
	}
	if d.reserved != nil {
		_ = d.reserved.Close()
		d.reserved = nil
	}
}

// socket makes a TCP socket that no child process inherits.
func socket() (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return -1, err
	}
	syscall.CloseOnExec(fd)
	return fd, nil
}

// Counts tells what has passed through a proxy, counted as it arrives, whether or
// not it was delivered.
type Counts struct {
	Accepted int // connections
	Open     int // connections that have not ended on both sides

	// Messages, on connections whose protocol is known. What a client says without
	// being told to counts: ZooKeeper's pings, etcd's keep-alives.
	Requests, Replies, Pushes int

	// Bytes.
	ToServer, ToClient int64

	// Unframed counts the connections that spoke something else than the protocol
	// (TLS, for one). Their messages are not counted and meet no fault.
	Unframed int
}

// Counts returns the totals since the proxy was started.
func (p *Proxy) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts
	c.Open = len(p.conns)
	return c
}

// Since tells what was added after an earlier reading. Open stays as it is.
func (c Counts) Since(before Counts) Counts {
	c.Accepted -= before.Accepted
	c.Requests -= before.Requests
	c.Replies -= before.Replies
	c.Pushes -= before.Pushes
	c.ToServer -= before.ToServer
	c.ToClient -= before.ToClient
	c.Unframed -= before.Unframed
	return c
}

// Direction is one way through the proxy, or both.
type Direction uint8

const (
	ToServer Direction = 1 << iota
	ToClient
	Both = ToServer | ToClient
)

func (d Direction) String() string {
	switch d {
	case ToServer:
		return "to server"
	case ToClient:
		return "to client"
	case Both:
		return "both ways"
	}
	return "no way"
}
