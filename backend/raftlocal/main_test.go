package raftlocal_test

import (
	"testing"

	"go.uber.org/goleak"

	_ "github.com/fencelock/fencelock"
)

// A look-up of a host's name that nobody waits for any more goes on in package net until the name server has
// answered, or has not. It is the only thing that may be left.
func TestMain(m *testing.M) {
	var lookups []goleak.Option
	for _, f := range []string{
		"net.(*Resolver).lookupIPAddr.func1", "net.(*Resolver).lookupIPAddr.func2", "net.(*Resolver).goLookupIPCNAMEOrder.func3.1",
	} {
		lookups = append(lookups, goleak.IgnoreAnyFunction(f))
	}
	goleak.VerifyTestMain(m, lookups...)
}
