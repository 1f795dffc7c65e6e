package raftlocal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
)

// A backup is a magic word, the length of the label in four bytes, the label, the state, and the
// SHA-256 of all that.
const backupMagic = "fencebk1"

// label says where a backup is from. It is for people.
type label struct {
	Cluster string    `json:"cluster"`
	Index   uint64    `json:"index"`
	Time    time.Time `json:"time"` // by the member's wall clock
}

func appendBackup(dst []byte, s member.Status, state []byte) []byte {
	at := len(dst)
	l, err := json.Marshal(label{s.Cluster, s.Applied, time.Now().UTC()})
	if err != nil {
		panic(err) // of what is in a label none can fail
	}
	dst = append(dst, backupMagic...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(l)))
	dst = append(append(dst, l...), state...)
	sum := sha256.Sum256(dst[at:])
	return append(dst, sum[:]...)
}

// maxBackup is the most that is read.
const maxBackup = 2 << 30

var errBackup = errors.New("this is not a whole backup: take one with Admin.Backup or GET /backup, and do not change it")

func readBackup(r io.Reader) (l label, state []byte, err error) {
	b, err := io.ReadAll(io.LimitReader(r, maxBackup))
	if err != nil {
		return l, nil, fmt.Errorf("reading the backup: %w", err)
	}
	const head = len(backupMagic) + 4
	if len(b) < head+sha256.Size || string(b[:len(backupMagic)]) != backupMagic {
		return l, nil, errBackup
	}
	end := len(b) - sha256.Size
	if sum := sha256.Sum256(b[:end]); !bytes.Equal(sum[:], b[end:]) {
		return l, nil, errBackup
	}
	n := uint64(binary.BigEndian.Uint32(b[len(backupMagic):]))
	if n > uint64(end-head) || json.Unmarshal(b[head:head+int(n)], &l) != nil {
		return l, nil, errBackup
	}
	return l, b[head+int(n) : end], nil
}
