package command

import (
	"encoding/binary"
	"time"
)

// What stands in the second byte of a reply, after its Code.
const (
	hasNumber = 1 << iota
	hasToken
	hasStanding // of claims
	hasStatus
	isHeld
	hasLocks // of ListHeld; only who sends that reads it
)

// AppendReply appends an encoded reply.
func AppendReply(dst []byte, r *Reply) []byte {
	at := len(dst)
	dst = append(dst, byte(r.Code), 0)
	var has byte
	if r.Number != 0 {
		has |= hasNumber
		dst = binary.AppendUvarint(dst, r.Number)
	}
	if r.Token != 0 {
		has |= hasToken
		dst = binary.AppendUvarint(dst, r.Token)
	}
	if len(r.Claims) > 0 {
		has |= hasStanding
		dst = binary.AppendUvarint(dst, uint64(len(r.Claims)))
		for i := range r.Claims {
			dst = AppendClaim(dst, &r.Claims[i])
		}
	}
	if r.Status != (Status{}) {
		has |= hasStatus
		if r.Status.Held {
			has |= isHeld
		}
		dst = appendStatus(dst, &r.Status)
	}
	if len(r.Locks) > 0 {
		has |= hasLocks
		dst = binary.AppendUvarint(dst, uint64(len(r.Locks)))
		for i := range r.Locks {
			dst = appendLock(dst, &r.Locks[i])
		}
	}
	dst[at+1] = has
	return dst
}

func appendLock(dst []byte, l *Lock) []byte {
	dst = AppendString(AppendString(AppendString(dst, l.Key), l.AttemptID), l.Meta)
	dst = binary.AppendUvarint(dst, l.Token)
	return binary.AppendUvarint(dst, uint64(l.Left)) //nolint:gosec // comes back as it was
}

// AppendClaim appends how a claim stands.
func AppendClaim(dst []byte, c *Claim) []byte {
	dst = binary.AppendUvarint(dst, c.Number)
	return binary.AppendUvarint(append(dst, byte(c.Code)), c.Token)
}

func appendStatus(dst []byte, s *Status) []byte {
	dst = AppendString(AppendString(dst, s.AttemptID), s.Meta)
	dst = binary.AppendUvarint(dst, s.Token)
	dst = binary.AppendUvarint(dst, uint64(s.Left))            //nolint:gosec // comes back as it was
	return binary.AppendUvarint(dst, uint64(int64(s.Waiters))) //nolint:gosec // comes back as it was
}

// leastClaim and leastLock are the fewest bytes of a claim and of a lock.
const (
	leastClaim = 3
	leastLock  = 5
)

// Reply decodes a reply.
func (f *Fields) Reply() Reply {
	r := Reply{Code: Code(f.Octet())}
	has := f.Octet()
	if has&hasNumber != 0 {
		r.Number = f.positive()
	}
	if has&hasToken != 0 {
		r.Token = f.positive()
	}
	if has&hasStanding != 0 {
		n := f.Count(leastClaim)
		if n == 0 {
			f.Fail()
			return r
		}
		r.Claims = make([]Claim, n)
		for i := range r.Claims {
			r.Claims[i] = f.Claim()
		}
	}
	if has&hasStatus != 0 {
		r.Status = Status{
			Held: has&isHeld != 0, AttemptID: f.String(), Meta: f.String(), Token: f.Number(),
			Left: time.Duration(f.Number()), Waiters: int(int64(f.Number())), //nolint:gosec // as they were
		}
	}
	if has&hasLocks != 0 {
		n := f.Count(leastLock)
		if n == 0 {
			f.Fail()
			return r
		}
		r.Locks = make([]Lock, n)
		for i := range r.Locks {
			r.Locks[i] = Lock{f.String(), f.String(), f.String(), f.Number(), time.Duration(f.Number())} //nolint:gosec // as it was
		}
	}
	if has&hasStatus != 0 == (r.Status == Status{}) || has&hasStatus == 0 && has&isHeld != 0 || has >= hasLocks<<1 {
		f.Fail()
	}
	return r
}

// Claim decodes how a claim stands.
func (f *Fields) Claim() Claim {
	return Claim{Number: f.Number(), Code: Code(f.Octet()), Token: f.Number()}
}

// positive returns a number that is not zero: zero takes no room.
func (f *Fields) positive() uint64 {
	v := f.Number()
	if v == 0 {
		f.Fail()
	}
	return v
}
