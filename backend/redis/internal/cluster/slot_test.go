package cluster

import "testing"

// The slots are those of the Redis Cluster specification, and of a server (CLUSTER KEYSLOT).
func TestSlot(t *testing.T) {
	for key, want := range map[string]int{
		"123456789": 0x31c3, "foo": 12182, "": 0, "ns:{k}:l": 7629,
	} {
		if got := Slot(key); got != want {
			t.Errorf("Slot(%q) = %d, want %d", key, got, want)
		}
	}
	for key, tag := range map[string]string{
		"{user1000}.following": "user1000", "foo{{bar}}zap": "{bar", "foo{bar}{zap}": "bar", "ns:{a}b}:l": "a", "a}{b}c": "b",
	} {
		if Slot(key) != Slot(tag) {
			t.Errorf("%q is not in the slot of its tag %q", key, tag)
		}
	}
	for _, whole := range []string{"foo{}{bar}", "ns:{}x}:l", "foo{bar", "foo}bar{"} {
		other := whole + "x"
		if Slot(whole) == Slot(other) {
			t.Errorf("%q and %q are in one slot, and have no tag", whole, other)
		}
	}
}
