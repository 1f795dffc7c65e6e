package proxy

import "slices"

// strike lets a fault happen where its message begins.
func (l *lane) strike(p parcel, v verdict) parcel {
	p.ends = v.fault
	for i, w := range l.waiting {
		if w.begins != nil && w.begins == v.chosen && w.fault == nil {
			l.waiting[i].fault = v.fault
			return p
		}
	}
	p.fault = v.fault
	return p
}

// maxWaiting is less than a sender may send before its receiver makes room, which
// that does when it has got something: waiting for more could last for ever.
const maxWaiting = 16 << 10

// ready takes from what is waiting all before the first request that is not complete.
func (l *lane) ready() []parcel {
	size := 0
	for _, p := range l.waiting {
		size += len(p.bytes)
	}
	n := len(l.waiting)
	if l.framer != nil && size <= maxWaiting {
		if i := slices.IndexFunc(l.waiting, func(p parcel) bool { return p.begins != nil && !p.begins.decided }); i >= 0 {
			n = i
		}
	}
	ready := l.waiting[:n:n]
	l.waiting = l.waiting[n:]
	return ready
}
