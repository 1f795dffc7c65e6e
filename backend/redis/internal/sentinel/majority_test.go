package sentinel

import (
	"errors"
	"testing"
)

func says(id, master string, epoch uint64, sentinels int) answer {
	return answer{from: id, id: id, master: master, epoch: epoch, sentinels: sentinels}
}

func TestCount(t *testing.T) {
	none := majority{}
	for name, tc := range map[string]struct {
		answers []answer
		least   int
		want    majority
		total   int
	}{
		"nobody":     {nil, 0, none, 0},
		"all":        {[]answer{says("1", "a", 1, 3), says("2", "a", 1, 3), says("3", "a", 1, 3)}, 3, majority{"a", 1}, 3},
		"two of 3":   {[]answer{says("1", "a", 1, 3), says("2", "a", 1, 3)}, 2, majority{"a", 1}, 3},
		"one of 3":   {[]answer{says("1", "a", 1, 3)}, 1, none, 3},
		"two of 4":   {[]answer{says("1", "a", 1, 4), says("2", "a", 1, 4)}, 2, none, 4},
		"split":      {[]answer{says("1", "a", 1, 3), says("2", "b", 2, 3)}, 2, none, 3},
		"outvoted":   {[]answer{says("1", "a", 1, 3), says("2", "b", 2, 3), says("3", "b", 2, 3)}, 3, majority{"b", 2}, 3},
		"twice":      {[]answer{says("1", "a", 1, 3), says("1", "a", 1, 3)}, 1, none, 3},
		"later":      {[]answer{says("1", "a", 1, 3), says("1", "b", 2, 3), says("2", "b", 2, 3)}, 2, majority{"b", 2}, 3},
		"later last": {[]answer{says("1", "b", 2, 3), says("1", "a", 1, 3), says("2", "b", 2, 3)}, 2, majority{"b", 2}, 3},
		"one counts more than the others": {
			[]answer{says("1", "a", 1, 3), says("2", "a", 1, 5)}, 2, none, 5,
		},
		"strangers to each other":       {[]answer{says("1", "a", 1, 1)}, 3, none, 3},
		"strangers, and all have heard": {[]answer{says("1", "a", 1, 1), says("2", "b", 1, 1), says("3", "a", 1, 1)}, 3, majority{"a", 1}, 3},
		"the highest epoch counts":      {[]answer{says("1", "a", 1, 3), says("2", "a", 7, 3), says("3", "b", 9, 3)}, 3, majority{"a", 7}, 3},
		"a failure is no vote":          {[]answer{says("1", "a", 1, 3), {from: "2", err: errors.New("x")}}, 1, none, 3},
		"no master is no vote":          {[]answer{says("1", "", 0, 0), says("2", "", 0, 0)}, 0, none, 0},
	} {
		got, total, found := count(tc.answers, tc.least)
		if got != tc.want || total != tc.total || found != (tc.want != none) {
			t.Errorf("%s: %v, %v of %d; want %v of %d", name, got, found, total, tc.want, tc.total)
		}
	}
}
