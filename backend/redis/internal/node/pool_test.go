package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// fakeServer answers every command with its last word, until it is told otherwise. It is on one end
// of pipes, so that time is virtual.
type fakeServer struct {
	dialling time.Duration // how long it takes to be reached
	dials    atomic.Int32
	writes   atomic.Int32
	silent   atomic.Bool    // it answers nothing any more
	hangsUp  atomic.Bool    // it closes a connection when something comes
	serves   func(net.Conn) // another way to serve
}

func (f *fakeServer) conf() goredis.Options {
	conf := BaseOptions()
	conf.Addr, conf.Dialer = "192.0.2.1:6379", f.dial // no name: a lookup of it would leave its bubble
	return conf
}

func (f *fakeServer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	f.dials.Add(1)
	select {
	case <-time.After(f.dialling):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	near, far := net.Pipe()
	if f.serves != nil {
		go f.serves(far)
	} else {
		go f.serve(far)
	}
	return &wire{near, &f.writes}, nil
}

// wire is an end of a pipeline, which ends as a TCP connection does.
type wire struct {
	net.Conn
	writes *atomic.Int32
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	return n, asTCP(err, io.EOF)
}

func (w *wire) Write(b []byte) (int, error) {
	w.writes.Add(1)
	n, err := w.Conn.Write(b)
	return n, asTCP(err, syscall.EPIPE)
}

func (w *wire) SetDeadline(t time.Time) error {
	return asTCP(w.Conn.SetDeadline(t), nil)
}

func (w *wire) SetReadDeadline(t time.Time) error {
	return asTCP(w.Conn.SetReadDeadline(t), nil)
}

func (w *wire) SetWriteDeadline(t time.Time) error {
	return asTCP(w.Conn.SetWriteDeadline(t), nil)
}

func asTCP(err, end error) error {
	if errors.Is(err, io.ErrClosedPipe) {
		return end
	}
	return err
}

func (f *fakeServer) serve(c net.Conn) {
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
		if err != nil || f.hangsUp.Load() {
			return
		}
		answer := "+" + words[len(words)-1] + "\r\n"
		if words[0] == "hello" {
			answer = "-ERR unknown command\r\n" // so that go-redis asks for no more
		}
		if !f.silent.Load() {
			answers <- answer
		}
	}
}

// readCommand returns the words of a command; those of the tests have no newline.
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

// try runs a command, and returns how long that took.
func try(ctx context.Context, p *pipeline, timeout time.Duration) (time.Duration, error) {
	began := time.Now()
	err := p.do(ctx, timeout, goredis.NewCmd(ctx, "echo", "x"))
	return time.Since(began), err
}

// withPipeline runs a test with a pipeline to a fake server, in virtual time.
func withPipeline(t *testing.T, f *fakeServer, test func(t *testing.T, p *pipeline)) {
	synctest.Test(t, func(t *testing.T) {
		closing, end := context.WithCancel(context.Background())
		p := newPipeline(closing, f.conf(), 8, 2)
		test(t, p)
		end()
		p.close()
	})
}

// To connect may take longer than a request: the request ends in its time, and the next
// ones join in waiting, or find the connection made.
func TestConnectingGoesOnBeyondTheRequest(t *testing.T) {
	f := &fakeServer{dialling: time.Second}
	withPipeline(t, f, func(t *testing.T, p *pipeline) {
		for n := range 3 {
			took, err := try(t.Context(), p, 300*time.Millisecond)
			if err == nil || !strings.Contains(err.Error(), "no connection within 300ms") || took != 300*time.Millisecond {
				t.Errorf("request %d: %v after %v; want no connection after 300ms", n, err, took)
			}
		}
		if took, err := try(t.Context(), p, 300*time.Millisecond); err != nil || took != 100*time.Millisecond {
			t.Errorf("the request that saw the connection made: %v after %v", err, took)
		}
		if took, err := try(t.Context(), p, 300*time.Millisecond); err != nil || took != 0 {
			t.Errorf("the next: %v after %v", err, took)
		}
		if n := f.dials.Load(); n != 1 {
			t.Errorf("%d connections were made, want one", n)
		}
	})
}

// A server that cannot be reached at all is given up after connectTimeout, and the
// error says so.
func TestConnectingEnds(t *testing.T) {
	f := &fakeServer{dialling: time.Hour}
	withPipeline(t, f, func(t *testing.T, p *pipeline) {
		took, err := try(t.Context(), p, time.Minute)
		if took != connectTimeout || err == nil || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "connecting to 192.0.2.1:6379") {
			t.Errorf("%v after %v; want an error of our own after %v", err, took, connectTimeout)
		}
	})
}

// A request waits for a connection no longer than its context.
func TestConnectingHeedsTheContext(t *testing.T) {
	withPipeline(t, &fakeServer{dialling: time.Hour}, func(t *testing.T, p *pipeline) {
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(why) })
		if took, err := try(ctx, p, time.Minute); took != time.Second || !errors.Is(err, why) {
			t.Errorf("%v after %v, want the context's cause after 1s", err, took)
		}
	})
}

// A request that gets no answer says so in words of our own, and gives the connection up.
func TestNoAnswer(t *testing.T) {
	f := &fakeServer{}
	withPipeline(t, f, func(t *testing.T, p *pipeline) {
		if _, err := try(t.Context(), p, time.Second); err != nil {
			t.Fatal(err)
		}
		f.silent.Store(true)
		for range 2 {
			took, err := try(t.Context(), p, time.Second)
			if took != time.Second || err == nil || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "within 1s") {
				t.Errorf("%v after %v; want an error of our own after 1s", err, took)
			}
		}
		f.silent.Store(false)
		// What the second began ends when it has had its time.
		time.Sleep(connectTimeout)
		if took, err := try(t.Context(), p, time.Second); err != nil || took != 0 {
			t.Errorf("%v after %v once the server answers again", err, took)
		}
	})
}

