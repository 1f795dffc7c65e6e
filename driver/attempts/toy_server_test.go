package attempts

import "slices"

// exchange is a request and its answer.
type exchange struct {
	makes    *creation // what it may make; nil if it makes nothing
	serve    func() answer
	heard    func(answer answer, ok bool)
	answer   *answer
	timedOut bool
}

type creation struct {
	id             ID
	session, epoch int
}

type answer struct {
	number         int // of the claim
	first          bool
	refused        bool // the epoch or the session was another
	session, epoch int
}

type claim struct {
	id            ID
	number, epoch int
	others        bool // another client's
}

// The network.

func (w *world) send(makes *creation, serve func() answer, heard func(answer, bool)) *exchange {
	x := &exchange{makes: makes, serve: serve, heard: heard}
	w.net = append(w.net, x)
	return x
}

func (x *exchange) timeOut() {
	if !x.timedOut {
		x.timedOut = true
		x.heard(answer{}, false)
	}
}

// move lets one thing happen to an exchange: it arrives, its answer does, one of them is lost, or whoever waits for it
// gives up. A request arrives once.
func (w *world) move(x *exchange, what int) {
	switch {
	case what == 0 && x.answer == nil: // the request is lost, which nobody notices
		x.answer, x.makes = &answer{}, nil
		x.timeOut()
	case what <= 1:
		x.timeOut()
	case x.answer == nil:
		ans := x.serve()
		x.answer = &ans
	case !x.timedOut:
		x.timedOut = true
		x.heard(*x.answer, true)
	}
	if x.answer != nil && x.timedOut {
		w.net = slices.DeleteFunc(w.net, func(other *exchange) bool { return other == x })
	}
}

// The server.

func (w *world) serveCreate(m creation, wait bool) answer {
	s := &w.server
	ans := answer{session: s.session, epoch: s.epoch}
	if m.session != s.session || m.epoch != s.epoch {
		ans.refused = true
		return ans
	}
	queue := s.queues[m.id.Key]
	i := slices.IndexFunc(queue, func(c claim) bool { return c.id == m.id })
	if i < 0 && (wait || len(queue) == 0 || w.rnd.IntN(3) == 0) {
		i = len(queue)
		s.numbers++
		queue = append(queue, claim{id: m.id, number: s.numbers, epoch: s.epoch})
		s.queues[m.id.Key] = queue
	}
	if i >= 0 {
		ans.number, ans.first = queue[i].number, i == 0
	}
	return ans
}

func (w *world) holds(key string, number int) bool {
	queue := w.server.queues[key]
	return len(queue) > 0 && queue[0].number == number
}

func (w *world) drop(key string, which func(claim) bool) (dropped []claim) {
	w.server.queues[key] = slices.DeleteFunc(w.server.queues[key], func(c claim) bool {
		if which(c) {
			dropped = append(dropped, c)
			return true
		}
		return false
	})
	return dropped
}

// evict is what an operator does; the client hears of it, in time or not.
func (w *world) evict(key string) {
	for _, c := range w.drop(key, func(c claim) bool { return w.holds(key, c.number) }) {
		if !c.others {
			w.send(nil, func() answer { return answer{} }, func(_ answer, ok bool) {
				if a := w.Find(c.id); ok && a != nil {
					w.claimGone(a, c.number)
				}
			})
		}
	}
}

func (w *world) endSession() {
	s := &w.server
	s.session++
	for key := range s.queues {
		w.drop(key, func(c claim) bool { return !c.others })
	}
	next := s.session
	w.send(nil, func() answer { return answer{} }, func(_ answer, ok bool) {
		if ok {
			w.sessionGone(next)
		}
	})
}

func (w *world) other(key string) {
	if others := w.drop(key, func(c claim) bool { return c.others }); len(others) > 0 {
		return
	}
	w.server.numbers++
	w.server.queues[key] = append(w.server.queues[key], claim{number: w.server.numbers, others: true})
}
