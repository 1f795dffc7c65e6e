package node

import (
	"errors"
	"strings"
	"testing"

	"github.com/fencelock/fencelock/driver"
)

// What is not allowed is named, with what to do about it.
func TestPermitted(t *testing.T) {
	all := []string{"-evalsha", "-time", "-subscribe", "-publish", "-get", "-set", "-del"}
	needed := Permissions{Keys: "~ns:*", Channels: "&ns:c:*", KeyCommands: 3}
	for _, tc := range []struct {
		refused []string
		want    []string // "" if it is content
		not     string
	}{
		{nil, nil, ""},
		{[]string{"-del", "-zrem"}, []string{"ACL SETUSER", "+del +zrem"}, "~"},
		{[]string{"-publish"}, []string{"+publish &ns:c:*"}, "~"},
		{[]string{"-subscribe"}, []string{"+subscribe &ns:c:*"}, "~"},
		{[]string{"?del", "-zrem"}, []string{"does not know del", "rename-command"}, "zrem"},
		{all, []string{"~ns:*", "&ns:c:*", "+del"}, "rename-command"},
	} {
		err := needed.judge(tc.refused)
		if (err == nil) != (tc.want == nil) {
			t.Errorf("%q: %v", tc.refused, err)
			continue
		}
		for _, w := range tc.want {
			if !errors.Is(err, driver.ErrRefused) || errors.Is(err, driver.ErrUnavailable) || !strings.Contains(err.Error(), w) || tc.not != "" && strings.Contains(err.Error(), tc.not) {
				t.Errorf("%q: %v; want a refusal that says %q, and not %q", tc.refused, err, w, tc.not)
			}
		}
	}
}
