package sim

import (
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/model"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/script"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
)

// mutation are ways to be wrong, for the simulation. Nothing of the code that runs in production knows of them: they
// are around it, between the recipe and its nodes. The functions are called with the world's mutex held.
type mutation struct {
	// node is what a wrong node makes of a request.
	node func(h *host, r wire.Request) (any, []model.Told)
	// request changes what a wrong client sends, or has an answer without sending it.
	request func(l *link, r wire.Request) (wire.Request, any)
	// reply changes what it hears.
	reply func(l *link, r wire.Request, reply any) any

	noDelay      bool                 // a node without its data answers at once
	earlyRead    bool                 // the counters that it gets are those of when it went down
	countersLost map[restartKind]bool // it gets none
	anyBoot      bool                 // nodes answer requests that are for another boot, or another list
}

// uncheckedWriteBack raises the counter also where another has the key.
func uncheckedWriteBack(h *host, r wire.Request) (any, []model.Told) {
	if w, ok := r.(wire.WriteBack); ok {
		h.node.Raise(script.Shard(w.Key), w.Token)
		return wire.Reply{Outcome: wire.Done}, nil
	}
	return h.node.Do(h.now(), r)
}

// acquiringRenewal takes a key that nobody has.
func acquiringRenewal(h *host, r wire.Request) (any, []model.Told) {
	reply, told := h.node.Do(h.now(), r)
	if renew, ok := r.(wire.Renew); ok {
		for i, l := range renew.Leases {
			if reply := reply.(wire.RenewReply); reply.Outcomes[i] == wire.None {
				h.node.Do(h.now(), wire.Repair{Lease: l, Channel: "-"})
				reply.Outcomes[i] = wire.Done
			}
		}
	}
	return reply, told
}

// endsAnyTry ends higher tries of the attempt, too.
func endsAnyTry(h *host, r wire.Request) (any, []model.Told) {
	if e, ok := r.(wire.End); ok && e.KeepOut == 0 {
		e.ID.Try = 1<<53 - 1
		r = e
	}
	return h.node.Do(h.now(), r)
}

// endsEarly has leases shorter than it was told.
func endsEarly(h *host, r wire.Request) (any, []model.Told) {
	if t, ok := r.(wire.Take); ok {
		t.TTL -= t.TTL / 10
		r = t
	}
	return h.node.Do(h.now(), r)
}

// noWriteBack takes it for done.
func noWriteBack(_ *link, r wire.Request) (wire.Request, any) {
	if _, ok := r.(wire.WriteBack); ok {
		return nil, wire.Reply{Outcome: wire.Done}
	}
	return r, nil
}

// sameTry gives all tries of an attempt one number.
func sameTry(_ *link, r wire.Request) (wire.Request, any) {
	switch r := r.(type) {
	case wire.Take:
		r.ID.Try = 1
		return r, nil
	case wire.WriteBack:
		r.ID.Try = 1
		return r, nil
	case wire.Renew:
		leases := append([]wire.Lease(nil), r.Leases...)
		for i := range leases {
			leases[i].ID.Try = 1
		}
		return wire.Renew{Leases: leases}, nil
	case wire.Repair:
		r.ID.Try = 1
		return r, nil
	case wire.End:
		r.ID.Try = 1
		return r, nil
	}
	return r, nil
}

// unreleased leaves what was held until it expires.
func unreleased(_ *link, r wire.Request) (wire.Request, any) {
	if e, ok := r.(wire.End); ok && !e.Failed {
		return nil, wire.Reply{Outcome: wire.Done}
	}
	return r, nil
}

// noKeepOut lets late packets in.
func noKeepOut(_ *link, r wire.Request) (wire.Request, any) {
	if e, ok := r.(wire.End); ok {
		e.KeepOut = 0
		return e, nil
	}
	return r, nil
}

// scansOneNode takes the keys of one node for all.
func scansOneNode(l *link, r wire.Request) (wire.Request, any) {
	if _, ok := r.(wire.Scan); ok && l.host.n > 0 {
		return nil, wire.ScanReply{}
	}
	return r, nil
}

// repairCounts has a repair count in the renewal that it follows: where one node has the lease, those that lack it are
// repaired, and said to have it.
func repairCounts() mutation {
	type renewal struct {
		attemptID string
		at        time.Time
	}
	has := map[renewal]bool{}
	return mutation{
		reply: func(l *link, r wire.Request, reply any) any {
			renew, ok := r.(wire.Renew)
			if !ok {
				return reply
			}
			outcomes := append([]wire.Outcome(nil), reply.(wire.RenewReply).Outcomes...)
			for i, lease := range renew.Leases {
				this := renewal{lease.ID.AttemptID, l.w.history.attempt(lease.ID.AttemptID).renewing}
				switch {
				case outcomes[i] == wire.Done:
					has[this] = true
				case outcomes[i] == wire.None && has[this] && l.host.certified && l.w.history.attempt(lease.ID.AttemptID).ended[l.host] == 0:
					repair := wire.Repair{Lease: lease, Channel: l.client.name}
					answer, _ := l.host.node.Do(l.host.now(), repair)
					l.w.history.carriedOut(l.host, repair, answer, time.Now())
					outcomes[i] = answer.(wire.Reply).Outcome
				}
			}
			return wire.RenewReply{Outcomes: outcomes}
		},
	}
}
