package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver/address"
)

// world is a Cluster of fake nodes on the ends of pipes, so that time is virtual.
type world struct {
	mu     sync.Mutex
	nodes  map[string]*fake // by address
	asked  []string         // scripts: "ADDRESS KEY", with " asking" or " full" after it
	failed []string         // addresses of which FailedOver has told
}

// fake is a node. Its world's mutex guards it.
type fake struct {
	addr, id string
	sees     []claim
	down     bool                                 // nobody accepts a connection
	silent   bool                                 // it answers nothing
	says     func(key string, asking bool) string // to a script; nil: 1
	told     func()                               // called when it tells its view; may be nil
	conns    []net.Conn
	ears     []net.Conn // subscribed
}

// claim is a line of CLUSTER NODES.
type claim struct {
	addr        string
	flags       string // "master", "slave", "master,fail"
	epoch       int
	first, last int // slots; none if last is 0
}

const (
	a1, b1, c1 = "192.0.2.1:6379", "192.0.2.2:6379", "192.0.2.3:6379"
	r1         = "192.0.2.4:6379" // of a1
)

// threeMasters are what all see in the beginning.
func threeMasters() []claim {
	return []claim{{a1, "master", 1, 0, 5460}, {b1, "master", 2, 5461, 10922}, {c1, "master", 3, 10923, 16383}, {r1, "slave", 1, 0, 0}}
}

// failedOver is what they see when r1 has taken the place of a1.
func failedOver() []claim {
	return []claim{{a1, "master,fail", 1, 0, 0}, {b1, "master", 2, 5461, 10922}, {c1, "master", 3, 10923, 16383}, {r1, "master", 9, 0, 5460}}
}

// Keys of each of the three.
const keyA, keyB, keyC = "k2", "k4", "k1"

func newWorld(sees ...claim) *world {
	w := &world{nodes: map[string]*fake{}}
	for _, x := range sees {
		w.nodes[x.addr] = &fake{addr: x.addr, id: idOf(x.addr), sees: sees}
	}
	return w
}

// idOf is the ID of the node at an address. Their order is that of the addresses.
func idOf(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	return strings.Repeat(host[len(host)-1:], 39) + port[:1]
}

// change changes nodes, by their addresses; all without any.
func (w *world) change(how func(f *fake), addrs ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for addr, f := range w.nodes {
		if len(addrs) > 0 && !slices.Contains(addrs, addr) {
			continue
		}
		how(f)
		if f.down {
			for _, c := range f.conns {
				_ = c.Close()
			}
			f.conns, f.ears = nil, nil
		}
	}
}

func see(sees []claim) func(f *fake) { return func(f *fake) { f.sees = sees } }

// scripts are those that nodes have been asked for, since the last call.
func (w *world) scripts() (asked []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked, w.asked = w.asked, nil
	return asked
}

// publish sends a message to those who listen at a node.
func (w *world) publish(addr, text string) (heard int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.nodes[addr].ears {
		if _, err := fmt.Fprintf(c, "*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$%d\r\n%s\r\n", len(text), text); err == nil {
			heard++
		}
	}
	return heard
}

// listensAt is where somebody listens.
func (w *world) listensAt() (addrs []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for addr, f := range w.nodes {
		if len(f.ears) > 0 {
			addrs = append(addrs, addr)
		}
	}
	slices.Sort(addrs)
	return addrs
}

// inWorld runs a test in a bubble, with the client of a Cluster that has found it.
func inWorld(t *testing.T, w *world, test func(t *testing.T, c *Cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := New(t.Context(), Config{
			Seeds: []string{a1, b1},
			Options: func(addr string) goredis.Options {
				conf := node.BaseOptions()
				conf.Network, conf.Addr, conf.Dialer = "tcp", addr, w.dial
				return conf
			},
			Contact: func(string) *address.Contact { return nil },
			FailedOver: func(addr string) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.failed = append(w.failed, addr)
			},
		})
		defer c.Close()
		c.SetNodeTimeout(2 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := c.Find(ctx, func(ctx context.Context, _ string) (context.Context, func(error) error) {
			return ctx, func(err error) error { return err }
		}); err != nil {
			t.Fatal(err)
		}
		test(t, c)
	})
}

