package cluster_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// permissions are those of the package comment, but for +asking.
const permissions = "-@all +ping +info +script|load +evalsha +eval +subscribe +publish +time +get +mget +set +del +type +pttl +pexpire " +
	"+hset +hget +hmget +hdel +hlen +cluster|nodes +cluster|slots"

// TestPermissions: a user with the permissions that are documented locks a key whose slot is on its way to another
// node. Without +asking, which only such a lock needs, Open says so.
func TestPermissions(t *testing.T) {
	t.Parallel()
	w := startMasters(t, 2)
	for i := range w.Nodes {
		for user, more := range map[string]string{"allowed": " +asking", "lacking": ""} {
			words := fmt.Sprintf("ACL SETUSER %s on >secret resetkeys ~%s:* resetchannels &%s:c:* %s%s", user, w.ns, w.ns, permissions, more)
			w.do(t, &w.Nodes[i], anys(words)...)
		}
	}
	slot := w.slot(t, "moves")
	from, to := &w.Nodes[0], &w.Nodes[1]
	if slot >= slots/2 {
		from, to = to, from
	}
	w.do(t, to, "CLUSTER", "SETSLOT", slot, "IMPORTING", from.ID)
	w.do(t, from, "CLUSTER", "SETSLOT", slot, "MIGRATING", to.ID)

	url := func(user string) string {
		return strings.Replace(w.url(), "://", "://"+user+":secret@", 1) + "?namespace=" + w.ns
	}
	_, err := fencelock.Open(t.Context(), url("lacking"), &fencelock.Options{Logger: locktest.Silent})
	if !errors.Is(err, fencelock.ErrRefused) || !strings.Contains(err.Error(), "… +asking") {
		t.Errorf("Open without +asking: %v", err)
	}
	c, err := fencelock.Open(t.Context(), url("allowed"), &fencelock.Options{Logger: locktest.Silent})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	lease, err := c.Lock(t.Context(), "moves")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := w.plain[to].ClusterCountKeysInSlot(t.Context(), slot).Result(); n != 1 || err != nil {
		t.Errorf("%d locks where the slot goes to, %v: nothing was tested", n, err)
	}
	if err := lease.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
}

// anys are the words of a command.
func anys(words string) (all []any) {
	for word := range strings.FieldsSeq(words) {
		all = append(all, word)
	}
	return all
}

// TestOpenElsewhere: the URL leads to a server that is no node of a Cluster.
func TestOpenElsewhere(t *testing.T) {
	t.Parallel()
	s := servers.Start(t, servers.RedisKind(t))
	_, err := fencelock.Open(t.Context(), "redis+cluster://"+s.Addr(), &fencelock.Options{Logger: locktest.Silent})
	if !errors.Is(err, fencelock.ErrUnsupported) || errors.Is(err, fencelock.ErrUnavailable) || !strings.Contains(err.Error(), "redis://") {
		t.Errorf("Open: %v", err)
	}
}
