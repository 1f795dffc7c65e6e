package address_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
)

// answering is a server that says the same to whatever it is asked; "" hangs up.
func answering(t *testing.T, text string) address.Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if _, err := c.Read(make([]byte, 1)); err == nil {
					_, _ = io.WriteString(c, text)
				}
			}()
		}
	}()
	return address.Server{Network: "tcp", Addr: l.Addr().String()}
}

var errSilent = fmt.Errorf("%w: no answer", driver.ErrUnavailable)

// TestWatchNamesWhatAnswers: an opening that found nothing out is told what is there.
func TestWatchNamesWhatAnswers(t *testing.T) {
	const idle = "This ZooKeeper instance is not currently serving requests\n"
	for _, row := range []struct {
		scheme, says string
		kind         error
		want         string
	}{
		{"redis", "HTTP/1.0 200 OK\r\n\r\nhello", fencelock.ErrInvalid, "a web server"},
		{"etcd", "HTTP/1.0 404 Not Found\r\n\r\n", driver.ErrUnavailable, "a web server, and does not say that it is etcd"}, // a proxy may be
		{"redis", "HTTP/1.0 200 OK\r\n\r\n{\"etcdserver\":\"3.6.0\"}", fencelock.ErrInvalid, "is etcd"},
		{"etcd", "HTTP/1.0 200 OK\r\n\r\n{\"etcdserver\":\"3.6.0\"}", driver.ErrUnavailable, "no answer"},
		{"etcd", "-ERR unknown\r\n", fencelock.ErrInvalid, "is Redis"},
		{"zookeeper", "-NOAUTH\r\n", fencelock.ErrInvalid, "is Redis"},
		{"unix", "-NOAUTH\r\n", driver.ErrUnavailable, "no answer"},
		{"redis", "Zookeeper version: 3.9\n", fencelock.ErrInvalid, "is ZooKeeper"},
		{"redis", idle, fencelock.ErrInvalid, "is ZooKeeper"},
		{"zookeeper", idle, driver.ErrUnavailable, "serves nobody now"},
		{"zookeeper", "Zookeeper version: 3.9\n", driver.ErrUnavailable, "no answer"},
		{"redis", "", driver.ErrUnavailable, "hangs up"},
	} {
		_, w := address.NewWatch(t.Context(), row.scheme, answering(t, row.says))
		err := w.End(errSilent)
		if !errors.Is(err, row.kind) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s at %q: %v; want %v, %q", row.scheme, row.says, err, row.kind, row.want)
		}
	}
}

// TestWatchEndsEarly: what will be the same next time ends an opening that waits; with several
// servers only if it is so of each.
func TestWatchEndsEarly(t *testing.T) {
	web := answering(t, "HTTP/1.0 200 OK\r\n\r\n")
	opening, w := address.NewWatch(t.Context(), "zookeeper", web, answering(t, "-ERR\r\n"))
	select {
	case <-opening.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("it does not end")
	}
	if err := w.End(context.Cause(opening)); !errors.Is(err, fencelock.ErrInvalid) || !strings.Contains(err.Error(), "a web server") || !strings.Contains(err.Error(), "Redis") {
		t.Errorf("End = %v", err)
	}
	_, w = address.NewWatch(t.Context(), "zookeeper", web, answering(t, ""))
	if err := w.End(errSilent); !errors.Is(err, driver.ErrUnavailable) || !strings.HasPrefix(err.Error(), errSilent.Error()) || !strings.Contains(err.Error(), "hangs up") {
		t.Errorf("End = %v", err)
	}
}

// TestWatchLeavesAlone: success, answers of the server, and what nobody can add to.
func TestWatchLeavesAlone(t *testing.T) {
	web := answering(t, "HTTP/1.0 200 OK\r\n\r\n")
	refused := fmt.Errorf("%w: %w", driver.ErrUnavailable, driver.ErrRefused)
	for _, err := range []error{nil, refused, fencelock.ErrInvalid, fencelock.ErrUnsupported, errors.New("its own")} {
		_, w := address.NewWatch(t.Context(), "redis", web)
		if got := w.End(err); got != err { //nolint:errorlint // the same
			t.Errorf("End(%v) = %v", err, got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, w := address.NewWatch(ctx, "redis", web)
	cancel()
	if got := w.End(ctx.Err()); !errors.Is(got, context.Canceled) || errors.Is(got, fencelock.ErrInvalid) {
		t.Errorf("End = %v", got)
	}
}
