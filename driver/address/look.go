package address

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// Server is one that a URL names.
type Server struct {
	Network, Addr string        // as for net.Dial
	Certificates  *Certificates // nil: without TLS
}

// finding is what was found out about a server that did not answer as it should.
type finding struct {
	err  error // nil: nothing
	sure bool  // it will be the same next time
}

// lookFor bounds a look.
const lookFor = time.Second

// look connects to a server and finds out what answers there, or why nothing does. It asks
// in several protocols, and does no harm by any of them.
func (s Server) look(ctx context.Context, scheme string) finding {
	conn, err := s.dial(ctx)
	if err != nil {
		return finding{err: unreached(s.Addr, err)}
	}
	defer func() { _ = conn.Close() }()
	plain := make(chan string, 1)
	go func() { plain <- identify(ctx, s.dial) }()
	if s.Certificates != nil {
		return s.lookThroughTLS(ctx, scheme, conn, plain)
	}
	secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // nothing is sent over it, so that it does not matter with whom
	err = secure.HandshakeContext(ctx)
	var op *net.OpError
	if secured[scheme] != "" && (err == nil || errors.As(err, &op) && op.Op == "remote error") { // it wants a certificate, say
		return finding{withTLS(scheme, s.Addr), true}
	}
	return s.lookAt(<-plain, scheme, err)
}

func (s Server) lookThroughTLS(ctx context.Context, scheme string, conn net.Conn, plain <-chan string) finding {
	host, _, _ := net.SplitHostPort(s.Addr)
	handshake := func(ctx context.Context, conn net.Conn) (net.Conn, error) {
		secure := tls.Client(conn, s.Certificates.Config(host))
		err := secure.HandshakeContext(ctx)
		if err == nil { // the other side may find fault with us only now
			_ = secure.SetReadDeadline(time.Now().Add(lookFor / 5)) // it is closed if this fails
			if _, err = secure.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.EOF) {
				err = nil
			}
		}
		return secure, err
	}
	_, err := handshake(ctx, conn)
	if err == nil {
		return s.lookAt(identify(ctx, func(ctx context.Context) (net.Conn, error) {
			conn, err := s.dial(ctx)
			if err != nil {
				return nil, err
			}
			secure := tls.Client(conn, s.Certificates.Config(host))
			return secure, secure.HandshakeContext(ctx)
		}), scheme, os.ErrDeadlineExceeded)
	}
	why := Reason(scheme, s.Addr, err)
	if why != err && !errors.Is(why, driver.ErrInvalid) { //nolint:errorlint // whether it is the same
		return finding{why, true}
	}
	switch what := <-plain; {
	case what == "web": // and no TLS
		return finding{s.another(what, serverOf(scheme)), true}
	case what != "" && what != serverOf(scheme):
		return s.lookAt(what, scheme, nil)
	case what != "" || why != err: //nolint:errorlint // the same
		return finding{withoutTLS(scheme, s.Addr), true}
	}
	if isTimeout(err) {
		return finding{err: fmt.Errorf("%w: %s accepts the connection, and says nothing to a TLS handshake", driver.ErrUnavailable, s.Addr)}
	}
	return finding{err: fmt.Errorf("%w: %s hangs up in the TLS handshake (is it a port without TLS?): %w", driver.ErrUnavailable, s.Addr, err)}
}

// lookAt makes a finding of what has answered, or of the error with which a question has ended.
func (s Server) lookAt(what, scheme string, err error) finding {
	own := serverOf(scheme)
	switch {
	case what == own:
		return finding{}
	case what == "web" && own == "etcd":
		// etcd's proxies, and others before it, serve gRPC and do not know /version.
		return finding{err: fmt.Errorf("%w: what answers at %s is a web server, and does not say that it is etcd", driver.ErrUnavailable, s.Addr)}
	case what == "zookeeper, idle":
		if own == "zookeeper" {
			return finding{err: fmt.Errorf("%w: %s is a ZooKeeper that serves nobody now: it is starting, or has no majority", driver.ErrUnavailable, s.Addr)}
		}
		what = "zookeeper"
		fallthrough
	case what != "":
		return finding{s.another(what, own), true}
	case isTimeout(err):
		return finding{err: fmt.Errorf("%w: %s accepts the connection, and does not answer", driver.ErrUnavailable, s.Addr)}
	}
	return finding{err: fmt.Errorf("%w: %s accepts the connection, and hangs up", driver.ErrUnavailable, s.Addr)}
}

func (s Server) another(what, own string) error {
	return Invalid("what answers at %s is %s: write the address of %s", s.Addr, titles[what], titles[own])
}

// kindOf is the scheme without TLS of one.
func kindOf(scheme string) string {
	for plain, withTLS := range secured {
		if scheme == withTLS {
			return plain
		}
	}
	if scheme == "unix" {
		return "redis"
	}
	return scheme
}

// serverOf is the kind of server that a scheme wants.
func serverOf(scheme string) string {
	switch kind := kindOf(scheme); kind {
	case "redlock", "redis+sentinel", "redis+cluster":
		return "redis"
	default:
		return kind
	}
}

var titles = map[string]string{"redis": "Redis", "etcd": "etcd", "zookeeper": "ZooKeeper", "web": "a web server"}

// identify asks a server what it is: in the ways of web servers, etcd among them, of Redis and of
// ZooKeeper.
func identify(ctx context.Context, dial func(context.Context) (net.Conn, error)) string {
	questions := []string{"GET /version HTTP/1.0\r\n\r\n", "*1\r\n$4\r\nPING\r\n", "srvr"}
	answers := make(chan string, len(questions))
	for _, question := range questions {
		go func() { answers <- ask(ctx, dial, question) }()
	}
	for range cap(answers) {
		switch answer := <-answers; {
		case strings.HasPrefix(answer, "HTTP/") && strings.Contains(answer, `"etcdserver"`):
			return "etcd"
		case strings.HasPrefix(answer, "HTTP/"):
			return "web"
		case strings.HasPrefix(answer, "Zookeeper version"), strings.HasPrefix(answer, "srvr is not executed"):
			return "zookeeper"
		case strings.HasPrefix(answer, "This ZooKeeper instance"):
			return "zookeeper, idle"
		case strings.HasPrefix(answer, "-"), strings.HasPrefix(answer, "+"):
			return "redis"
		}
	}
	return ""
}

// ask sends a question, and returns the beginning of what is said until the other side ends or time
// is up.
func ask(ctx context.Context, dial func(context.Context) (net.Conn, error), question string) string {
	conn, err := dial(ctx)
	if err != nil {
		return ""
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, question); err != nil {
		return ""
	}
	in := bufio.NewReader(io.LimitReader(conn, 1024))
	text, err := in.ReadString('\n')
	if err == nil && strings.HasPrefix(text, "HTTP/") {
		rest, _ := io.ReadAll(in) // it ends, by HTTP/1.0
		text += string(rest)
	}
	return text
}

// dial connects without TLS. The connection is of no use when ctx has ended.
func (s Server) dial(ctx context.Context) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, s.Network, s.Addr)
	if err == nil {
		context.AfterFunc(ctx, func() { _ = conn.Close() })
	}
	return conn, err
}

// unreached says why no connection was accepted.
func unreached(addr string, err error) error {
	if isTimeout(err) {
		return fmt.Errorf("%w: nothing answers at %s (a firewall, or a machine that is off?)", driver.ErrUnavailable, addr)
	}
	return fmt.Errorf("%w: %w", driver.ErrUnavailable, err)
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, net.ErrClosed) ||
		errors.As(err, &timeout) && timeout.Timeout()
}
