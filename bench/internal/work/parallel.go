package work

import "sync"

// AtOnce is how much is done together: clients that are opened or closed, locks that are taken or freed.
// Where a server syncs its disk, most of that is waiting.
const AtOnce = 64

// InParallel runs f(0) … f(n-1), AtOnce at a time, and returns the first error.
func InParallel(n int, f func(i int) error) error {
	var (
		wg    sync.WaitGroup
		once  sync.Once
		first error
	)
	for g := range min(AtOnce, n) {
		wg.Go(func() {
			for i := g; i < n; i += AtOnce {
				if err := f(i); err != nil {
					once.Do(func() { first = err })
				}
			}
		})
	}
	wg.Wait()
	return first
}
