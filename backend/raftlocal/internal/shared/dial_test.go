package shared

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/dirlock"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/server"
)

// hung is a place that another has, and does not serve: the first attempts to connect fail with a reason, and
// the last one takes as long as it may.
type hung struct{ reason error }

func (*hung) Lock(context.Context) (disk.FS, func() error, error) {
	return nil, nil, &dirlock.TakenError{Dir: "hung"}
}

func (*hung) Listen() (net.Listener, error) { return nil, errors.ErrUnsupported }

func (h *hung) Dial(ctx context.Context) (net.Conn, error) {
	end, _ := ctx.Deadline()
	if time.Until(end) > 100*time.Millisecond {
		return nil, h.reason
	}
	time.Sleep(time.Until(end))
	return nil, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
}

func (*hung) Guest() bool { return false }
func (*hung) Leave()      {}

// When the time for an attempt to connect is over, the error is why nobody could be reached, and not that
// the time is over.
func TestDialTellsWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		place := &hung{errors.New("nobody serves")}
		s, err := Open(t.Context(), place, func(*server.Server) http.Handler { return nil }, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Dial(t.Context(), ""); !errors.Is(err, place.reason) {
			t.Errorf("got %v, want %v", err, place.reason)
		}
	})
}
