package attempts

import (
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
)

type own struct {
	Attempt
	x int
}

func BenchmarkLedger(b *testing.B) {
	var l Ledger[*own]
	b.ReportAllocs()
	now := time.Now()
	lost := func(error) {}
	for b.Loop() {
		a, err := l.Enter(driver.Request{Key: "k", AttemptID: "a", TTL: time.Second, Lost: lost}, &own{x: 1})
		if err != nil {
			b.Fatal(err)
		}
		g, err := l.Grant(a, 1, now, time.Second)
		if err != nil {
			b.Fatal(err)
		}
		l.Leave(a, now)
		l.Extend(a, now.Add(time.Hour))
		if r, late := l.Release(g); r != a || late {
			b.Fatal(r, late)
		}
		if l.Forget(a) != nil {
			b.Fatal()
		}
	}
}
