package sim

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// host is a machine with a disk on which a member runs, or has crashed. It does what the loop of
// a server does: it gathers what comes in, hands it to the member and calls Flush. What the
// disk takes is the member's time: it takes nothing in before it is done, and what it says
// after a sync leaves after the sync.
type host struct {
	w     *world
	place int // in the network
	made  int // how many machines were in its place before
	self  statemachine.Member
	join  bool
	clock clock
	disk  *disk.Memory
	drive *drive

	member  *member.Member // nil: down, or it founds
	founder *founder       // nil: down, or it has begun
	asked   int            // how often its operator has asked for it to replace another
	life    int            // rises with each start and each end
	retired bool           // removed from the cluster, or another is in its place

	inbox   []func()
	planned bool          // a turn
	ticking bool          // a tick is in the inbox
	free    time.Duration // when the disk lets it go on
	paused  time.Duration // until when it is suspended

	// awake is how much time the member can have counted, by its own clock: what passed between
	// its turns, at most 100 ms each.
	awake, lastTurn time.Duration

	lines []*conn // that are open
}

func (h *host) String() string {
	if h.made == 0 {
		return h.self.Name
	}
	return fmt.Sprintf("%s(%d)", h.self.Name, h.made)
}

// up tells that a member runs.
func (h *host) up() bool { return h.member != nil }

// lives tells that a process runs, which is a member or is to found a cluster.
func (h *host) lives() bool { return h.member != nil || h.founder != nil }

// start begins a life on what the disk holds.
func (h *host) start() {
	if h.lives() || h.retired {
		return
	}
	h.life++
	h.drive.spent, h.drive.erred = 0, false
	var err error
	crashed := h.running(func() { err = h.begin() })
	h.started(crashed, err)
}

// started goes on after the code that opens a member, or is to found a cluster.
func (h *host) started(crashed bool, err error) {
	w := h.w
	switch {
	case crashed:
		h.end("crashed as it started")
		h.restart()
		return
	case err != nil && h.drive.faulty():
		h.end("does not start: " + err.Error())
		h.restart()
		return
	case err != nil:
		h.member = nil
		w.fail("%s does not open its directory: %v", h, err)
		return
	case h.founder != nil:
		w.trace.line("%s founds, as %x", h, h.self.ID)
		h.drive.take()
		h.founder.ask(h.life)
		return
	}
	w.trace.note('u', uint64(h.place))
	w.trace.line("%s is up", h)
	h.free = w.now + h.drive.take()
	h.lastTurn = h.clock.read(h.free)
	h.inbox, h.planned, h.ticking = nil, false, false
	h.input(h.life, func() {
		if w.rng.IntN(2) == 0 {
			h.member.Campaign() // if it is alone
		}
	})
	h.tick(h.life)
}

// restart starts it again after a while.
func (h *host) restart() {
	h.w.after(h.w.some(100*time.Millisecond, 800*time.Millisecond), h.start)
}

// end ends a life: the process is gone, and what it would have sent with it.
func (h *host) end(why string) {
	h.w.trace.note('d', uint64(h.place))
	h.w.trace.line("%s is down: %s", h, why)
	h.w.crashes++
	h.member, h.founder = nil, nil
	h.life++
	h.inbox = nil
	for _, l := range h.lines {
		l.serverGone()
	}
	h.lines = nil
}

// crash ends a life with a loss of power: what was not synced is on the disk or not.
func (h *host) crash(why string) {
	h.end(why)
	h.disk.Crash(h.w.rng)
}

// stop ends the process as an operator does, who lets another lead first.
func (h *host) stop() {
	w := h.w
	life := h.life
	h.input(life, func() { _ = h.member.Transfer(0) })
	w.after(w.some(20*time.Millisecond, 600*time.Millisecond), func() {
		if h.life != life || !h.up() || w.now < max(h.free, h.paused) {
			return
		}
		if !h.running(func() {
			if err := h.member.Close(); err != nil && !h.drive.faulty() {
				w.fail("%s does not stop: %v", h, err)
			}
		}) {
			h.kill("stopped")
		}
		h.restart()
	})
}

// kill ends the process only: the system keeps what was written.
func (h *host) kill(why string) {
	h.end(why)
	h.disk.Kill()
}

// running runs the member's code, and reports whether the power failed in it.
func (h *host) running(f func()) (crashed bool) {
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(powerFailed); !ok {
				panic(p)
			}
			crashed = true
			h.crash("the power failed at " + h.drive.last)
		}
	}()
	f()
	return false
}

// stopped is when the member has ended by itself.
func (h *host) stopped(err error) {
	switch {
	case errors.Is(err, member.ErrRemoved):
		h.retired = true
		h.end("removed")
	case h.drive.faulty():
		// Its process ends. What a failed sync left is the disk's secret.
		h.crash(err.Error())
		h.restart()
	default:
		h.w.fail("%s has ended: %v", h, err)
	}
}

// drive decides how a disk behaves: what its calls take, which fail, and at which one the
// power does.
type drive struct {
	w     *world
	spent time.Duration // by the calls of this turn
	last  string        // what was called

	slow   time.Duration // what a sync takes at most, when the disk is slow
	hang   time.Duration // what the next sync takes, once
	full   bool          // there is no room for another file
	broken int           // the sync after this many fails, counted from 1 on
	doom   int           // the power fails at this change of the disk, counted from 1 on

	erred bool // it has let a call fail in this life
}

// powerFailed ends the code that runs on a disk: see disk.Hook.
type powerFailed struct{}

var errBroken = errors.New("input/output error")

// take returns what was spent, and begins to count again.
func (d *drive) take() time.Duration {
	spent := d.spent
	d.spent = 0
	return spent
}

// faulty reports whether an error of the member in this life may be the disk's fault.
func (d *drive) faulty() bool { return d.erred }

func (d *drive) hook(c disk.Call) (time.Duration, error) {
	d.last = c.Op.String()
	switch c.Op {
	case disk.OpCreate, disk.OpRename, disk.OpRemove, disk.OpWrite, disk.OpSync, disk.OpSyncDir:
		if d.doom--; d.doom == 0 {
			panic(powerFailed{})
		}
	default:
		return 0, nil
	}
	took, err := d.change(c.Op)
	d.spent += took
	d.erred = d.erred || err != nil
	return took, err
}

func (d *drive) change(op disk.Op) (time.Duration, error) {
	switch op {
	case disk.OpCreate:
		if d.full {
			return 0, syscall.ENOSPC
		}
	case disk.OpSync, disk.OpSyncDir:
		if d.broken--; d.broken == 0 {
			return time.Millisecond, errBroken
		}
		if d.hang > 0 {
			took := d.hang
			d.hang = 0
			return took, nil
		}
		if d.slow > 0 {
			return 10*time.Millisecond + time.Duration(d.w.rng.Int64N(int64(d.slow))), nil
		}
		return 50*time.Microsecond + time.Duration(d.w.rng.Int64N(int64(time.Millisecond))), nil
	}
	return 0, nil
}