// The error of a request tells the round trip if that explains it.
func TestRoundTripIsTold(t *testing.T) {
	if err := tooLate("no answer", 100*time.Millisecond, 80*time.Millisecond); !strings.Contains(err.Error(), "a round trip to the server took 80ms") {
		t.Errorf("%v", err)
	}
	if err := tooLate("no answer", 100*time.Millisecond, 40*time.Millisecond); strings.Contains(err.Error(), "round trip") {
		t.Errorf("%v, though the round trip does not explain it", err)
	}
}

// A server that closes a connection has closed the others too: after one error, each of
// them is made again.
func TestConnectionsGoTogether(t *testing.T) {
	f := &fakeServer{}
	withPipeline(t, f, func(t *testing.T, p *pipeline) {
		together := func(n int) {
			done := make(chan error)
			f.dialling = time.Millisecond // so that they meet
			for range n {
				go func() {
					_, err := try(t.Context(), p, time.Second)
					done <- err
				}()
			}
			for range n {
				if err := <-done; err != nil {
					t.Errorf("a request: %v", err)
				}
			}
			time.Sleep(10 * time.Millisecond) // a connection that nobody waits for any more is made all the same
		}
		together(4)
		if n := f.dials.Load(); n != 4 {
			t.Fatalf("%d connections, want 4", n)
		}
		time.Sleep(2 * time.Second)
		f.hangsUp.Store(true)
		if _, err := try(t.Context(), p, time.Second); !errors.Is(err, ErrStale) {
			t.Errorf("a request on a connection that was closed: %v, want ErrStale", err)
		}
		f.hangsUp.Store(false)
		together(4)
		if n := f.dials.Load(); n != 8 {
			t.Errorf("%d connections were made, want 4 and 4", n)
		}
		f.hangsUp.Store(true)
		if _, err := try(t.Context(), p, time.Second); err == nil || errors.Is(err, ErrStale) {
			t.Errorf("a request on a connection that was not idle: %v, want another error", err)
		}
		f.hangsUp.Store(false)
		together(4)
		if n := f.dials.Load(); n != 12 {
			t.Errorf("%d connections were made, want 4 each time", n)
		}
	})
}

// Many callers share two connections, and each gets its own answer.
func TestManyCallers(t *testing.T) {
	f := &fakeServer{dialling: time.Millisecond}
	withPipeline(t, f, func(t *testing.T, p *pipeline) {
		errs := make(chan error)
		for n := range 500 {
			go func() {
				cmd := goredis.NewCmd(t.Context(), "echo", strconv.Itoa(n))
				err := p.do(t.Context(), time.Second, cmd)
				if err == nil && cmd.Val() != strconv.Itoa(n) {
					err = fmt.Errorf("the answer to %d is %v", n, cmd.Val())
				}
				errs <- err
			}()
		}
		for range 500 {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		if n := f.dials.Load(); n > 10 {
			t.Errorf("%d connections were made", n)
		}
	})
}

// toGoRedis counts the lines that go-redis writes to its log, which is of the whole process.
type toGoRedis struct{ lines atomic.Int32 }

func (l *toGoRedis) Printf(context.Context, string, ...any) { l.lines.Add(1) }

// TestCloseIsQuiet: go-redis writes nothing when a pipeline is closed while answers come in.
func TestCloseIsQuiet(t *testing.T) {
	var theirs toGoRedis
	goredis.SetLogger(&theirs)
	f := &fakeServer{}
	for range 200 {
		p := newPipeline(t.Context(), f.conf(), 8, 2)
		var busy sync.WaitGroup
		for range 8 {
			busy.Go(func() {
				for err := error(nil); !errors.Is(err, goredis.ErrClosed); {
					_, err = try(context.Background(), p, time.Minute)
				}
			})
		}
		time.Sleep(2 * time.Millisecond) // real time, since the moment matters
		p.close()
		busy.Wait()
	}
	if n := theirs.lines.Load(); n > 0 {
		t.Errorf("go-redis has written %d lines to its log", n)
	}
}

// Close ends what is under way, and nothing begins afterwards.
func TestPipeCloses(t *testing.T) {
	f := &fakeServer{}
	withPipeline(t, f, func(t *testing.T, p *pipeline) {
		if _, err := try(t.Context(), p, time.Second); err != nil {
			t.Fatal(err)
		}
		f.silent.Store(true)
		ended := make(chan error)
		for range 20 { // some have a conn, some wait for one, some are queued
			go func() {
				_, err := try(context.Background(), p, time.Minute)
				ended <- err
			}()
		}
		synctest.Wait()
		began := time.Now()
		p.close()
		for range 20 {
			if err := <-ended; !errors.Is(err, goredis.ErrClosed) {
				t.Errorf("a request under way: %v, want ErrClosed", err)
			}
		}
		if _, err := try(t.Context(), p, time.Second); !errors.Is(err, goredis.ErrClosed) {
			t.Errorf("a request after close: %v, want ErrClosed", err)
		}
		if took := time.Since(began); took > watchAfter {
			t.Errorf("close took %v", took)
		}
	})
}
