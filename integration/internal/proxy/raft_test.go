package proxy

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

func raftFrame(kind byte, body ...string) string {
	all := strings.Join(body, "")
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(all)+1))) + string(kind) + all
}

// Two commands and their answers, as they stand in frames; the last is an Open, which has an
// ID in place of a number.
var (
	raftID      = strings.Repeat("i", raftIDLen)
	raftOpen    = "\x01\x91" + "\x00\x00" + raftID + "\xe8\x07"
	raftAcquire = "\x03\x56" + "\x05\x07\x01" + "\x01k" + "\x01o" + "\xe8\x07"
	raftRenew   = "\x05\xa0" + "\x08\x02" + "\x02\x01\xac\x02"

	raftGranted = "\x00" + "\x05\x07" + "\x02\x03\x01\x09"
	raftRenewed = "\x00" + "\x05\x08" + "\x01\x04" + "\x01\x01\x02\x09"
	raftOpened  = "\x01" + raftID + "\x00\x00" + "\x01\x01\x05"
	raftTold    = "\x00" + "\x05\x09" + "\x01\x18" + "\x01o\x01m" + "\x09\x01\x00"
	raftPush    = "\x02" + "\x05" + "\x01\x02\x09"
)

func TestRaftSplitAtEveryByte(t *testing.T) {
	packets := []string{
		raftPreface, raftFrame(1, "hello"), raftFrame(raftCommands, raftAcquire, raftRenew), raftFrame(7),
		raftFrame(raftCommands, strings.Repeat("x", 300)),
	}
	stream := strings.Join(packets, "")
	for i := range len(stream) {
		if got := frames(t, &raftFramer{preface: true}, stream[:i], stream[i:]); !slices.Equal(got, packets) {
			t.Fatalf("split at %d: %q", i, got)
		}
	}
	for _, other := range []string{"GET / HTTP/1.1", "\x16\x03\x01", "\x00\x00\x00\x05"} {
		if _, _, err := (&raftFramer{preface: true}).Feed([]byte(other)); err == nil {
			t.Errorf("%q is taken for raft", other)
		}
	}
}

func TestRaftAnswersFindTheirCommands(t *testing.T) {
	s := Raft()
	if _, _, err := s.Sent([]byte(raftPreface)); err != nil {
		t.Fatal(err)
	}
	if _, all, err := s.Sent([]byte(raftFrame(1, "hello"))); err != nil || len(all) > 0 {
		t.Fatalf("a greeting is taken for %d commands, %v", len(all), err)
	}
	_, asked, err := s.Sent([]byte(raftFrame(raftCommands, raftOpen, raftAcquire, raftRenew)))
	if err != nil || len(asked) != 3 || string(asked[1].Bytes) != raftAcquire {
		t.Fatalf("%d commands, %v", len(asked), err)
	}
	for i, name := range []string{"open", "acquire", "renew"} {
		if !RaftOp(name)(asked[i].Bytes) || RaftOp("evict")(asked[i].Bytes) {
			t.Errorf("command %d is no %s", i, name)
		}
	}
	got, err := s.Received([]byte(raftFrame(raftAnswers, raftRenewed, raftPush, raftOpened, raftTold, raftGranted)))
	if err != nil || len(got) != 5 {
		t.Fatalf("%d answers, %v", len(got), err)
	}
	for i, want := range []*Request{asked[2], nil, asked[0], nil, asked[1]} {
		if got[i].To != want || got[i].Push != (i == 1) || !got[i].Glued {
			t.Errorf("answer %d: %+v", i, got[i])
		}
	}
	alone, err := s.Received([]byte(raftFrame(raftAnswers, raftPush)))
	if err != nil || len(alone) != 1 || alone[0].Glued || !alone[0].Push {
		t.Errorf("a push alone: %+v, %v", alone, err)
	}
	body := raftFrame(raftAnswers, raftTold)
	for n := 6; n < len(body); n++ {
		if _, err := s.Received([]byte(body[:n])); err == nil {
			t.Errorf("an answer of %d bytes is taken", n)
		}
	}
}
