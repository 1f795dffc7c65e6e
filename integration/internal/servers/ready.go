package servers

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// errEnded is the reason when a server ends in place of answering.
var errEnded = errors.New("it has ended")

// await returns when the server answers, or with its last words when it ends or
// takes too long.
func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	began := time.Now()
	for n := 1; ; n++ {
		err := s.answers(ctx)
		if err == nil {
			return nil
		}
		// Asking Docker costs more than asking the server: not every time.
		if n%20 == 0 && !s.machine.running(ctx) {
			err = errEnded
		} else {
			// A tenth of what it took until now: who asks a starting JVM all the time
			// keeps it from its start.
			select {
			case <-time.After(min(max(time.Since(began)/10, 5*time.Millisecond), 100*time.Millisecond)):
				continue
			case <-ctx.Done():
			}
		}
		return fmt.Errorf("%s does not answer at %s: %w\n%s", s.kind, s.addr, err, s.machine.log(context.WithoutCancel(ctx)))
	}
}

// answers asks at the port for TLS as well, which a server may open after the
// other.
func (s *Server) answers(ctx context.Context) error {
	err := s.kind.ping(ctx, s.addr)
	if err != nil || s.certs == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	c, err := (&tls.Dialer{Config: s.certs.config()}).DialContext(ctx, "tcp", s.tlsAddr)
	if err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	return c.Close()
}

// askServer sends a request on a connection of its own, and reads the answer.
func askServer(ctx context.Context, addr, request string, read func(*bufio.Reader) (string, error)) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	_ = c.SetDeadline(deadline)
	if _, err := io.WriteString(c, request); err != nil {
		return "", err
	}
	return read(bufio.NewReader(c))
}

// Metrics returns what a server counts about itself: of etcd the series of
// /metrics, named with their labels; of ZooKeeper the lines of mntr. What is not a
// number is left out.
func Metrics(t T, s *Server) map[string]float64 {
	t.Helper()
	if s.kind.askMetrics == nil {
		t.Fatalf("servers: %v: there are no metrics of %s here", s, s.kind.product)
	}
	numbers, err := s.kind.askMetrics(context.Background(), s.addr)
	if err != nil {
		t.Fatalf("servers: metrics of %v: %v", s, err)
	}
	return numbers
}

// parseNumbers reads lines of a name, a separator and a number. A name may hold the
// separator.
func parseNumbers(text, separator string) map[string]float64 {
	numbers := map[string]float64{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		at := strings.LastIndex(line, separator)
		if at < 0 || strings.HasPrefix(line, "#") {
			continue
		}
		if n, err := strconv.ParseFloat(line[at+len(separator):], 64); err == nil {
			numbers[line[:at]] = n
		}
	}
	return numbers
}
