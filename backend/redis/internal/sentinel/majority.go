package sentinel

import "time"

// majority is what most of the Sentinels say.
type majority struct {
	master string // where the master is
	epoch  uint64 // of the configuration that says so: the highest of those that name this master
}

// count finds what a majority says. A Sentinel counts once, however many addresses lead to it. The majority is of
// all Sentinels that the Sentinels count themselves, also of those that nobody can reach: it takes as many to
// allow a fail-over. least is how many there are at least, for those that do not know each other.
//
// Why a majority: another client uses a new master only when a majority has named it to that client. Each two
// majorities have a Sentinel in common. That takes another configuration only if it has a higher epoch than its
// own, and writes it to its disk. So if it names the old master now, it has not named the new one before, and the
// other client has not heard of the new one from it; or the old master has become the master again, with a higher
// epoch, which the answer has.
func count(answers []answer, least int) (m majority, total int, found bool) {
	byID := make(map[string]answer, len(answers))
	for _, a := range answers {
		if a.err != nil || a.master == "" {
			continue
		}
		// Two answers of one Sentinel: the later one has the higher epoch. If that is the same, so is the master.
		if was, twice := byID[a.id]; !twice || was.epoch < a.epoch {
			byID[a.id] = a
		}
	}
	total = max(least, len(byID))
	votes := make(map[string]int)
	epochs := make(map[string]uint64)
	for _, a := range byID {
		total = max(total, a.sentinels)
		votes[a.master]++
		epochs[a.master] = max(epochs[a.master], a.epoch)
	}
	for master, n := range votes {
		if n > total/2 {
			return majority{master, epochs[master]}, total, true
		}
	}
	return majority{}, total, false
}

// downAfter is the shortest time after which a Sentinel calls the master down; zero if none has told.
func downAfter(answers []answer) (least time.Duration) {
	for _, a := range answers {
		if a.downAfter > 0 && (least == 0 || a.downAfter < least) {
			least = a.downAfter
		}
	}
	return least
}
