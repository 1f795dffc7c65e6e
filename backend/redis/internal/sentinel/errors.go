package sentinel

import (
	"context"
	"errors"
	"fmt"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
)

// background is for questions, which end by their own time, or with the connections.
var background = context.Background()

var (
	// errElsewhere: a majority names another server than the one that has answered.
	errElsewhere = errors.New("another server has become the master")

	// errNoSentinel: what answers does not know the command SENTINEL.
	errNoSentinel = fmt.Errorf("%w: it is no Sentinel", driver.ErrUnsupported)

	errNotInTime = fmt.Errorf("%w: the Sentinels were asked for the master", node.ErrNoAnswer)

	errNonsense = errors.New("it says what no Sentinel says")

	// errAnother: another Sentinel answers at an address than the one of which others have told.
	errAnother = errors.New("it is another Sentinel than the others say")
)

// isUnknownMaster reports whether a Sentinel says that it watches no master of this name.
func isUnknownMaster(err error) bool { return goredis.HasErrorPrefix(err, "No such master") }

// isUnknownSentinel reports whether a server says that it does not know the command SENTINEL.
func isUnknownSentinel(err error) bool {
	return node.IsUnknownCommand(err) && !goredis.HasErrorPrefix(err, "NOPERM ")
}

// elsewhere is the error of an answer that came from addr, while now is what the Sentinels say; it is raw, see node.Classify.
func elsewhere(addr string, now *word) error {
	switch {
	case now == nil:
		return fmt.Errorf("%w than %s, perhaps: no majority of the Sentinels has named one", errElsewhere, addr)
	case addr == now.master:
		return fmt.Errorf("%w meanwhile, and now it is %s again", errElsewhere, addr)
	}
	return fmt.Errorf("%w: the Sentinels name %s, and no longer %s", errElsewhere, now.master, addr)
}

// undecided is the error of a round in which no majority has named a master: what was said, and by whom. It is raw.
func (r *round) undecided() error {
	answered, said := 0, make([]string, 0, len(r.answers))
	for _, a := range r.answers {
		switch {
		case a.err != nil:
			said = append(said, a.from+": "+plain(a.err))
			continue
		case a.master == "":
			said = append(said, a.from+" watches no such master")
		default:
			said = append(said, a.from+" names "+a.master)
		}
		answered++
	}
	return fmt.Errorf("no majority of the %d Sentinels names a master; %d of them answered (%s)", r.total, answered, strings.Join(said, "; "))
}

// plain is the text of an error inside one that says its kind.
func plain(err error) string {
	return strings.ReplaceAll(err.Error(), driver.ErrUnavailable.Error()+": ", "")
}
