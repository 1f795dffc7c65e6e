package latewrite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/fencing"
)

// report is what a worker tells the stage.
type report struct {
	Who      string
	Say      string
	Granted  fencing.Token // 0: it is not about a grant
	ValidFor time.Duration // of a grant, at least
	Released fencing.Token
	Ready    bool // to be suspended, if it is its turn
}

// reporter tells the stage. Whatever a worker does next, it does when the stage has heard:
// so a release is heard before the next worker can have the lock.
type reporter struct{ who, url string }

func (r reporter) tell(what report) (status int) {
	what.Who = r.who
	body, err := json.Marshal(what)
	if err != nil {
		panic(err) // there is nothing in a report that could not be written
	}
	answer, err := http.Post(r.url, "application/json", bytes.NewReader(body))
	if err != nil {
		return 0 // the stage is gone, and this process is about to end
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

func (r reporter) say(format string, args ...any) { r.tell(report{Say: fmt.Sprintf(format, args...)}) }

func (r reporter) granted(l *fencelock.Lease) {
	r.tell(report{Granted: l.Token(), ValidFor: time.Until(l.ValidUntil())})
}

func (r reporter) released(l *fencelock.Lease) { r.tell(report{Released: l.Token()}) }

// suspends asks whether this worker is the one that is suspended now.
func (r reporter) suspends() bool { return r.tell(report{Ready: true}) == http.StatusAccepted }

// ServeHTTP hears a report.
func (s *scene) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var what report
	if json.NewDecoder(r.Body).Decode(&what) != nil {
		return // cut off by the end of its process
	}
	switch {
	case what.Granted != 0:
		s.checker.granted(what.Granted, time.Now().Add(what.ValidFor))
	case what.Released != 0:
		s.checker.released(what.Released)
	case what.Ready:
		if s.asked.Add(1) == suspended {
			close(s.ready[what.Who])
			w.WriteHeader(http.StatusAccepted)
		}
	default:
		s.say(what.Who, "%s", what.Say)
	}
}
