package fleet

import (
	"fmt"
	"strconv"
	"strings"
)

// record is the certificate of a node, for one process of its server: that this process may answer for
// this identity in this edition of the list. Each script compares it first with what its client expects, and
// does nothing where they differ. So an emptied node, one of another list, one that has been moved to a
// newer list, and one that has been restarted since answer nothing, to no client, however late a packet
// comes.
type record struct {
	list     string // List.ID
	edition  string
	identity string
	count    uint64 // of certifications: a node with a lower one than before has old data
	run      string // run_id of the process; "-" if none was certified yet
}

// noRun: nobody has certified a process of the node yet, and none has ever answered.
const noRun = "-"

func (r record) String() string {
	if r == (record{}) {
		return ""
	}
	return fmt.Sprintf("%s %s %s %d %s", r.list, r.edition, r.identity, r.count, r.run)
}

// parseRecord reads what a node keeps; zero where it keeps nothing.
func parseRecord(text string) (r record, err error) {
	if text == "" {
		return r, nil
	}
	words := strings.Split(text, " ")
	if len(words) != 5 {
		return r, fmt.Errorf("its record %q is not one of this version of fencelock", text)
	}
	r = record{list: words[0], edition: words[1], identity: words[2], run: words[4]}
	if r.count, err = strconv.ParseUint(words[3], 10, 64); err != nil {
		return r, fmt.Errorf("its record %q is not one of this version of fencelock", text)
	}
	return r, nil
}

// next is the record that certifies a process.
func (r record) next(l *List, identity, run string) record {
	return record{list: l.ID, edition: l.edition(), identity: identity, count: r.count + 1, run: run}
}
