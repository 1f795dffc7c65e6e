package session

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// cluster is a state machine that carries out commands as the real one does, behind a
// network that loses connections.
type cluster struct {
	t        *testing.T
	sessions map[uint64]*sitting
	ids      map[command.SessionID]uint64
	numbers  uint64
	ran      map[string]int    // how often each command was carried out
	replied  map[string]uint64 // and what the reply was
	last     int               // the last that was carried out, in the order of Do
}

type sitting struct {
	lowest  uint64
	replies map[uint64]command.Reply
}

func (c *cluster) apply(cmd command.Command) command.Answer {
	a := command.Answer{Session: cmd.Session, Seq: cmd.Seq, ID: cmd.ID}
	if cmd.Op == command.Open {
		if c.ids[cmd.ID] == 0 || c.sessions[c.ids[cmd.ID]] == nil {
			c.numbers++
			c.ids[cmd.ID] = c.numbers
			c.sessions[c.numbers] = &sitting{replies: map[uint64]command.Reply{}}
		}
		a.Reply = number(c.ids[cmd.ID])
		return a
	}
	s := c.sessions[cmd.Session]
	if s == nil {
		a.Reply = gone
		return a
	}
	s.lowest = max(s.lowest, cmd.Lowest)
	for seq := range s.replies {
		if seq < s.lowest {
			delete(s.replies, seq)
		}
	}
	switch r, ok := s.replies[cmd.Seq]; {
	case ok:
		a.Reply = r
	case cmd.Seq < s.lowest:
		a.Reply.Code = command.Done
	case cmd.Seq >= s.lowest+command.MaxOutstanding:
		c.t.Errorf("command %d with Lowest %d is beyond the window", cmd.Seq, cmd.Lowest)
	default:
		c.numbers++
		c.ran[cmd.Key]++
		c.replied[cmd.Key] = c.numbers
		var order int
		_, _ = fmt.Sscan(cmd.Key, &order)
		if order <= c.last {
			c.t.Errorf("%d is carried out after %d", order, c.last)
		}
		c.last = order
		a.Reply = number(c.numbers)
		s.replies[cmd.Seq] = a.Reply
	}
	return a
}

// Whatever is lost, and whenever sessions end: each command is carried out once at most, in
// order, each Done is true, and Unknown is said only when a session has ended.
func TestRandom(t *testing.T) {
	seeds := 3000
	if testing.Short() {
		seeds = 200
	}
	tally := map[string]int{}
	for seed := range uint64(seeds) {
		if !t.Run("", func(t *testing.T) { random(t, seed, tally) }) {
			t.Fatalf("seed %d", seed)
		}
	}
	for _, what := range []string{"done", "unknown", "cancelled", "never", "ended", "lost"} {
		if tally[what] < 20 {
			t.Errorf("%s came up %d times only: the test tests nothing", what, tally[what])
		}
	}
}

func random(t *testing.T, seed uint64, tally map[string]int) {
	r := rand.New(rand.NewPCG(seed, 1))
	s := newTest()
	c := &cluster{t: t, sessions: map[uint64]*sitting{}, ids: map[command.SessionID]uint64{}, ran: map[string]int{}, replied: map[string]uint64{}}
	var (
		up        []command.Command // on the way to the member, on this connection
		stale     []command.Command // on one that the client has given up, and the member not yet
		down      []command.Answer
		connected bool
		pending   []*Call
		orders    int
		ends      int
		unknowns  int
		never     = map[string]bool{}
		rate      = 1 + r.IntN(30)
	)
	over := func(x *Call) {
		for i := range pending {
			if pending[i] == x {
				pending = append(pending[:i], pending[i+1:]...)
				return
			}
		}
		t.Errorf("an event for %q, for which nobody waits", x.Command.Key)
	}
	events := func(list []Event) {
		for _, e := range list {
			switch e.Kind {
			case Done:
				tally["done"]++
				over(e.Call)
				if k := e.Call.Command.Key; c.ran[k] != 1 || c.replied[k] != e.Reply.Number {
					t.Errorf("Done %d for %q, which ran %d times with %d", e.Reply.Number, k, c.ran[k], c.replied[k])
				}
			case Unknown:
				tally["unknown"]++
				unknowns++
				over(e.Call)
			case Pushed, Opened:
			}
		}
	}
	step := func() {
		switch r.IntN(12) {
		case 0, 1:
			orders++
			pending = append(pending, s.Do(key(fmt.Sprint(orders))))
		case 2:
			if len(pending) > 0 && r.IntN(3) == 0 {
				x := pending[r.IntN(len(pending))]
				over(x)
				tally["cancelled"]++
				if s.Cancel(x) {
					tally["never"]++
					never[x.Command.Key] = true
				}
			}
		case 3:
			if connected && r.IntN(rate) == 0 {
				tally["lost"]++
				connected = false
				stale, up, down = up, nil, nil
				events(s.Disconnected())
			} else if !connected {
				// Until the member hears of it, what is in the old connection may come.
				for ; len(stale) > 0 && r.IntN(3) > 0; stale = stale[1:] {
					c.apply(stale[0])
				}
				stale, connected = nil, true
				s.Connected()
			}
		case 4:
			if r.IntN(rate) == 0 && len(c.sessions) > 0 {
				tally["ended"]++
				ends++
				clear(c.sessions)
			}
		case 5, 6, 7:
			up = append(up, s.Outgoing(time.Duration(orders))...)
		case 8, 9:
			for n := r.IntN(4); len(up) > 0 && n > 0; n-- {
				down = append(down, c.apply(up[0]))
				up = up[1:]
			}
		default:
			n := r.IntN(len(down) + 1)
			events(s.Receive(down[:n], nil))
			down = down[n:]
		}
	}
	for range 300 {
		step()
	}
	// In the end all is answered.
	for range 20 {
		if !connected {
			connected = true
			s.Connected()
		}
		for _, cmd := range append(up, s.Outgoing(0)...) {
			down = append(down, c.apply(cmd))
		}
		events(s.Receive(down, nil))
		up, down = nil, nil
	}
	if len(pending) > 0 || s.Outstanding() != 0 {
		t.Errorf("%d calls were never answered; %d are outstanding", len(pending), s.Outstanding())
	}
	if unknowns > 0 && ends == 0 {
		t.Errorf("%d calls are unknown although no session has ended", unknowns)
	}
	for k, n := range c.ran {
		if n > 1 || never[k] {
			t.Errorf("%q was carried out %d times; certainly never: %v", k, n, never[k])
		}
	}
}
