package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
)

// damageEachByte flips each byte of a snapshot, and cuts it at each. Each must be noticed.
func damageEachByte(wrap func(disk.FS) disk.FS) (cases int, err error) {
	m := disk.NewMemory()
	if err := Save(m, testID, snapshotAt(7, strings.Repeat("state ", 200))); err != nil {
		return 0, err
	}
	f, err := m.Open(Name(7))
	if err != nil {
		return 0, err
	}
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	for off := range size {
		masks := []byte{1 << (off % 8), 0xff}
		if off < 80 {
			masks = []byte{1, 2, 4, 8, 16, 32, 64, 128, 0xff}
		}
		for _, mask := range append(masks, 0) {
			cases++
			c := m.Clone()
			if mask == 0 {
				c.Truncate(Name(7), off)
			} else {
				c.Damage(Name(7), off, mask)
			}
			if s, err := Load(wrap(c), testID); !errors.Is(err, ErrDamaged) {
				return cases, fmt.Errorf("byte %d, xor %02x: not noticed: %v, %w", off, mask, s, err)
			}
		}
	}
	return cases, nil
}

// crashInSave takes the power away before and after each call of Save. Either snapshot is
// whole then, and the new one if Save has returned.
func crashInSave(wrap func(disk.FS) disk.FS) (cases int, err error) {
	type powerGone struct{}
	old, young := snapshotAt(7, strings.Repeat("old ", 300)), snapshotAt(70, strings.Repeat("young ", 300))
	for k, saved := 1, false; !saved; k++ {
		m := disk.NewMemory()
		if err := Save(wrap(m), testID, old); err != nil {
			return cases, err
		}
		m.Crash(rand.New(rand.NewPCG(1, uint64(k))))
		left := k
		m.Hook(func(disk.Call) (time.Duration, error) {
			if left--; left == 0 {
				panic(powerGone{})
			}
			return 0, nil
		})
		err := func() error {
			defer func() {
				if r := recover(); r != nil && r != (powerGone{}) {
					panic(r)
				}
			}()
			err := Save(wrap(m), testID, young)
			saved = err == nil
			return err
		}()
		if err != nil {
			return cases, err
		}
		n := m.Unsynced()
		for set := range min(1<<n, 1<<8) {
			cases++
			c := m.Clone()
			c.CrashKeeping(func(i int) bool { return set>>i&1 == 1 })
			got, err := Load(wrap(c), testID)
			if err != nil {
				return cases, fmt.Errorf("call %d, set %b: %w", k, set, err)
			}
			if !proto.Equal(got, young) && (saved || !proto.Equal(got, old)) {
				return cases, fmt.Errorf("call %d, set %b: found %v", k, set, got)
			}
			// What the crash has left is no obstacle to another.
			if err := Save(wrap(c), testID, young); err != nil {
				return cases, fmt.Errorf("call %d, set %b: %w", k, set, err)
			}
		}
	}
	return cases, nil
}

func plain(fs disk.FS) disk.FS { return fs }

func TestEachByteDamaged(t *testing.T) {
	cases, err := damageEachByte(plain)
	t.Logf("%d cases", cases)
	if err != nil {
		t.Error(err)
	}
}

func TestCrashInSave(t *testing.T) {
	cases, err := crashInSave(plain)
	t.Logf("%d cases", cases)
	if err != nil {
		t.Error(err)
	}
}

// The mutants: disks on which a snapshot behaves as if Save or Load had left something out.

type unsynced struct{ disk.FS }

func (u unsynced) Create(name string, size int64) (disk.File, error) {
	f, err := u.FS.Create(name, size)
	return deaf{f}, err
}

type deaf struct{ disk.File }

func (deaf) Sync() error { return nil }

type unnamed struct{ disk.FS }

func (unnamed) SyncDir() error { return nil }

// tidy removes what is there before the new one has its name.
type tidy struct{ disk.FS }

func (t tidy) Rename(from, to string) error {
	names, err := t.List()
	for _, name := range names {
		if err == nil && isSnapshot(name) {
			err = t.Remove(name)
		}
	}
	return errors.Join(err, t.FS.Rename(from, to))
}

// lenient passes over snapshots that cannot be read.
type lenient struct{ disk.FS }

func (l lenient) List() (good []string, err error) {
	names, err := l.FS.List()
	for _, name := range names {
		if b, err := read(l.FS, name); err == nil {
			if _, err := decode(b, name, testID); err == nil {
				good = append(good, name)
			}
		}
	}
	return good, err
}

// unsummed makes the checksum right.
type unsummed struct{ disk.FS }

func (u unsummed) Open(name string) (disk.File, error) {
	f, err := u.FS.Open(name)
	return mending{f}, err
}

type mending struct{ disk.File }

func (m mending) ReadAt(p []byte, off int64) (int, error) {
	n, err := m.File.ReadAt(p, off)
	if n > atNames {
		binary.LittleEndian.PutUint32(p[atSum:], sum(p[:n]))
	}
	return n, err
}

func TestMutantsAreCaught(t *testing.T) {
	for name, m := range map[string]struct {
		check func(func(disk.FS) disk.FS) (int, error)
		wrap  func(disk.FS) disk.FS
	}{
		"names a file before the sync": {crashInSave, func(fs disk.FS) disk.FS { return unsynced{fs} }},
		"does not sync names":          {crashInSave, func(fs disk.FS) disk.FS { return unnamed{fs} }},
		"removes the old one first":    {crashInSave, func(fs disk.FS) disk.FS { return tidy{fs} }},
		"passes over damage":           {damageEachByte, func(fs disk.FS) disk.FS { return lenient{fs} }},
		"does not check the sum":       {damageEachByte, func(fs disk.FS) disk.FS { return unsummed{fs} }},
	} {
		t.Run(name, func(t *testing.T) {
			cases, err := m.check(m.wrap)
			if err == nil {
				t.Fatalf("not caught in %d cases", cases)
			}
			t.Logf("caught in case %d: %.200v", cases, err)
		})
	}
}
