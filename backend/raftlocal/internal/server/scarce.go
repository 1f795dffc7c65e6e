package server

import (
	"errors"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

const (
	// scarcePause is the pause until it is tried again to make a file for which the member waits,
	// and spareAgain for one that it needs later. An attempt may write all that there is room for.
	scarcePause = 200 * time.Millisecond
	spareAgain  = time.Second
	// tellAgain is how often it is told that something is still missing.
	tellAgain = time.Minute
)

// scarce is what a member lacks to make a file: room on the disk, or file descriptors.
type scarce struct {
	*self
	clients *clients
	inbox   *inbox
	spare   chan struct{} // has an element when a segment may be missing

	mu   sync.Mutex
	want error // what is missing, or nil
	said time.Time
}

// wait is where a member waits that cannot go on until it can make a file. It is called in the
// loop, which hangs meanwhile, as with a disk that hangs: the others elect another leader. It is
// for the clients to find that one: they would be told here that somebody is alive.
func (sc *scarce) wait(why error) bool {
	sc.lacks(why)
	if role := sc.role.Load(); len(role.members) > 1 {
		aside := *role
		aside.leader = statemachine.Member{}
		sc.role.Store(&aside) // the loop notes who leads when it goes on
		sc.clients.sendAway()
	}
	return sc.pause(scarcePause)
}

// lacks notes what is missing, and tells it.
func (sc *scarce) lacks(why error) {
	sc.mu.Lock()
	first := sc.want == nil
	tell := first || time.Since(sc.said) > tellAgain
	sc.want = why
	if tell {
		sc.said = time.Now()
	}
	sc.mu.Unlock()
	if first {
		sc.clients.tell(why.Error())
	}
	if tell {
		sc.logger.Error("a file cannot be made: this member goes on when it can", "cluster", sc.cfg.Member.Cluster, "member", sc.cfg.Member.Name, "error", why)
	}
	if first {
		// As long as there is room in the file in use, another can take over in good order. If
		// there is nobody, nothing is changed.
		sc.inbox.ask(func(m *member.Member) { _ = m.Transfer(0) })
	}
}

// lacksNothing notes that files can be made again.
func (sc *scarce) lacksNothing() {
	sc.mu.Lock()
	again := sc.want != nil
	sc.want, sc.said = nil, time.Time{}
	sc.mu.Unlock()
	if again {
		sc.clients.tell("")
		sc.logger.Info("files can be made again", "cluster", sc.cfg.Member.Cluster, "member", sc.cfg.Member.Name)
	}
}

// why returns what is missing, or nil.
func (sc *scarce) why() error {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	return sc.want
}

// wantSpare lets prepare look.
func (sc *scarce) wantSpare() {
	select {
	case sc.spare <- struct{}{}:
	default: // it is at it
	}
}

// prepare makes segments of the log before they are needed, beside the loop. It is the first to
// see that there is nothing left to make them of, while the segment in use has room.
func (sc *scarce) prepare(m *member.Member) {
	var told time.Time
	for {
		select {
		case <-sc.ctx.Done():
			return
		case <-sc.spare:
		}
		switch err := m.Prepare(); {
		case err == nil:
			sc.lacksNothing()
		case errors.Is(err, disk.ErrScarce):
			sc.lacks(err)
			sc.pause(spareAgain)
		case !errors.Is(err, wal.ErrClosed) && time.Since(told) > tellAgain:
			told = time.Now()
			sc.logger.Warn("the log cannot grow", "cluster", sc.cfg.Member.Cluster, "member", sc.cfg.Member.Name, "error", err)
		}
	}
}
