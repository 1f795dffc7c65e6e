package wal_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

// written is a log with frames of 1 to 3 blocks; the last segment holds the last three,
// and 6 blocks that are not used.
func written(w wrap) (*disk.Memory, state, error) {
	m := disk.NewMemory()
	fs := w(m)
	if err := wal.CreateSized(fs, testID, 13*512); err != nil {
		return nil, state{}, err
	}
	acked, _, err := live(fs, []step{
		opens(),
		appends(hardState(1, 1, 0), entry(1, 1, dataFor(3))),
		appends(nil, entry(2, 1, dataFor(5))),
		appends(nil, entry(3, 1, dataFor(4))), // to the end
		appends(hardState(1, 1, 3), entry(4, 1, dataFor(1))),
		appends(nil, entry(5, 1, dataFor(3))),
		appends(hardState(2, 0, 4), entry(5, 2, 100), entry(6, 2, 500)),
		prepares(),
	})
	acked.created = true
	return m, acked, err
}

// refusedOr fails if the log opens and is not what was written.
func refusedOr(m *disk.Memory, w wrap, acked state) (refused bool, err error) {
	found, log, err := look(w(m), acked, acked)
	if err == nil {
		_ = found
		return false, log.Close()
	}
	if errors.Is(err, wal.ErrDamaged) {
		return true, nil
	}
	return false, err
}

// flipEachByte damages each byte of the preludes and of the last three frames, and some of
// the rest: each bit alone where they steer, some patterns where there is data.
func flipEachByte(w wrap, seed uint64) (cases int, err error) {
	m, acked, err := written(w)
	if err != nil {
		return 0, err
	}
	rng := rand.New(rand.NewPCG(seed, 4))
	for number := uint64(1); number <= 3; number++ {
		for off := int64(0); off < 13*512; off++ {
			masks := []byte{1 << rng.IntN(8), 0xff}
			at := off % 512
			switch block := off / 512; {
			case block == 0 && number == 2, block == 0 && at < 64, at < 24:
				masks = []byte{1, 2, 4, 8, 16, 32, 64, 128, 0xff}
			case number != 2 || block > 7:
				if off%17 != 0 {
					continue
				}
			}
			for _, mask := range masks {
				cases++
				c := m.Clone()
				c.Damage(wal.SegmentName(number), off, mask)
				refused, err := refusedOr(c, w, acked)
				if err == nil && !refused {
					err = errors.New("nothing has been noticed")
				}
				if err != nil {
					return cases, fmt.Errorf("segment %d, byte %d, xor %02x: %w", number, off, mask, err)
				}
			}
		}
	}
	return cases, nil
}

// damageMore damages several bytes, or blocks with zeros, where something follows that was
// acknowledged.
func damageMore(w wrap, seed uint64) (cases int, err error) {
	m, acked, err := written(w)
	if err != nil {
		return 0, err
	}
	rng := rand.New(rand.NewPCG(seed, 5))
	segment := make([]byte, 13*512)
	for range 3000 {
		cases++
		c := m.Clone()
		number := 1 + rng.Uint64N(2)
		name := wal.SegmentName(number)
		f, err := c.Open(name)
		if err != nil {
			return cases, err
		}
		if _, err := f.ReadAt(segment, 0); err != nil {
			return cases, err
		}
		// The last frame, of two blocks from 5 on in the second segment, may lose blocks
		// without anybody knowing that it had been acknowledged.
		off := rng.IntN(len(segment) - 512)
		mask := make([]byte, 1+rng.IntN(200))
		switch {
		case rng.IntN(3) > 0:
			for i := range mask {
				mask[i] = byte(rng.Uint32())
			}
		case number == 1 || off < 5*512:
			mask = segment[off : off/512*512+512*(1+rng.IntN(2))] // becomes zeros
			if end := off + len(mask); number == 2 && end > 5*512 {
				mask = mask[:5*512-off]
			}
			mask = mask[:min(len(mask), len(segment)-off)]
		}
		c.Damage(name, int64(off), mask...)
		if _, err := refusedOr(c, w, acked); err != nil {
			return cases, fmt.Errorf("case %d: segment %d, byte %d, %d bytes: %w", cases, number, off, len(mask), err)
		}
	}
	return cases, nil
}

// cutAtEachByte cuts the files at each byte of the last three frames and of the preludes,
// and some of the rest.
func cutAtEachByte(w wrap, seed uint64) (cases int, err error) {
	m, acked, err := written(w)
	if err != nil {
		return 0, err
	}
	for number := uint64(1); number <= 3; number++ {
		for size := int64(0); size < 13*512; size++ {
			if size > 512 && (number != 2 || size > 8*512) && size%31 != 0 && size%512 != 0 {
				continue
			}
			cases++
			c := m.Clone()
			c.Truncate(wal.SegmentName(number), size)
			refused, err := refusedOr(c, w, acked)
			if err == nil && !refused {
				err = errors.New("nothing has been noticed")
			}
			if err != nil {
				return cases, fmt.Errorf("segment %d cut at byte %d: %w", number, size, err)
			}
		}
	}
	return cases, nil
}

func TestEachByteFlipped(t *testing.T) { holds(t, flipEachByte) }
func TestMoreDamage(t *testing.T)      { holds(t, damageMore) }
func TestCutAtEachByte(t *testing.T)   { holds(t, cutAtEachByte) }
