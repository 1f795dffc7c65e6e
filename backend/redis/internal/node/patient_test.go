package node

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// withPatience runs a test with a node that is patient, and knows its server. Then refuses has servers
// accept no connection.
func withPatience(t *testing.T, test func(t *testing.T, w *world, refuses map[string]error)) {
	withPlace(t, func(t *testing.T, w *world) {
		refuses := make(map[string]error)
		for _, p := range []*pool{w.calls.pool, w.dedicated.pool} {
			p.patient = true
			dial := p.conf.Dialer
			p.conf.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if err := refuses[addr]; err != nil {
					return nil, err
				}
				return dial(ctx, network, addr)
			}
		}
		test(t, w, refuses)
	})
}

var errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}

// A patient request waits for the server that takes the place of a dead one, and is answered by that at once.
func TestPatientRequestWaitsForTheNextServer(t *testing.T) {
	withPatience(t, func(t *testing.T, w *world, refuses map[string]error) {
		if err := w.echo(t, "known"); err != nil {
			t.Fatal(err)
		}
		refuses[addrA] = errRefused
		w.Moved("") // the connections are gone
		w.move(addrA)
		began := time.Now()
		time.AfterFunc(1234*time.Millisecond, func() { w.move(addrB) })
		if err := w.echo(t, "late"); err != nil || time.Since(began) != 1234*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// It waits also for the same server, until its time is over: then the error says why there was no connection.
func TestPatientRequestGivesUp(t *testing.T) {
	withPatience(t, func(t *testing.T, w *world, refuses map[string]error) {
		_ = w.echo(t, "known")
		refuses[addrA] = errRefused
		w.Moved("")
		w.move(addrA)
		began := time.Now()
		_, err := w.Eval(t.Context(), time.Second, echoScript, 1, args("x")...)
		if took := time.Since(began); took != time.Second || !errors.Is(Classify(t.Context(), err), driver.ErrUnavailable) || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%v after %v", err, took)
		}
		time.AfterFunc(500*time.Millisecond, func() { delete(refuses, addrA) })
		began = time.Now()
		if err := w.echo(t, "back"); err != nil || time.Since(began) > 700*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// It does not wait for what time does not mend, and not before there has been a connection: Open has the error.
func TestPatientRequestFailsAtOnce(t *testing.T) {
	withPatience(t, func(t *testing.T, w *world, refuses map[string]error) {
		refuses[addrA] = errRefused
		began := time.Now()
		if err := w.echo(t, "x"); err == nil || time.Since(began) != 0 {
			t.Errorf("at first: %v after %v", err, time.Since(began))
		}
		delete(refuses, addrA)
		_ = w.echo(t, "known")
		refuses[addrA] = Replied("NOPERM no")
		w.Moved("")
		w.move(addrA)
		began = time.Now()
		if err := w.echo(t, "x"); err == nil || time.Since(began) != 0 {
			t.Errorf("a refusal for good: %v after %v", err, time.Since(began))
		}
	})
}
