package raftlocal_test

import (
	"testing"

	"go.uber.org/goleak"

	_ "github.com/fencelock/fencelock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
