package wal

import (
	"os"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
)

// directories are where to measure: a file system in memory shows what the log costs by
// itself, the one for temporary files, with luck, what a disk does.
func directories(b *testing.B, run func(b *testing.B, fs disk.FS)) {
	b.Helper()
	b.Run("memory", func(b *testing.B) {
		b.Setenv("TMPDIR", "/dev/shm")
		if _, err := os.Stat("/dev/shm"); err != nil {
			b.Skip(err)
		}
		run(b, opened(b, b.TempDir()))
	})
	b.Run("temp", func(b *testing.B) {
		run(b, opened(b, b.TempDir()))
	})
}

// BenchmarkAppend appends 64 entries of 100 bytes at a time.
func BenchmarkAppend(b *testing.B) {
	directories(b, func(b *testing.B, fs disk.FS) {
		b.Helper()
		must(b, Create(fs, testID))
		l, _ := open(b, fs)
		wake := make(chan struct{}, 1)
		prepared := make(chan struct{})
		go func() {
			defer close(prepared)
			for range wake {
				_ = l.Prepare()
			}
		}()
		es := entries(1, 64, 1, 100)
		next := uint64(0)
		hs := &raftpb.HardState{Term: new(uint64), Vote: new(uint64), Commit: &next}
		*hs.Term = 1
		b.ReportAllocs()
		b.SetBytes(64 * 100)
		for b.Loop() {
			for _, e := range es {
				next++
				*e.Index = next
			}
			must(b, l.Append(hs, es))
			if next%(64*500) == 0 {
				select {
				case wake <- struct{}{}:
				default:
				}
				must(b, l.Compact(next))
			}
		}
		close(wake)
		<-prepared
	})
}

// BenchmarkFloor is what the disk takes for as many bytes, whoever writes them.
func BenchmarkFloor(b *testing.B) {
	directories(b, func(b *testing.B, fs disk.FS) {
		b.Helper()
		f, err := fs.Create("x", SegmentSize)
		must(b, err)
		defer f.Close()
		must(b, f.Sync())
		p := make([]byte, 14*blockSize)
		for off := int64(0); b.Loop(); off = (off + int64(len(p))) % (SegmentSize - int64(len(p))) / blockSize * blockSize {
			p[0]++
			_, err := f.WriteAt(p, off)
			must(b, err)
			must(b, f.Sync())
		}
	})
}

// BenchmarkOpen opens a log with a full segment.
func BenchmarkOpen(b *testing.B) {
	directories(b, func(b *testing.B, fs disk.FS) {
		b.Helper()
		must(b, Create(fs, testID))
		l, _ := open(b, fs)
		for next := uint64(1); len(l.closed) == 0; next += 64 {
			must(b, l.Append(nil, entries(next, 64, 1, 100)))
		}
		must(b, l.Close())
		b.ReportAllocs()
		for b.Loop() {
			l, _, err := Open(fs, testID)
			must(b, err)
			must(b, l.Close())
		}
	})
}
