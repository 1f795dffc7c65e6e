package etcd

import "time"

// recent is the greatest age of a look by which a claim may be granted. A look that is
// older says too little of whether our own key is still there.
const recent = 500 * time.Millisecond

// watched is how many of the older claims are watched: the next one, since it is the
// one that hands the lock on; and the one before that, since its end tells that the
// next one may hold the lock now, in time to find out before it lets go.
const watched = 2

// older is a claim that stands before ours.
type older struct {
	name     string
	revision int64 // that created it
}

// ahead is who stands before a claim, as far as we know: the nearest ones, nearest
// first, as the last look saw them, without those of whose deletion we were told since.
type ahead struct {
	claims []older
	more   bool      // there were more than these
	looked time.Time // just before the look was sent
}

// told takes in that a name was deleted, at a revision, and reports whether that was
// one of those ahead.
//
// Names are used again, and a member that is behind tells of the past: the deletion of
// an earlier claim of that name says nothing. One after the creation of the claim that
// we saw was of that claim, for a name is one claim's at a time.
func (a *ahead) told(name string, revision int64) bool {
	for i, o := range a.claims {
		if o.name == name && revision > o.revision {
			a.claims = append(a.claims[:i:i], a.claims[i+1:]...)
			return true
		}
	}
	return false
}

// none reports whether nobody stands before the claim any more, so that it holds the
// lock, without another look.
//
// The last look saw all claims older than ours, or said that there were more. Since
// then none can have come, as revisions rise; and we were told of the deletion of each.
// So it does not matter in which order what told us arrived, or how old the look is.
// Its age matters to our own claim, which the look saw, too. Its lease is looked after
// by time, see grant. But somebody may have deleted its key by hand: that is found out
// by the next look, or renewal, and this bounds how long it can have been.
func (a *ahead) none(now time.Time, ttl time.Duration) bool {
	return len(a.claims) == 0 && !a.more && now.Sub(a.looked) < min(recent, ttl/12)
}
