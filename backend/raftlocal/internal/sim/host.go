package sim

import (
	"errors"
	"fmt"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/machine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

// host is a machine with a disk on which a member runs, or has crashed. It does what the loop of
// a server does: it gathers what comes in, hands it to the member and calls Flush. What the
// disk takes is the member's time: it takes nothing in before it is done, and what it says
// after a sync leaves after the sync.
type host struct {
	w     *world
	place int // in the network
	self  machine.Member
	join  bool
	clock clock
	disk  *disk.Memory
	drive *drive

	member  *member.Member // nil: down
	life    int            // rises with each start and each end
	retired bool           // removed from the cluster

	inbox   []func()
	planned bool          // a turn
	ticking bool          // a tick is in the inbox
	free    time.Duration // when the disk lets it go on
	paused  time.Duration // until when it is suspended

	// awake is how much time the member can have counted, by its own clock: what passed between
	// its turns, at most 100 ms each.
	awake, lastTurn time.Duration

	lines []*line // that are open
}

func (h *host) String() string { return h.self.Name }

func (h *host) up() bool { return h.member != nil }

// start begins a life on what the disk holds.
func (h *host) start() {
	w := h.w
	if h.up() || h.retired {
		return
	}
	h.life++
	h.drive.spent, h.drive.erred = 0, false
	var err error
	crashed := h.running(func() {
		h.member, err = member.Open(member.Config{
			ID: h.self.ID, Name: h.self.Name, Cluster: "sim", FS: h.disk, Join: h.join, Members: w.founders(h),
			Outside: outside{h, h.life}, ElectionTicks: w.plan.electionTicks,
			SnapshotEntries: w.plan.snapshotEntries, KeepEntries: w.plan.keepEntries,
			Applied: h.applied,
		})
	})
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
	h.member = nil
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

// input is something for the member of a life to take in.
func (h *host) input(life int, f func()) {
	if !h.up() || life != h.life {
		return
	}
	h.inbox = append(h.inbox, f)
	h.wake()
}

// wake plans a turn.
func (h *host) wake() {
	if h.planned || len(h.inbox) == 0 {
		return
	}
	h.planned = true
	life := h.life
	h.w.at(max(h.w.now+20*time.Microsecond, h.free, h.paused), func() {
		if life == h.life {
			h.turn()
		}
	})
}

// tick counts time, by the member's own clock, but for the time that the disk or a pause took:
// a ticker holds one tick back at most.
func (h *host) tick(life int) {
	if life != h.life {
		return
	}
	if !h.ticking {
		h.ticking = true
		h.input(life, func() {
			h.ticking = false
			h.member.Tick()
		})
	}
	h.w.after(h.clock.real(50*time.Millisecond), func() { h.tick(life) })
}

// turn is one round of the loop.
func (h *host) turn() {
	w := h.w
	h.planned = false
	if w.now < max(h.free, h.paused) {
		h.wake()
		return
	}
	now := h.clock.read(w.now)
	h.awake += min(now-h.lastTurn, mostLook)
	h.lastTurn = now
	in := h.inbox
	h.inbox = nil
	h.drive.take()
	var err error
	if h.running(func() {
		for _, f := range in {
			f()
		}
		err = h.member.Flush(now)
		if err == nil && w.rng.IntN(64) == 0 {
			// A server does that beside, with the same effect on what is on the disk.
			if e := h.member.Prepare(); errors.Is(e, wal.ErrFailed) {
				err = e
			}
		}
	}) {
		h.restart()
		return
	}
	h.free = w.now + h.drive.spent
	if err != nil {
		h.stopped(err)
		return
	}
	h.wake()
}

// mostLook is the most that one look at a leader's clock may count for.
const mostLook = 100 * time.Millisecond

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

func (h *host) receive(data []byte) {
	var m raftpb.Message
	if err := proto.Unmarshal(data, &m); err != nil {
		panic(err)
	}
	h.member.Receive(&m)
}

func (h *host) undelivered(to uint64, snap bool) {
	if snap {
		h.member.ReportSnapshot(to, false)
	} else {
		h.member.ReportUnreachable(to)
	}
}

// applied is told by the member of each entry.
func (h *host) applied(index, term uint64, b command.Batch, o machine.Outcome) {
	w := h.w
	if w.truth.applied(h.self.Name, h.at(), index, term, b, o.Answers, o.Pushes) {
		w.trace.note('e', index, term, w.truth.facts[index].entry, w.truth.facts[index].outcome)
		w.checkClock(h, index, term, b.Stamp)
	}
	if index%16 == 0 {
		w.truth.state(h.self.Name, index, digest(h.member.Machine().Snapshot()))
	}
}

// at is now, for what the member does in this turn.
func (h *host) at() time.Duration { return h.w.now + h.drive.spent }

// outside is what the member of one life speaks to.
type outside struct {
	h    *host
	life int
}

// leave lets something happen when what the disk is doing now is done, if the member lives.
func (o outside) leave(f func()) {
	o.h.w.at(o.h.at(), func() {
		if o.h.life == o.life {
			f()
		}
	})
}

func (o outside) Send(m *raftpb.Message) {
	switch m.GetType() {
	case raftpb.MsgApp, raftpb.MsgHeartbeat, raftpb.MsgSnap:
		o.h.w.leads(o.h, m.GetTerm())
	case raftpb.MsgVoteResp:
		if !m.GetReject() && o.h.w.now < o.h.w.voting && !o.h.w.calm {
			defer o.leave(func() { o.h.powerCut(0) })
		}
	default:
	}
	if o.h.drive.spent == 0 {
		o.h.w.network.send(o.h, m)
		return
	}
	o.leave(func() { o.h.w.network.send(o.h, m) })
}

func (o outside) Answer(c member.Conn, answers []command.Answer, pushes []command.Push) {
	l := o.h.w.lines[c]
	if l == nil {
		panic(fmt.Sprintf("an answer to connection %d, which never was", c))
	}
	packet := encodeAnswers(answers, pushes)
	o.leave(func() { l.down(packet) })
}

func (o outside) Dismiss(c member.Conn, leader machine.Member) {
	if l := o.h.w.lines[c]; l != nil {
		o.leave(func() { l.dismiss(leader) })
	}
}
