package command

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

var id = SessionID{1, 2, 3, 15: 16}

func batches() []Batch {
	return []Batch{
		{},
		{Stamp: 1},
		{Stamp: math.MaxInt64},
		{Stamp: -1},
		{Stamp: 5, Commands: []Command{{}}},
		{Stamp: 5, Commands: []Command{{Op: Open, ID: id, TTL: time.Minute}}},
		{Stamp: 1 << 40, Commands: []Command{
			{Session: 7, Seq: 1, Op: Nop},
			{Session: 7, Seq: 2, Lowest: 1, Op: Acquire, Key: "k", AttemptID: "o", Meta: "m", TTL: time.Second, Wait: true},
			{Session: 8, Seq: 3, Lowest: 9, Op: Acquire, Key: "k", AttemptID: "o", TTL: -1},
			{Session: 0, Seq: 0, Op: Open, ID: id},
			{Session: 8, Seq: math.MaxUint64, Lowest: math.MaxUint64, Op: Renew, Claims: []uint64{0, 1, math.MaxUint64}},
			{Session: math.MaxUint64, Op: 255, Key: strings.Repeat("é", 3000), Meta: "\x00\xff"},
		}},
	}
}

func TestBatchComesBack(t *testing.T) {
	for _, want := range batches() {
		data := AppendBatch([]byte("before"), want)[len("before"):]
		var got Batch
		if err := DecodeBatch(data, &got); err != nil {
			t.Errorf("%+v: %v", want, err)
			continue
		}
		if len(got.Commands) == 0 {
			got.Commands = want.Commands
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%+v\ncame back as\n%+v", want, got)
		}
	}
}

// The memory of the batch before shows nowhere in the next.
func TestBatchUsesMemoryAgain(t *testing.T) {
	var got Batch
	for range 2 {
		for _, want := range batches() {
			if err := DecodeBatch(AppendBatch(nil, want), &got); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(AppendBatch(nil, got), AppendBatch(nil, want)) {
				t.Errorf("%+v\ncame back as\n%+v", want, got)
			}
		}
	}
}

func TestBatchPointsToNoInput(t *testing.T) {
	data := AppendBatch(nil, Batch{Commands: []Command{{Op: Acquire, Key: "key", AttemptID: "owner", Meta: "meta"}}})
	var b Batch
	if err := DecodeBatch(data, &b); err != nil {
		t.Fatal(err)
	}
	clear(data)
	if c := b.Commands[0]; c.Key != "key" || c.AttemptID != "owner" || c.Meta != "meta" {
		t.Errorf("%+v", c)
	}
}

// Every shorter part of a batch, and every batch with something behind it, is refused.
func TestBatchIsWhole(t *testing.T) {
	for _, whole := range batches() {
		data := AppendBatch(nil, whole)
		for n := range data {
			if err := DecodeBatch(data[:n], &Batch{}); err == nil {
				t.Errorf("%d of %d bytes of %+v were taken", n, len(data), whole)
			}
		}
		if err := DecodeBatch(append(data, 0), &Batch{}); err == nil {
			t.Errorf("a byte behind %+v was taken", whole)
		}
	}
}

func TestUnknownFormatIsRefused(t *testing.T) {
	data := AppendBatch(nil, Batch{})
	data[0]++
	if err := DecodeBatch(data, &Batch{}); err == nil || !strings.Contains(err.Error(), "newest version") {
		t.Error(err)
	}
}

// A count that the bytes cannot hold costs no memory.
func TestCountIsBounded(t *testing.T) {
	data := []byte{batchFormat, 0, 0xff, 0xff, 0xff, 0xff, 0x0f}
	n := testing.AllocsPerRun(100, func() { // others allocate as well, now and then
		if DecodeBatch(data, &Batch{}) == nil {
			t.Error("taken")
		}
	})
	if n > 4 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzBatch: no input makes it panic, and what is taken has one encoding.
func FuzzBatch(f *testing.F) {
	for _, b := range batches() {
		f.Add(AppendBatch(nil, b))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var b Batch
		if DecodeBatch(data, &b) != nil {
			return
		}
		if again := AppendBatch(nil, b); !bytes.Equal(again, data) {
			t.Errorf("%x\nwas taken for %+v\nwhich is\n%x", data, b, again)
		}
	})
}

// ordinary is what 64 callers send within one write: each takes a lock and gives it back.
func ordinary() Batch {
	b := Batch{Stamp: int64(time.Hour)}
	for i := range uint64(64) {
		b.Commands = append(b.Commands,
			Command{Session: 1000 + i/16, Seq: 100000 + i, Lowest: 100000, Op: Acquire, Key: "orders/customer/1234", AttemptID: "0123456789abcdefghijkl", Meta: "host-17 pid 4711", TTL: 30 * time.Second, Wait: true},
			Command{Session: 1000 + i/16, Seq: 100000 + i, Lowest: 100000, Op: Release, Key: "orders/customer/1234", AttemptID: "0123456789abcdefghijkl", Claims: []uint64{1 << 30}})
	}
	return b
}

func BenchmarkAppendBatch(b *testing.B) {
	batch, dst := ordinary(), []byte(nil)
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendBatch(dst[:0], batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch.Commands)), "ns/command")
	b.ReportMetric(float64(len(dst))/float64(len(batch.Commands)), "B/command")
}

func BenchmarkDecodeBatch(b *testing.B) {
	batch := ordinary()
	data := AppendBatch(nil, batch)
	b.ReportAllocs()
	var into Batch
	for b.Loop() {
		if err := DecodeBatch(data, &into); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch.Commands)), "ns/command")
}
