package sentinel

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

	"github.com/fencelock/fencelock/backend/redis/internal/node"
)

// fake is a Sentinel. Its group's mutex guards it.
type fake struct {
	id        string
	master    string // "": it watches none of this name
	epoch     int
	count     int // how many Sentinels it counts
	quorum    int
	downAfter time.Duration
	knows     []member

	down      bool          // nobody accepts a connection
	silent    bool          // it answers nothing
	slow      time.Duration // until it answers
	refuses   string        // what it says instead
	is        string        // another kind of server, by its mode
	asked     int           // how often, for the master
	listening []net.Conn
}

// group is Sentinels that can be reached, by address.
type group struct {
	mu  sync.Mutex
	all map[string]*fake
}

const (
	s1, s2, s3 = "192.0.2.1:26379", "192.0.2.2:26379", "192.0.2.3:26379"
	old, next  = "192.0.2.10:6379", "192.0.2.11:6379"
)

// newGroup makes three Sentinels that know each other.
func newGroup() *group {
	g := &group{all: make(map[string]*fake)}
	ids := map[string]string{s1: "one", s2: "two", s3: "three"}
	for addr, id := range ids {
		f := &fake{id: id, master: old, epoch: 1, count: 3, quorum: 2, downAfter: 4 * time.Second}
		for other, id := range ids {
			if other != addr {
				f.knows = append(f.knows, member{id, other})
			}
		}
		g.all[addr] = f
	}
	return g
}

// change changes Sentinels.
func (g *group) change(how func(f *fake), addrs ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, addr := range addrs {
		f := g.all[addr]
		how(f)
		if f.down {
			for _, c := range f.listening {
				_ = c.Close()
			}
			f.listening = nil
		}
	}
}

// failOver has Sentinels name another master, with a higher epoch, and tell who listens to them.
func (g *group) failOver(to string, addrs ...string) {
	var told []net.Conn
	text := ""
	g.change(func(f *fake) {
		from, _, _ := net.SplitHostPort(f.master)
		host, _, _ := net.SplitHostPort(to)
		text = fmt.Sprintf("m %s 6379 %s 6379", from, host)
		f.master, f.epoch = to, f.epoch+1
		told = append(told, f.listening...)
	}, addrs...)
	for _, c := range told {
		_, _ = fmt.Fprintf(c, "*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$%d\r\n%s\r\n", len(text), text)
	}
}

// quietly has Sentinels name another master, and nobody hears of it.
func (g *group) quietly(to string, epoch int, addrs ...string) {
	g.change(func(f *fake) { f.master, f.epoch = to, epoch }, addrs...)
}

func (g *group) asked(addr string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.all[addr].asked
}

func (g *group) dial(_ context.Context, _, addr string) (net.Conn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.all[addr]
	if f == nil || f.down {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	near, far := net.Pipe()
	go g.serve(f, far)
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

func (g *group) serve(f *fake, c net.Conn) {
	defer c.Close()
	answers := make(chan string, 1000) // more than a connection has room for
	defer close(answers)
	go func() {
		for a := range answers {
			_, _ = io.WriteString(c, a) // the reader notices what is wrong
		}
	}()
	r := bufio.NewReader(c)
	for {
		words, err := readCommand(r)
		if err != nil {
			return
		}
		g.mu.Lock()
		answer, slow := f.answer(c, words), f.slow
		if f.down {
			g.mu.Unlock()
			return
		}
		if f.silent {
			answer = ""
		}
		g.mu.Unlock()
		if len(words) > 1 && words[1] == "get-master-addr-by-name" { // which comes first
			time.Sleep(slow)
		}
		answers <- answer
	}
}

func readCommand(r *bufio.Reader) (words []string, err error) {
	head, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.Trim(head, "*\r\n"))
	for ; err == nil && n > 0; n-- {
		if _, err = r.ReadString('\n'); err != nil { // the length
			break
		}
		var word string
		word, err = r.ReadString('\n')
		words = append(words, strings.TrimSpace(word))
	}
	return words, err
}

func bulk(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

func (f *fake) answer(c net.Conn, words []string) string {
	command := strings.Join(words[:min(2, len(words))], " ")
	switch {
	case words[0] == "hello":
		return "-ERR unknown command\r\n" // so that go-redis asks for no more
	case f.refuses != "":
		return "-" + f.refuses + "\r\n"
	case words[0] == "ping":
		if slices.Contains(f.listening, c) {
			return "*2\r\n$4\r\npong\r\n$0\r\n\r\n"
		}
		return "+PONG\r\n"
	case words[0] == "info":
		text := "redis_version:7.0.15\r\nrole:master\r\nredis_mode:" + f.is
		return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text)
	case f.is != "":
		return "-ERR unknown command '" + words[0] + "', with args beginning with: \r\n"
	case words[0] == "subscribe":
		f.listening = append(f.listening, c)
		return "*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n"
	case command == "sentinel myid":
		return fmt.Sprintf("$%d\r\n%s\r\n", len(f.id), f.id)
	case command == "sentinel masters":
		return "*1\r\n" + bulk("name", "another", "ip", "192.0.2.99")
	}
	if command == "sentinel get-master-addr-by-name" {
		f.asked++
	}
	switch known := f.master != "" && words[2] == "m"; {
	case !known && command == "sentinel get-master-addr-by-name":
		return "*-1\r\n"
	case !known:
		return "-ERR No such master with that name\r\n"
	case command == "sentinel get-master-addr-by-name":
		host, port, _ := net.SplitHostPort(f.master)
		return bulk(host, port)
	case command == "sentinel master":
		return bulk("name", "m", "down-after-milliseconds", strconv.FormatInt(f.downAfter.Milliseconds(), 10), "config-epoch", strconv.Itoa(f.epoch),
			"num-other-sentinels", strconv.Itoa(f.count-1), "quorum", strconv.Itoa(f.quorum))
	}
	list := fmt.Sprintf("*%d\r\n", len(f.knows))
	for _, m := range f.knows {
		host, port, _ := net.SplitHostPort(m.addr)
		list += bulk("name", m.addr, "ip", host, "port", port, "runid", m.id)
	}
	return list
}

// moves collects what a watch tells.
type moves struct {
	mu  sync.Mutex
	all []string
}

func (m *moves) add(addr string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = append(m.all, addr)
}

func (m *moves) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Equal(m.all, want) {
		t.Errorf("moved to %q, want %q", m.all, want)
	}
}

// watching runs a test with a watch of a group by some addresses, in virtual time.
func watching(t *testing.T, g *group, addrs []string, test func(t *testing.T, w *Watch, m *moves)) {
	synctest.Test(t, func(t *testing.T) {
		m := new(moves)
		conf := node.BaseOptions()
		conf.Dialer = g.dial
		w := New(context.Background(), Config{Name: "m", Addrs: addrs, Options: conf, Moved: m.add})
		defer time.Sleep(time.Second) // until answers that are slow are over
		defer w.Close()
		test(t, w, m)
	})
}

// started is watching with a watch that has been started.
func started(t *testing.T, g *group, addrs []string, test func(t *testing.T, w *Watch, m *moves)) {
	watching(t, g, addrs, func(t *testing.T, w *Watch, m *moves) {
		if _, err := w.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		m.want(t, old)
		test(t, w, m)
	})
}

var all = []string{s1, s2, s3}
