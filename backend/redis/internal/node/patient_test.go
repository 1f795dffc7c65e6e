package node

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// withPatience runs a test with a node that is patient, and knows its server. refuses has, by address, the
// error of those who connect.
func withPatience(t *testing.T, test func(t *testing.T, w *world, refuses *sync.Map)) {
	withPlace(t, func(t *testing.T, w *world) {
		refuses := new(sync.Map)
		for _, p := range []*pool{w.calls.pool, w.dedicated.pool} {
			p.patient = true
			dial := p.conf.Dialer
			p.conf.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if err, refused := refuses.Load(addr); refused {
					return nil, err.(error)
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
	withPatience(t, func(t *testing.T, w *world, refuses *sync.Map) {
		if err := w.echo(t, "known"); err != nil {
			t.Fatal(err)
		}
		refuses.Store(addrA, errRefused)
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
	withPatience(t, func(t *testing.T, w *world, refuses *sync.Map) {
		_ = w.echo(t, "known")
		refuses.Store(addrA, errRefused)
		w.Moved("")
		w.move(addrA)
		began := time.Now()
		_, err := w.Eval(t.Context(), time.Second, echoScript, 1, args("x")...)
		if took := time.Since(began); took != time.Second || !errors.Is(Classify(t.Context(), err), driver.ErrUnavailable) || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%v after %v", err, took)
		}
		time.AfterFunc(500*time.Millisecond, func() { refuses.Delete(addrA) })
		began = time.Now()
		if err := w.echo(t, "back"); err != nil || time.Since(began) > 700*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// It does not wait for what time does not mend, and not before there has been a connection: Open has the error.
func TestPatientRequestFailsAtOnce(t *testing.T) {
	withPatience(t, func(t *testing.T, w *world, refuses *sync.Map) {
		refuses.Store(addrA, errRefused)
		began := time.Now()
		if err := w.echo(t, "x"); err == nil || time.Since(began) != 0 {
			t.Errorf("at first: %v after %v", err, time.Since(began))
		}
		refuses.Delete(addrA)
		_ = w.echo(t, "known")
		refuses.Store(addrA, Replied("NOPERM no"))
		w.Moved("")
		w.move(addrA)
		began = time.Now()
		if err := w.echo(t, "x"); err == nil || time.Since(began) != 0 {
			t.Errorf("a refusal for good: %v after %v", err, time.Since(began))
		}
	})
}
