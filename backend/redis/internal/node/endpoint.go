package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
)

// Endpoint is where a URL leads.
type Endpoint struct{ Scheme, Network, Addr string }

// Explain says more of an error that ended an Open: what answers there if it hangs up (TLS where none
// was expected, a proxy), where user and password go. What will be the same next time is not called
// unavailable. It may connect.
func (p Endpoint) Explain(ctx context.Context, err error) error {
	var op *net.OpError
	if cure := p.loginHint(err); cure != "" {
		return fmt.Errorf("%w (%s)", err, cure)
	}
	switch {
	case ctx.Err() != nil, !errors.Is(err, driver.ErrUnavailable), errors.Is(err, driver.ErrRefused),
		errors.Is(err, ErrNoAnswer), errors.Is(err, os.ErrDeadlineExceeded), // nobody says anything,
		errors.As(err, &op) && op.Op == "dial": // or nobody is there
		return err
	}
	if why := address.Reason(p.Scheme, p.Addr, err); why != err && !errors.Is(why, driver.ErrInvalid) { //nolint:errorlint // whether it is the same
		return why
	}
	if why := p.probe(ctx); !strings.HasPrefix(p.Scheme, "rediss") && p.Scheme != "redlocks" && why != nil {
		return why
	}
	return err
}

// loginHint says where user and password go, if err is that the server does not let us in.
func (p Endpoint) loginHint(err error) string {
	var reply goredis.Error
	if !errors.As(err, &reply) {
		return ""
	}
	full, alone := loginForms(p.Scheme)
	switch text := reply.Error(); {
	case strings.HasPrefix(text, "NOAUTH"):
		return fmt.Sprintf("the server wants a password: write %s, or %s for the user default, or password_file= for one in a file", full, alone)
	case strings.HasPrefix(text, "WRONGPASS"):
		return fmt.Sprintf("look at user and password: %s, or %s for the user default, with special characters percent-encoded; or at what the file of password_file= has", full, alone)
	}
	return ""
}

// probe connects to what hangs up where a server was expected, and says what it is; nil if that does
// not show. Servers of other protocols are found by address.Watch.
func (p Endpoint) probe(ctx context.Context) error {
	// A server that refuses the connection says so, and closes it, before the client has sent anything.
	if farewell, found := strings.CutPrefix(p.firstLine(ctx, ""), "-"); found {
		return answered(farewell, Replied(farewell))
	}
	if p.firstLine(ctx, "PING") != "" && p.firstLine(ctx, "INFO") == "" {
		return fmt.Errorf("%w: what answers there knows PING and hangs up at INFO, as twemproxy does; connect to the server itself", driver.ErrUnsupported)
	}
	return nil
}

// firstLine sends one word without TLS, or none, and returns the first line of the answer if it
// is one of Redis's protocol.
func (p Endpoint) firstLine(ctx context.Context, word string) string {
	within := time.Second
	if word == "" {
		within /= 5
	}
	conn, cancel := p.dial(ctx, within)
	defer cancel()
	if conn == nil {
		return ""
	}
	if word != "" {
		if _, err := fmt.Fprintf(conn, "*1\r\n$%d\r\n%s\r\n", len(word), word); err != nil {
			return ""
		}
	}
	line, err := bufio.NewReader(io.LimitReader(conn, 1024)).ReadString('\n')
	if err != nil || !strings.ContainsRune("+-$", rune(line[0])) {
		return ""
	}
	return strings.TrimSpace(line)
}

// dial connects, for some time at most; nil if it cannot.
func (p Endpoint) dial(ctx context.Context, within time.Duration) (net.Conn, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, within)
	conn, err := (&net.Dialer{}).DialContext(ctx, p.Network, p.Addr)
	if err != nil {
		return nil, cancel
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(past) })
	return conn, func() {
		stop()
		cancel()
		_ = conn.Close()
	}
}
