package clusterbench

import "testing"

func TestSlot(t *testing.T) {
	for key, want := range map[string]int{
		"123456789":        12739, // of the specification
		"foo":              12182,
		"{foo}.bar":        12182,
		"bench:{foo}:l":    12182,
		"{}foo":            int(crc16("{}foo")) % slots, // an empty tag is none
		"a{foo":            int(crc16("a{foo")) % slots,
		"bench:{a{b}c}:l}": int(crc16("a{b")) % slots,
	} {
		if got := slot(key); got != want {
			t.Errorf("slot(%q) = %d, want %d", key, got, want)
		}
	}
}
