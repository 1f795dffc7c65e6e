package mem_test

import (
	"context"
	"fmt"
	"log"
	"sync"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/fencing"
)

// Biller is code of yours that uses locks: it charges each invoice once. It takes a Locker, so
// that a test can give it one.
type Biller struct {
	Locks  fencelock.Locker
	Ledger *Ledger

	// Pay takes its time. It tells the bank the invoice's number, so that a second payment of the
	// same is refused there: no lock can promise that none is sent.
	Pay func(ctx context.Context, invoice string) error
}

// Charge waits for its turn, and has nothing to do if another has charged meanwhile.
func (b *Biller) Charge(ctx context.Context, invoice string) error {
	return fencelock.Do(ctx, b.Locks, "invoices/"+invoice, func(ctx context.Context, lease *fencelock.Lease) error {
		if b.Ledger.Charged(invoice) {
			return nil
		}
		if err := b.Pay(ctx, invoice); err != nil {
			return err
		}
		return b.Ledger.Record(lease.Token(), invoice)
	})
}

// Ledger stands for a table. It refuses a record of a holder that comes too late.
type Ledger struct {
	gate    fencing.Gate
	mu      sync.Mutex
	charged map[string]int
}

// Record notes that an invoice was charged.
func (l *Ledger) Record(token fencing.Token, invoice string) error {
	return l.gate.Do(invoice, token, func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.charged == nil {
			l.charged = make(map[string]int)
		}
		l.charged[invoice]++
		return nil
	})
}

// Charged tells whether it was.
func (l *Ledger) Charged(invoice string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.charged[invoice] > 0
}

// Code that takes a Locker needs no server in a test. For tests in virtual time of what happens
// to such code (it waits, its lease is lost, it comes too late) see docs/testing-your-code.md.
func Example_yourCode() {
	locker, err := fencelock.New(mem.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	var payments int
	biller := &Biller{Locks: locker, Ledger: new(Ledger), Pay: func(context.Context, string) error {
		payments++
		return nil
	}}
	for range 2 {
		if err := biller.Charge(context.Background(), "42"); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("payments:", payments)
	// Output: payments: 1
}
