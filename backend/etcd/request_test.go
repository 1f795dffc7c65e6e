package etcd

import (
	"fmt"
	"slices"
	"testing"
)

func TestBatchTakesEachLockOnce(t *testing.T) {
	q := &batch{maxTxns: maxBatch}
	add := func(keys ...string) {
		for _, key := range keys {
			q.waiting = append(q.waiting, &pendingTxn{key: key})
		}
	}
	take := func() (keys []string) {
		for _, p := range q.take() {
			keys = append(keys, p.key)
		}
		return keys
	}
	add("a", "b", "a", "c", "b", "a")
	for _, want := range [][]string{{"a", "b", "c"}, {"a", "b"}, {"a"}, nil} {
		if got := take(); !slices.Equal(got, want) {
			t.Errorf("took %v, want %v", got, want)
		}
	}
	var all []string
	for i := range maxBatch + 2 {
		all = append(all, fmt.Sprint(i))
	}
	add(all...)
	if got := take(); !slices.Equal(got, all[:maxBatch]) {
		t.Errorf("took %d parts, want the first %d in order", len(got), maxBatch)
	}
	add("0")
	if got, want := take(), append(all[maxBatch:], "0"); !slices.Equal(got, want) {
		t.Errorf("took %v, want %v", got, want)
	}
}
