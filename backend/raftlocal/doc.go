// Package raftlocal keeps locks with no server to install: it is one.
package raftlocal
