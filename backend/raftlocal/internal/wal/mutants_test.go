package wal_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

// bent is a disk on which the log is a mutant of itself: it behaves as if the log had left
// something out.
type bent struct {
	disk.FS
	file    func(bentFile) disk.File
	syncDir func() error
}

// bentFile is a file of it, which the mutants embed.
type bentFile struct {
	disk.File
	name string
}

func (b bent) wrapped(f disk.File, name string, err error) (disk.File, error) {
	if err != nil || b.file == nil {
		return f, err
	}
	return b.file(bentFile{f, name}), nil
}

func (b bent) Create(name string, size int64) (disk.File, error) {
	f, err := b.FS.Create(name, size)
	return b.wrapped(f, name, err)
}

func (b bent) Open(name string) (disk.File, error) {
	f, err := b.FS.Open(name)
	return b.wrapped(f, name, err)
}

func (b bent) SyncDir() error {
	if b.syncDir != nil {
		return b.syncDir()
	}
	return b.FS.SyncDir()
}

func bend(file func(bentFile) disk.File) wrap {
	return func(fs disk.FS) disk.FS { return bent{FS: fs, file: file} }
}

type noSync struct{ bentFile }

func (noSync) Sync() error { return nil }

type noSyncBeforeName struct{ bentFile }

func (f noSyncBeforeName) Sync() error {
	if strings.HasSuffix(f.name, ".new") {
		return nil
	}
	return f.bentFile.Sync()
}

type deafSync struct{ bentFile }

func (f deafSync) Sync() error {
	if err := f.bentFile.Sync(); !wal.IsSegment(f.name) {
		return err
	}
	return nil
}

type noZeros struct{ bentFile }

func (f noZeros) WriteAt(p []byte, off int64) (int, error) {
	if len(bytes.Trim(p, "\x00")) == 0 {
		return len(p), nil
	}
	return f.bentFile.WriteAt(p, off)
}

type noRewrite struct{ bentFile }

func (f noRewrite) WriteAt(p []byte, off int64) (int, error) {
	was := make([]byte, len(p))
	if _, err := f.ReadAt(was, off); err == nil && bytes.Equal(was, p) {
		return len(p), nil
	}
	return f.bentFile.WriteAt(p, off)
}

// reads is a file whose segments are changed when they are read.
type reads struct {
	bentFile
	change func([]byte)
}

func (f reads) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.bentFile.ReadAt(p, off)
	if wal.IsSegment(f.name) && off == 0 {
		f.change(p[:n])
	}
	return n, err
}

var mutants = []struct {
	name  string
	wrap  wrap
	check func(wrap, uint64) (int, error)
}{
	{"acknowledges before the sync", bend(func(f bentFile) disk.File { return noSync{f} }), crashAtEachCall},
	{"names a file before the sync", bend(func(f bentFile) disk.File { return noSyncBeforeName{f} }), crashAtEachCall},
	{"does not sync names", func(fs disk.FS) disk.FS { return bent{FS: fs, syncDir: func() error { return nil }} }, crashAtEachCall},
	{"goes on after a sync that failed", bend(func(f bentFile) disk.File { return deafSync{f} }), failEachCall},
	{"trusts what it reads to be on the disk", bend(func(f bentFile) disk.File { return noRewrite{f} }), failEachCall},
	{"leaves a torn tail where it is", bend(func(f bentFile) disk.File { return noZeros{f} }), tearEachWay},
	{"does not check sums", bend(func(f bentFile) disk.File { return reads{f, wal.Reseal} }), flipEachByte},
	{"cuts damage", bend(func(f bentFile) disk.File { return reads{f, wal.CutDamage} }), flipEachByte},
	{"does not check sums of more damage", bend(func(f bentFile) disk.File { return reads{f, wal.Reseal} }), damageMore},
	{"cuts more damage", bend(func(f bentFile) disk.File { return reads{f, wal.CutDamage} }), damageMore},
}

// TestMutantsAreCaught breaks the log, one rule after the other.
func TestMutantsAreCaught(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			seed := drawSeed()
			cases, err := m.check(m.wrap, seed)
			if err == nil {
				t.Fatalf("seed %d: not caught in %d cases", seed, cases)
			}
			t.Logf("seed %d: caught in case %d: %v", seed, cases, err)
		})
	}
}
