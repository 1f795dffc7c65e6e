package drivertest

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
)

// seeds returns n seeds and says which.
func seeds(t *testing.T, n int) []uint64 {
	t.Helper()
	s := make([]uint64, n)
	for i := range s {
		s[i] = rand.Uint64()
	}
	t.Logf("seeds %d", s)
	return s
}

// A backend that keeps every rule passes every rule.
func TestGoodBackendPasses(t *testing.T) {
	for _, seed := range seeds(t, 3) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			defer w.end()
			h := w.harness(seed)
			for _, v := range Check(t.Context(), h) {
				t.Error(v)
			}
		})
	}
}