func (w *world) dial(_ context.Context, _, addr string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.nodes[addr]
	if f == nil || f.down {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	near, far := net.Pipe()
	f.conns = append(f.conns, far)
	go w.serve(f, far)
	return &wire{near}, nil
}

// wire is an end of a pipe, which ends as a TCP connection does.
type wire struct{ net.Conn }

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if errors.Is(err, io.ErrClosedPipe) {
		err = io.EOF
	}
	return n, err
}

func (w *wire) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	if errors.Is(err, io.ErrClosedPipe) {
		err = syscall.EPIPE
	}
	return n, err
}

func (w *world) serve(f *fake, c net.Conn) {
	defer func() {
		_ = c.Close()
		w.mu.Lock()
		defer w.mu.Unlock()
		f.ears = slices.DeleteFunc(f.ears, func(x net.Conn) bool { return x == c })
	}()
	answers := make(chan string, 1000) // more than a connection has room for
	defer close(answers)
	go func() {
		for a := range answers {
			_, _ = io.WriteString(c, a) // the reader notices what is wrong
		}
	}()
	r := bufio.NewReader(c)
	asking := false
	for {
		words, err := readCommand(r)
		if err != nil {
			return
		}
		w.mu.Lock()
		answer := w.answer(f, c, words, asking)
		if f.silent {
			answer = ""
		}
		w.mu.Unlock()
		asking = words[0] == "asking"
		answers <- answer
	}
}

// answer is what a node says. It needs w.mu.
func (w *world) answer(f *fake, c net.Conn, words []string, asking bool) string {
	switch strings.Join(words[:min(len(words), 2)], " ") {
	case "cluster nodes":
		if f.told != nil {
			f.told()
		}
		return bulk(f.nodesText())
	case "cluster slots":
		return f.slotsReply()
	}
	switch words[0] {
	case "info":
		return bulk("redis_version:8.0.0\r\nredis_mode:cluster\r\nrole:master\r\n")
	case "ping", "asking":
		return "+OK\r\n"
	case "subscribe":
		f.ears = append(f.ears, c)
		return "*3\r\n" + bulk("subscribe") + bulk(words[1]) + ":1\r\n"
	case "eval", "evalsha":
		said := f.addr + " " + words[3]
		if asking {
			said += " asking"
		}
		if words[0] == "eval" {
			said += " full"
		}
		w.asked = append(w.asked, said)
		if f.says != nil {
			return f.says(words[3], asking)
		}
		return ":1\r\n"
	}
	return "-ERR unknown command\r\n"
}

func (f *fake) nodesText() string {
	var text strings.Builder
	for _, x := range f.sees {
		flags := x.flags
		if x.addr == f.addr {
			flags = "myself," + flags
		}
		fmt.Fprintf(&text, "%s %s@1 %s - 0 0 %d connected", idOf(x.addr), x.addr, flags, x.epoch)
		if x.last > 0 {
			fmt.Fprintf(&text, " %d-%d", x.first, x.last)
		}
		text.WriteByte('\n')
	}
	return text.String()
}

func (f *fake) slotsReply() string {
	n, text := 0, ""
	for _, x := range f.sees {
		if x.last > 0 {
			host, port, _ := net.SplitHostPort(x.addr)
			n, text = n+1, text+fmt.Sprintf("*3\r\n:%d\r\n:%d\r\n*3\r\n%s:%s\r\n%s", x.first, x.last, bulk(host), port, bulk(idOf(x.addr)))
		}
	}
	return fmt.Sprintf("*%d\r\n%s", n, text)
}

func bulk(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }

func moved(key, to string) string { return fmt.Sprintf("-MOVED %d %s\r\n", Slot(key), to) }

func ask(key, to string) string { return fmt.Sprintf("-ASK %d %s\r\n", Slot(key), to) }

func readCommand(r *bufio.Reader) (words []string, err error) {
	size := func() (n int) {
		var line string
		if line, err = r.ReadString('\n'); err == nil {
			n, err = strconv.Atoi(strings.Trim(line, "*$\r\n"))
		}
		return n
	}
	for n := size(); err == nil && n > 0; n-- {
		word := make([]byte, size()+2)
		if err == nil {
			_, err = io.ReadFull(r, word)
		}
		words = append(words, string(word[:len(word)-2]))
	}
	if len(words) > 0 {
		words[0] = strings.ToLower(words[0])
	}
	return words, err
}
