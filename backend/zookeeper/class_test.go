package zookeeper

import (
	"testing"
	"time"
)

func TestClassOf(t *testing.T) {
	for ttl, want := range map[time.Duration]time.Duration{
		time.Second:             time.Second,
		time.Second + 1:         2 * time.Second,
		15 * time.Second:        15 * time.Second,
		16 * time.Second:        16 * time.Second,
		16*time.Second + 1:      18 * time.Second,
		31 * time.Second:        32 * time.Second,
		33 * time.Second:        36 * time.Second,
		time.Minute:             60 * time.Second,
		time.Hour:               3840 * time.Second,
		1500 * time.Millisecond: 2 * time.Second,
	} {
		if got := classOf(ttl); got != want {
			t.Errorf("classOf(%v) = %v, want %v", ttl, got, want)
		}
	}
}

// Every TTL up to the longest has a class that the server grants, no shorter than the
// TTL, no longer than an eighth more; and there are few.
func TestClassesFit(t *testing.T) {
	for timeout := 2 * time.Second; timeout < 3*time.Hour; timeout += 777 * time.Millisecond {
		if longest := longestClass(timeout); classOf(longest) != longest || longest+relayLag > timeout {
			t.Fatalf("longestClass(%v) = %v, whose class is %v", timeout, longest, classOf(longest))
		}
	}
	classes := make(map[time.Duration]bool)
	for ttl := minTTL; ttl <= maxTTL; ttl += 333 * time.Millisecond {
		c := classOf(ttl)
		if c < ttl || c > ttl+max(time.Second, ttl/8) || classOf(c) != c {
			t.Fatalf("classOf(%v) = %v", ttl, c)
		}
		classes[c] = true
	}
	if len(classes) > 15+8*13 {
		t.Errorf("there are %d classes", len(classes))
	}
	if got := longestClass(1000 * time.Hour); got > maxTTL || got < maxTTL*7/8 {
		t.Errorf("the longest TTL is %v", got)
	}
}
